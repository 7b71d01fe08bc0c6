"""Where the book is kept on one machine: two files in the home, written in turn under a lock that each change takes.

In turn, so that a writer killed in the middle leaves the other as it was; and in place, since a file that takes another's
name is brought to disk by some file systems at once (ext4: 0.2 to 0.8 ms where this takes 2 µs). After a power cut nobody
holds anything, so nothing is synced.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import msgspec

from flowtell.decoders import decoder
from flowtell.limits.book import Book

FOLDER: Final = "limits"

_decode: Final = decoder(Book)
_encode: Final = msgspec.json.Encoder().encode
_HEAD: Final = 35
"""Bytes of a slot's first line: the number of the change, the length and the checksum of what follows, in hex."""


class _Slot(NamedTuple):
    """One of the two files, as it was read."""

    number: int
    body: bytes


class FileShelf:
    """In the folder `limits` of a home. From any thread and process."""

    def __init__(self, home: str) -> None:
        self.folder = os.path.join(home, FOLDER)
        self._paths = [os.path.join(self.folder, name) for name in ("book.0", "book.1")]
        self._lock = os.path.join(self.folder, "book.lock")
        self._seen: list[bytes] = []

    @contextmanager
    def open(self) -> Iterator[Book]:
        """The book, for this thread alone; what was changed in it is kept at the end.

        Raises:
            OSError: the home takes no file, or this thread is inside already. Nothing was changed.
        """
        if self.is_open_here():
            raise BlockingIOError(errno.EDEADLK, "this thread has the book of limits open")
        with self._locked():
            newest = max((self._read(path) for path in self._paths), key=lambda slot: slot.number)
            book = _book(newest.body)
            yield book
            body = _encode(book)
            if body != newest.body:
                self._write(newest.number + 1, body)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        except FileNotFoundError:
            os.makedirs(self.folder, mode=0o770, exist_ok=True)
            fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        _held.add(fd)
        _here.open.add(self._lock)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            _here.open.discard(self._lock)
            if fd in _held:  # a child that was forked in between has closed it
                _held.discard(fd)
                fcntl.flock(fd, fcntl.LOCK_UN)  # also where a child has a copy of it
                os.close(fd)

    def is_open_here(self) -> bool:
        """Whether this very thread is inside: whoever is called by the garbage collection in the middle of it waits for
        itself, for a generator that nobody holds any more ends its run there.
        """
        return self._lock in _here.open

    def _read(self, path: str) -> _Slot:
        """An empty book where the file is not, was cut, or is not ours."""
        try:
            with open(path, "rb", buffering=0) as file:
                text = file.read()
            number, length, checksum = (int(word, 16) for word in text[:_HEAD].split())
        except (OSError, ValueError):
            return _Slot(-1, b"{}")
        body = text[_HEAD : _HEAD + length]
        whole = len(body) == length and zlib.crc32(body) == checksum
        return _Slot(number, body) if whole else _Slot(-1, b"{}")

    def _write(self, number: int, body: bytes) -> None:
        head = b"%016x %08x %08x\n" % (number, len(body), zlib.crc32(body))
        fd = os.open(self._paths[number % 2], os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o660)
        try:
            if os.pwrite(fd, head + body, 0) != len(head) + len(body):
                raise OSError("no space is left for the book of limits")
        finally:
            os.close(fd)

    def changed(self) -> bool:
        """Whether it may have changed since this was last asked."""
        before, self._seen = self._seen, [self._head(path) for path in self._paths]
        return self._seen != before

    def _head(self, path: str) -> bytes:
        try:
            with open(path, "rb", buffering=0) as file:
                return file.read(_HEAD)
        except OSError:
            return b""


def _book(body: bytes) -> Book:
    try:
        return _decode(body)
    except msgspec.MsgspecError:  # of a release that spells it otherwise
        return Book()


class _Here(threading.local):
    """What this thread has open, by its lock's path."""

    def __init__(self) -> None:
        self.open: set[str] = set()


_here = _Here()

_held: set[int] = set()
"""Descriptors of locks that this process's threads hold or wait for."""


def _let_go_in_child() -> None:
    """A lock belongs to the open file, which a forked child shares: were it kept, it would outlive its holder."""
    _here.open.clear()
    for fd in list(_held):
        _held.discard(fd)
        os.close(fd)


os.register_at_fork(after_in_child=_let_go_in_child)
