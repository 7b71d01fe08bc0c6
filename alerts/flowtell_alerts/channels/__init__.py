"""Where a message goes. One file per channel; each says it once and reports what became of it."""

from __future__ import annotations

from typing import Protocol

from flowtell.errors import FlowtellError
from flowtell.events import Receipt
from flowtell_alerts.message import Message


class ChannelError(FlowtellError):
    """The channel did not take the message. Whether to try again is `permanent`, nothing else.

    Never holds an address, a header or a body: they carry secrets.
    """

    code = "FT1701"

    def __init__(self, channel: str, problem: str, *, permanent: bool, retry_after: float = 0.0) -> None:
        self.channel, self.problem, self.permanent, self.retry_after = channel, problem, permanent, retry_after
        super().__init__(f"Channel '{channel}': {problem}")


class Channel(Protocol):
    """Says one message. Called from the sender's thread, one call at a time.

    `send` returns when the other side has taken the message and raises `ChannelError` when it has not; it keeps its own
    time-out, and never tries twice itself. The same message may come again after a crash: its `id` tells.
    """

    name: str

    def send(self, message: Message) -> Receipt: ...
    def close(self) -> None: ...


__all__ = ["Channel", "ChannelError"]
