"""A journal file as its shipper reads it: from a descriptor of its own, whole lines only."""

from __future__ import annotations

import fcntl
import os
from typing import Final

from flowtell.journal import SUFFIX, Header, decode_header
from flowtell.machine import is_gone

LONGEST_LINE: Final = 16 << 20
"""Bytes of a line beyond which it is given up: no server takes it."""
_LONGEST_HEADER: Final = 64 << 10


class NoJournal(Exception):
    """The file has no header line that can be read."""


class JournalFile:
    """One journal in a home's folder. Never written to."""

    def __init__(self, path: str) -> None:
        """Open it to read.

        Raises:
            OSError: it cannot be opened.
            NoJournal: it begins with no header, or with another journal's.
        """
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        first, newline, _ = os.pread(self._fd, _LONGEST_HEADER, 0).partition(b"\n")
        header = decode_header(first) if newline else None
        if header is None or os.path.basename(path) != f"{header.writer}-{header.pid}{SUFFIX}":
            os.close(self._fd)
            raise NoJournal(path)
        self.header: Header = header
        self.header_line = first + newline
        self.start = len(self.header_line)

    def end(self) -> int:
        return os.fstat(self._fd).st_size

    def read(self, place: int, size: int) -> bytes:
        """Whole lines from `place` on, about `size` bytes, one at least where there is one. Nothing of a line too long."""
        chunk = os.pread(self._fd, size, place)
        end = chunk.rfind(b"\n") + 1
        while not end and len(chunk) >= size and len(chunk) <= LONGEST_LINE:
            more = os.pread(self._fd, size, place + len(chunk))
            if not more:
                return b""
            end = len(chunk) + more.find(b"\n") + 1 if b"\n" in more else 0
            chunk += more
        return chunk[:end]

    def line_length(self, place: int) -> int:
        """Bytes of the line at `place`, the newline included; 0 while it has none."""
        at = place
        while chunk := os.pread(self._fd, 1 << 20, at):
            if b"\n" in chunk:
                return at + chunk.index(b"\n") + 1 - place
            at += len(chunk)
        return 0

    def forget(self, logged: int) -> None:
        """A file keeps all until it is deleted."""

    def take_lock(self) -> bool:
        """Whether no writer holds the journal, nor another shipper; held from then on, until it is closed."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def writer_gone(self) -> bool:
        """Whether its process has certainly ended, although something else holds the lock."""
        return is_gone(self.header.process)

    def delete(self) -> None:
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
