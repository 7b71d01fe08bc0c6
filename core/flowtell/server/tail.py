"""One journal as the server sees it: read to the last whole line, and asked by its lock whether its writer lives."""

from __future__ import annotations

import fcntl
import os
from itertools import accumulate
from typing import Final

import msgspec

from flowtell.errors import JournalTooNew
from flowtell.journal import FORMAT, SUFFIX, Header, decode_header, format_of
from flowtell.machine import is_gone

CHUNK: Final = 1 << 20
_LONGEST_HEADER: Final = 64 << 10
LONGEST_LINE: Final = 64 << 20
"""Bytes after which a line without an end is given up."""


def too_new(path: str) -> JournalTooNew | None:
    """Why this flowtell cannot read the journal; None where it can, or where there is nothing to be read."""
    try:
        with open(path, "rb") as file:
            found = format_of(file.readline(_LONGEST_HEADER))
    except OSError:
        return None
    return JournalTooNew(path, found, FORMAT) if found > FORMAT else None


class JournalTail:
    """Opened once, read onward from a place. Never locks for longer than one probe.

    Raises:
        OSError: it cannot be opened.
        JournalTooNew: a later flowtell wrote it, in a format that this one does not know.
    """

    def __init__(self, path: str, place: int = 0) -> None:
        self.path, self.place = path, place
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self.header = self._read_header()
        except JournalTooNew:
            os.close(self._fd)
            raise
        self.locked = False
        self._synced = 0

    def _read_header(self) -> Header:
        first = os.pread(self._fd, _LONGEST_HEADER, 0).partition(b"\n")[0]
        name = os.path.basename(self.path).removesuffix(SUFFIX)
        header = decode_header(first)
        if header is None and format_of(first) > FORMAT:
            raise JournalTooNew(self.path, format_of(first), FORMAT)
        header = header or Header(writer=name)
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

    def has_line(self, before: int | None = None) -> bool:
        """Whether a whole line lies behind the place, and ends before that one where it is given."""
        place = self.place
        while chunk := os.pread(self._fd, CHUNK if before is None else min(CHUNK, max(before - place, 0)), place):
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
