"""One journal as the server sees it: read to the last whole line, and asked by its lock whether its writer lives."""

from __future__ import annotations

import fcntl
import os
from itertools import accumulate
from typing import Final

import msgspec

from flowtell.journal import SUFFIX, Header, decode_header
from flowtell.machine import is_gone

CHUNK: Final = 1 << 20
LONGEST_LINE: Final = 64 << 20
"""Bytes after which a line without an end is given up."""


class JournalTail:
    """Opened once, read onward from a place. Never locks for longer than one probe."""

    def __init__(self, path: str, place: int = 0) -> None:
        self.path, self.place = path, place
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.header = self._read_header()
        self.locked = False
        self._synced = 0

    def _read_header(self) -> Header:
        first = os.pread(self._fd, 64 << 10, 0).partition(b"\n")[0]
        name = os.path.basename(self.path).removesuffix(SUFFIX)
        header = decode_header(first) or Header(writer=name)
        # a copy under another name must not speak for the journal whose writer lives
        return header if name == f"{header.writer}-{header.pid}" else msgspec.structs.replace(header, writer=name)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def last_sign_of_life(self) -> int:
        """When something was written last, in µs."""
        return os.fstat(self._fd).st_mtime_ns // 1000

    def read(self) -> list[tuple[int, bytes]]:
        """The next whole lines with their offsets, about a megabyte of them; the place moves by `passed`."""
        chunk = os.pread(self._fd, CHUNK, self.place)
        end = chunk.rfind(b"\n")
        while end < 0 and len(chunk) >= CHUNK and len(chunk) < LONGEST_LINE:
            more = os.pread(self._fd, CHUNK, self.place + len(chunk))
            if not more:
                return []
            chunk += more
            end = chunk.rfind(b"\n")
        if end < 0:
            return [(self.place, chunk)] if len(chunk) >= LONGEST_LINE else []
        return _with_offsets(chunk[:end].split(b"\n"), self.place)

    def rest(self) -> bytes:
        """What lies behind the last whole line: a write that was cut by death."""
        return os.pread(self._fd, CHUNK, self.place)

    def has_line(self) -> bool:
        """Whether a whole line lies behind the place."""
        place = self.place
        while chunk := os.pread(self._fd, CHUNK, place):
            if b"\n" in chunk:
                return True
            place += len(chunk)
        return False

    def take_lock(self) -> bool:
        """Whether no writer holds the journal; then the probe's own shared lock stays until `free_lock`."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        self.locked = True
        return True

    def free_lock(self) -> None:
        if self.locked:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self.locked = False

    def writer_gone(self) -> bool:
        """Whether its process has ended although something still holds the descriptor (a fork behind Python's back)."""
        return is_gone(self.header.process)

    def sync(self) -> None:
        """Bring to disk what was written since the last call."""
        try:
            size = self.size()
            if size != self._synced:
                os.fdatasync(self._fd)
                self._synced = size
        except OSError:  # closed meanwhile by the thread that reads
            pass

    def delete(self) -> None:
        os.unlink(self.path)

    def close(self) -> None:
        os.close(self._fd)


def _with_offsets(lines: list[bytes], place: int) -> list[tuple[int, bytes]]:
    ends = accumulate(lines, lambda at, line: at + len(line) + 1, initial=place)
    return list(zip(ends, lines, strict=False))
