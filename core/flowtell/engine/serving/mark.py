"""The mark of a run's process: a file that it locks as long as it lives, so that a run is begun once and seen to end.

A lock falls with its process, however that ends, so whoever serves next can tell a run that goes on from one that died;
the words in the file tell one that died from one that never began.
"""

from __future__ import annotations

import fcntl
import os
from typing import Literal, Self

import msgspec

from flowtell.decoders import decoder
from flowtell.machine import is_locked

Standing = Literal["new", "running", "paused", "ended", "died"]
"""`paused`: its process ended while the run waited for an answer and did nothing else, so that it can be begun again."""


class Words(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a mark says."""

    pid: int = 0
    writer: str = ""
    """The journal of the run's process, once it has one."""
    paused: bool = False
    ended: bool = False
    state: str = ""
    """How the run ended; empty where it never began."""


class Mark:
    """Held by the process of a run."""

    def __init__(self, path: str, fd: int) -> None:
        self._path, self._fd = path, fd
        self.words = Words(pid=os.getpid())

    @classmethod
    def take(cls, path: str) -> Self | None:
        """Begin the run; None where it was begun before, by whichever process."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_size == 0:
                mark = cls(path, fd)
                mark.write()
                return mark
        except BlockingIOError:
            pass
        os.close(fd)
        return None

    def write(self) -> None:
        words = msgspec.json.encode(self.words)
        os.pwrite(self._fd, words.ljust(200), 0)

    def say_paused(self, paused: bool) -> None:
        """Whether the run could be begun again, were this process to end now."""
        self.words.paused = paused
        self.write()

    def give_back(self) -> None:
        """As if it had never been taken: the run is not to be begun."""
        remove(self._path)
        os.close(self._fd)


def standing(path: str) -> Standing:
    """How the run stands whose mark this is."""
    if is_locked(path):
        return "running"
    words = read(path)
    if not words.pid:
        return "new"
    if words.ended:
        return "ended"
    return "paused" if words.paused else "died"


def read(path: str) -> Words:
    try:
        with open(path, "rb") as file:
            return decoder(Words)(file.read() or b"{}")
    except (OSError, msgspec.MsgspecError):
        return Words()


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
