"""The ingest role: one process at a time moves journals into the log and plugins over it, by an flock on one file."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from flowtell.errors import RoleTaken
from flowtell.server.forks import not_for_forks

FILE = "ingest.lock"
_NEXT = "ingest.next"
"""Locked by a server that waits for the role: reading commands, each of them quick, would in turn keep it out for ever."""


class IngestRole:
    """Held from `take` to `release`, or until the process ends, however it ends."""

    def __init__(self, home: str, name: str = "") -> None:
        self.home = home
        self._name = name or os.path.basename(sys.argv[0])
        self._fd = -1

    def take(self) -> bool:
        """Try once. False while another process holds it."""
        os.makedirs(self.home, mode=0o770, exist_ok=True)
        fd = os.open(os.path.join(self.home, FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        if not _lock(fd):
            os.close(fd)
            return False
        self._fd = fd
        not_for_forks(self)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()} {self._name}\n".encode(), 0)
        return True

    def release(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    close = release
    """In a fork: the lock stays with whoever took it."""


def holder(home: str) -> str:
    """Who took the role last, for messages."""
    try:
        with open(os.path.join(home, FILE), encoding="utf-8") as file:
            pid, _, command = file.read(200).strip().partition(" ")
    except OSError:
        return "unknown"
    return f"pid {pid}, {command}" if pid else "unknown"


def is_taken(home: str) -> bool:
    """Whether some process holds the role now."""
    return _is_locked(os.path.join(home, FILE))


def is_wanted(home: str) -> bool:
    """Whether a server waits for the role."""
    return _is_locked(os.path.join(home, _NEXT))


def _is_locked(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(fd)


@contextmanager
def server_role(home: str, wait: float = 3.0, name: str = "") -> Iterator[IngestRole]:
    """The role for a server's life, or an agent's. Waits a little, as a reading command lets go after 200 ms.

    Raises:
        RoleTaken: another server has it.
    """
    role = IngestRole(home, name)
    if not role.take():
        _take_within(role, wait)
    try:
        yield role
    finally:
        role.release()


def _take_within(role: IngestRole, seconds: float) -> None:
    until = time.monotonic() + seconds
    fd = os.open(os.path.join(role.home, _NEXT), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    try:
        while not role.take():
            if time.monotonic() > until:
                raise RoleTaken(role.home, holder(role.home))
            _lock(fd)
            time.sleep(0.02)
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    """Try once; whether it is ours now, or was before. It may be that somebody only looks at this very moment."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
