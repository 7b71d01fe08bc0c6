"""Passes a stream through byte by byte and remembers its last lines."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

LONGEST_LINE: Final = 4_000
"""Bytes of one line that are remembered; all of them are passed through."""

_CHUNK: Final = 1 << 16


class Line(NamedTuple):
    time: int
    """When it was read, in µs since the epoch."""
    text: str


class LastLines:
    """A pipe whose reading end is copied to `target` on a thread. Write to `descriptor`, close it, then `finish`."""

    def __init__(self, target: int, keep: int) -> None:
        self._target = target
        self._lines: deque[tuple[int, bytes]] = deque(maxlen=keep)
        self._rest = b""
        self._reader, self.descriptor = os.pipe()
        self._thread = threading.Thread(target=self._copy, name="flowtell-last-lines", daemon=True)
        self._thread.start()

    def finish(self, timeout: float) -> list[Line]:
        """The last lines. Waits `timeout` seconds for those who still hold the other end: a child may have left some."""
        self._thread.join(timeout)
        lines = list(self._lines)
        if self._rest:
            lines.append((time.time_ns() // 1000, self._rest))
        return [Line(moment, text.decode(errors="replace")) for moment, text in lines]

    def _copy(self) -> None:
        try:
            while chunk := os.read(self._reader, _CHUNK):
                self._remember(chunk)
                _write_all(self._target, chunk)
        except OSError:  # nobody reads any more; the child learns it as it would without us, from a closed pipe
            pass
        finally:
            os.close(self._reader)

    def _remember(self, chunk: bytes) -> None:
        now = time.time_ns() // 1000
        *whole, rest = (self._rest + chunk).split(b"\n")
        self._lines.extend((now, line[:LONGEST_LINE]) for line in whole[-(self._lines.maxlen or 1) :])
        self._rest = rest[:LONGEST_LINE]


def _write_all(descriptor: int, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[os.write(descriptor, chunk) :]


def merged(*streams: tuple[str, list[Line]]) -> Iterator[tuple[str, Line]]:
    """The lines of several named streams by the time at which they were read."""
    named = [(name, line) for name, lines in streams for line in lines]
    return iter(sorted(named, key=lambda pair: pair[1].time))
