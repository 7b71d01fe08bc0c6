"""One journal on its way to a server: what was sent, what is in the server's log, and what to send next.

Offsets are those of the writer's own journal, on both sides. The sender moves on by the server's `place`, and forgets only
what is `logged`: a server that loses its disk, or another one that takes over, is sent what it lacks.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from flowtell.errors import ShippingRefused
from flowtell.journal import Dropped, Header
from flowtell.shipping.sender import Receipt, Sender

CHUNK: Final = 1 << 20
"""Bytes of a request before they are packed."""
_LEAST_CHUNK: Final = 4 << 10
_BLANK: Final = 768 << 10
"""Bytes of empty lines a request: they pack a thousand to one, which a server takes for a bomb from a megabyte on."""
_TOO_LARGE: Final = 413


class Journal(Protocol):
    """What is shipped."""

    header: Header
    header_line: bytes

    @property
    def start(self) -> int:
        """Offset of the oldest byte that can still be read."""

    def end(self) -> int:
        """Offset behind the newest byte."""

    def read(self, place: int, size: int) -> bytes:
        """Whole lines from `place` on, about `size` bytes."""

    def line_length(self, place: int) -> int:
        """Bytes of the line at `place`; 0 while it is not whole."""

    def forget(self, logged: int) -> None:
        """The server's log has all before `logged`."""


class Shipment:
    """Used by one thread at a time."""

    def __init__(self, journal: Journal, shipper: str) -> None:
        self.journal, self._shipper = journal, shipper
        self.place = journal.start
        self.logged = 0
        self.local = False
        """The server reads this journal from its own disk."""
        self.heartbeat = 10.0
        self.answered = self.said_farewell = False
        self._chunk = CHUNK
        self._blank_until = self._untold = 0

    def has_more(self) -> bool:
        """Whether there may be something to send."""
        return not self.local and self.place < self.journal.end()

    def all_logged(self) -> bool:
        """Whether the server's log has every whole line."""
        return self.logged >= self.place and not (self.has_more() and self._lines())

    def send(self, sender: Sender, *, last: bool = False) -> bool:
        """Send the next lines, or a sign of life where there are none. Whether anything moved.

        With `last`, farewell is said with the request that reaches the end.

        Raises:
            ServerUnreachable, ShippingRefused: nothing of it was taken; all is kept here.
        """
        lines = self._lines()
        farewell = last and self.place + len(lines) >= self._whole_end(lines)
        query = f"writer={self.journal.header.writer}&place={self.place}&shipper={self._shipper}{'&ended=1' * farewell}"
        try:
            receipt = sender.post(query, self.journal.header_line + lines)
        except ShippingRefused as error:
            if error.status != _TOO_LARGE or not lines:
                raise
            self._take_less(lines, error)
            return True
        return self._take(receipt, lines, sender, farewell=farewell)

    def look(self, sender: Sender) -> None:
        """Learn how far the server's log is.

        Raises:
            ServerUnreachable, ShippingRefused: it could not be asked.
        """
        self.logged = sender.look(self.journal.header.writer).logged

    def _whole_end(self, lines: bytes) -> int:
        """Where the last whole line ends: the end of the journal, unless what follows these lines is a torn one."""
        after = self.place + len(lines)
        goes_on = self.journal.read(after, _LEAST_CHUNK) or self.journal.line_length(after)
        return self.journal.end() if goes_on else after

    def _lines(self) -> bytes:
        blank_until = max(self.journal.start, self._blank_until)
        if self.place < blank_until:  # in a log once and forgotten here, and the server that had it lost it; or given up
            return self._blank(min(blank_until - self.place, _BLANK))
        lines = self.journal.read(self.place, self._chunk)
        if not lines and self.has_more() and (length := self.journal.line_length(self.place)):
            self._give_up(length)
            return self._lines()
        return lines

    def _give_up(self, length: int) -> None:
        """Send as many bytes that tell of a lost event in place of a line too long for the server."""
        self._blank_until = self.place + length
        self._untold += 1

    def _blank(self, length: int) -> bytes:
        told = msgspec.json.encode(Dropped(self._untold)) + b"\n" if self._untold else b""
        return told + b"\n" * (length - len(told)) if len(told) <= length else b"\n" * length

    def _take_less(self, lines: bytes, error: ShippingRefused) -> None:
        """A proxy takes less than flowtell's own server."""
        if lines.count(b"\n") == 1:
            self._give_up(len(lines))
        elif self._chunk > _LEAST_CHUNK:
            self._chunk //= 2
        else:
            raise error

    def _take(self, receipt: Receipt, lines: bytes, sender: Sender, *, farewell: bool) -> bool:
        self.answered = True
        if receipt.local:
            self.local = True
            return False
        self.heartbeat = receipt.heartbeat
        stood, self.logged = self.place, receipt.logged
        if receipt.place > self.journal.end() or (receipt.error and receipt.place == stood):
            problem = receipt.error or "it claims to have more of this journal than was written"
            raise ShippingRefused(sender.address.url, 409, problem)
        self.place = max(receipt.place, len(self.journal.header_line))
        self.said_farewell = farewell and not receipt.error and self.place >= stood + len(lines)
        if stood < self._blank_until and self.place > stood:
            self._untold = 0
        self.journal.forget(min(receipt.logged, self.place))
        return self.place != stood
