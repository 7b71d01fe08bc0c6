"""A journal in memory, for a process that may write no disk: kept until it is in the server's log, and bounded."""

from __future__ import annotations

from _thread import RLock  # a run that the garbage collection ends in the middle of a write writes as well
from collections import deque
from typing import Final, NamedTuple

import msgspec

from flowtell.journal import Dropped, Header

_BLOCK: Final = 256 << 10


class _Block(NamedTuple):
    """Whole lines from an offset on."""

    start: int
    lines: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.lines)


class MemoryJournal:
    """What `flowtell.journal.Journal` is to the bus. Holds at most `limit` bytes; beyond, events are dropped and counted.

    `write` may be called from any thread, and holds the lock for an append; the rest is the shipper's.
    """

    path = ""

    def __init__(self, header: Header, limit: int) -> None:
        self.header = header
        self.header_line = msgspec.json.encode(header) + b"\n"
        self.unreported = 0
        """Events lost and not yet told of in this journal."""
        self._limit = limit
        self._lock = RLock()
        self._new: list[bytes] = []
        self._held = 0
        self._blocks: deque[_Block] = deque()
        self._end = self._gathered = len(self.header_line)

    def write(self, line: bytes) -> bool:
        """Keep `line`, which ends with a newline. False when there is no room; then the event is lost."""
        with self._lock:
            told = msgspec.json.encode(Dropped(self.unreported)) + b"\n" if self.unreported else b""
            size = len(told) + len(line)
            if self._held + size > self._limit:
                self.unreported += 1
                return False
            self._new.append(told + line)
            self._held += size
            self._end += size
            self.unreported = 0
            return True

    def close(self) -> None:
        """Nothing to close: the shipper has what is left."""

    # --- what the shipper reads -----------------------------------------------------------------------------------

    @property
    def start(self) -> int:
        """The offset of the oldest byte that is still here."""
        return self._blocks[0].start if self._blocks else self._gathered

    def end(self) -> int:
        return self._end

    def read(self, place: int, size: int) -> bytes:
        """Whole lines from `place` on, about `size` bytes; one line at least where there is one."""
        self._gather()
        parts: list[bytes] = []
        for block in self._blocks:
            if block.end > place and size > 0:
                parts.append(_some(block.lines, max(place - block.start, 0), size, first=not parts))
                size = size - len(parts[-1]) if max(place, block.start) + len(parts[-1]) == block.end else 0
        return b"".join(parts)

    def line_length(self, place: int) -> int:
        """Bytes of the line at `place`; 0 where there is none."""
        self._gather()
        for block in self._blocks:
            if block.start <= place < block.end:
                return block.lines.index(b"\n", place - block.start) + 1 - (place - block.start)
        return 0

    def forget(self, logged: int) -> None:
        """The server's log has all before `logged`."""
        self._gather()
        freed = 0
        while self._blocks and self._blocks[0].end <= logged:
            freed += len(self._blocks.popleft().lines)
        if self._blocks and self._blocks[0].start < logged:
            start, lines = self._blocks[0]
            cut = lines.rfind(b"\n", 0, logged - start) + 1
            self._blocks[0] = _Block(start + cut, lines[cut:])
            freed += cut
        with self._lock:
            self._held -= freed

    def _gather(self) -> None:
        """Put what was written since into blocks."""
        with self._lock:
            new, self._new = self._new, []
        part: list[bytes] = []
        size = 0
        for line in new:
            part.append(line)
            size += len(line)
            if size >= _BLOCK:
                self._add(b"".join(part))
                part, size = [], 0
        if part:
            self._add(b"".join(part))

    def _add(self, lines: bytes) -> None:
        self._blocks.append(_Block(self._gathered, lines))
        self._gathered += len(lines)


def _some(lines: bytes, start: int, size: int, *, first: bool) -> bytes:
    """Whole lines from `start` on, at most `size` bytes; the first one however long it is, where nothing else is there."""
    end = lines.rfind(b"\n", start, start + size) + 1
    if end <= start and first:
        end = lines.index(b"\n", start) + 1
    return lines[start : max(end, start)]
