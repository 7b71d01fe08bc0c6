"""The channel contract: how a message reaches people, built-in or not.

An entry point of the group `flowtell.channels` names a type of channel and a factory, which takes the name of one
`[channel.NAME]` table and its keys but `type`, and returns a channel. Each channel has a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from flowtell.errors import ConfigError, FlowtellError
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


class ChannelRefused(ConfigError):
    """A `[channel.NAME]` table makes no channel."""

    code = "FT2430"

    def __init__(self, channel: str, place: str, problem: str) -> None:
        self.channel, self.place, self.problem = channel, place, problem
        super().__init__(f"Channel '{channel}' ({place}) cannot be used: {problem}.")


class ExtraMissing(ConfigError):
    """A type of channel needs a library that is not installed."""

    code = "FT2431"

    def __init__(self, channel: str, module: str, extra: str) -> None:
        self.channel, self.module, self.extra = channel, module, extra
        super().__init__(
            f"Channel '{channel}' needs the module '{module}', which is not installed: "
            f'pip install "flowtell-alerts[{extra}]".'
        )


class Rate(NamedTuple):
    """At most `burst` messages at once and then one each `seconds`, counted over all channels with the same key."""

    key: str
    """No secret: it is kept in the store."""
    seconds: float
    burst: int = 1


class Said(NamedTuple):
    """What a person said about an incident where a channel showed it."""

    action: str
    """`acknowledge` or `silence`."""
    incident: str
    actor: str
    id: str = ""
    """Tells one press of a button from another."""


class NotSigned(FlowtellError):
    """Something came in for a channel that is not from where it says."""

    code = "FT2435"

    def __init__(self, channel: str, problem: str) -> None:
        self.channel, self.problem = channel, problem
        super().__init__(f"What came in for channel '{channel}' is refused: {problem}.")


ANNOUNCED: Final = frozenset({"opened", "resolved", "repeat", "test"})
FOLLOWED: Final = ANNOUNCED | {"acknowledged", "updated"}


@runtime_checkable
class Channel(Protocol):
    """Says messages. One call at a time, each on a thread of the channel's own, so that no other channel waits.

    `send` returns when the other side has taken the message and raises `ChannelError` when it has not; it returns within
    `bound_seconds` and never tries twice itself. The same message may come again after a crash: `message.id` tells. All
    messages about one thing have one `message.incident.id`: what deduplicates by a key takes that. A call that is not
    back in its time is given up with its thread, and the channel is made anew. Anything else that `send` raises counts
    as a failure that may pass.
    """

    name: str
    tells: frozenset[str]
    """Kinds of message that it is given; an incident that opened is told in any case."""
    in_place: bool
    """Whether a later message changes the one that told of the incident first: then it gets updates more often."""
    hourly: int
    """Most messages in an hour; 0 for any number. What cannot go comes later, openings as a digest."""
    batch: int
    """How many incidents one call can tell. Above 1, `send_all` is called and nothing is made a digest."""
    refresh_seconds: float
    """For receivers that forget: how often what is still open is sent again, unsaid in the log; 0 for never."""
    repeat_seconds: float
    """How often people are reminded of what is open and not acknowledged; 0 for never."""
    bound_seconds: float

    @property
    def rates(self) -> Sequence[Rate]:
        """How often it may be told something."""
        ...

    hears: bool
    """Whether people can answer: what is POSTed to `/api/signed/notifications/NAME` is then given to `heard`."""

    def send(self, message: Message) -> Receipt: ...
    def send_all(self, messages: Sequence[Message]) -> Sequence[Receipt]: ...
    def heard(self, headers: Mapping[str, str], body: bytes) -> Sequence[Said]: ...
    def close(self) -> None: ...


class BaseChannel:
    """Defaults for everything but `send`: a channel that announces, one message a second."""

    name: str = ""
    tells: frozenset[str] = ANNOUNCED
    in_place: bool = False
    hourly: int = 0
    batch: int = 1
    refresh_seconds: float = 0.0
    repeat_seconds: float = 0.0
    bound_seconds: float = 20.0
    hears: bool = False

    @property
    def rates(self) -> Sequence[Rate]:
        return (Rate(f"channel {self.name}", 1.0),)

    def send(self, message: Message) -> Receipt:
        """Say it. What the receiver answered comes back with the next message about the same thing."""
        raise NotImplementedError(f"{type(self).__name__}.send")

    def send_all(self, messages: Sequence[Message]) -> Sequence[Receipt]:
        """Say several in one call; a `ChannelError` is about all of them."""
        return [self.send(message) for message in messages]

    def heard(self, headers: Mapping[str, str], body: bytes) -> Sequence[Said]:
        """What people said by a request from the receiver. From any thread; headers by lower-case name.

        Raises:
            NotSigned: it is not from there, or not to be read.
        """
        raise NotSigned(self.name, "it hears nothing")

    def close(self) -> None:
        """Let go of what is held. Also called beside a `send` that never came back."""


Factory = Callable[[str, Mapping[str, Any]], Channel]
"""What an entry point of the group `flowtell.channels` names. It checks the keys and connects to nothing."""

__all__ = [
    "ANNOUNCED",
    "FOLLOWED",
    "BaseChannel",
    "Channel",
    "ChannelError",
    "ChannelRefused",
    "ExtraMissing",
    "Factory",
    "NotSigned",
    "Rate",
    "Said",
]
