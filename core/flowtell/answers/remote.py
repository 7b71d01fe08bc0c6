"""The box of a run whose server is elsewhere: what was answered there is asked for, and what the run said of it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from flowtell.answers.box import Line
from flowtell.decoders import decoder
from flowtell.errors import ShippingError
from flowtell.shipping.sender import Sender

PATH: Final = "/api/answers/ask"
_SECONDS: Final = 2.0
"""How long a server is waited for at one look: a run that goes on, or ends, is not to hang because of it."""


class Asking(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a question."""

    run: str
    place: int = 0
    said: tuple[Line, ...] = ()
    """What the run made of earlier answers."""


class Brought(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer: what was given since that place, and the next one."""

    lines: tuple[Line, ...] = ()
    place: int = 0


class RemoteBox:
    """One run's. Thread-safe: one exchange at a time. A server that is silent brings nothing, and is asked again."""

    def __init__(self, urls: str, token: str, run: str) -> None:
        self._sender, self._run = Sender(urls, token), run
        self._place = 0
        self._said: list[Line] = []
        self._lock = threading.Lock()

    def look(self) -> Sequence[Line]:
        """What was given there since the last look."""
        with self._lock:
            self._sender.until = time.monotonic() + _SECONDS
            body = msgspec.json.encode(Asking(self._run, self._place, tuple(self._said)))
            try:
                brought = self._sender.exchange(PATH, body, decoder(Brought))
            except (ShippingError, OSError):
                return ()
            self._said, self._place = [], brought.place
            return brought.lines

    def say(self, line: Line) -> None:
        """To be told at the next look."""
        self._said.append(line)

    def close(self) -> None:
        with self._lock:
            self._sender.close()
