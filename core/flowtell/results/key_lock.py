"""One at a time computes what is kept under one key: a lock by file, which the kernel takes from a killed holder.

The file is removed by its holder while the lock is held. Who waited for it then holds the lock of a file that nobody else
can find, sees that, and asks again. A forked child closes its copy of the descriptor and never unlocks.
"""

from __future__ import annotations

import fcntl
import os
from _thread import get_ident
from typing import Any, Final, NamedTuple


class Holder(NamedTuple):
    """Who of this process holds a key."""

    owner: Any
    thread: int
    fd: int


class KeyLock:
    """Held from `take` to `release`, by whatever thread."""

    __slots__ = ("_fd", "_path")

    def __init__(self, path: str, fd: int) -> None:
        self._path, self._fd = path, fd

    def release(self) -> None:
        holder = _held.pop(self._path, None)
        if holder is not None and holder.fd == self._fd:  # else this is a forked child
            try:
                os.unlink(self._path)
            except OSError:
                pass
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # also where a child has a copy of it
            os.close(self._fd)


def take(path: str, owner: Any, *, told: str = "") -> KeyLock | None:
    """The lock, or None where another holds it. `told` says who holds it to those that wait.

    Raises:
        OSError: the home takes no file.
    """
    while True:
        fd = _open(path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        if _is_still(path, fd):
            _held[path] = Holder(owner, get_ident(), fd)
            os.pwrite(fd, told.encode().ljust(64), 0)
            return KeyLock(path, fd)
        os.close(fd)


def holder_here(path: str) -> Holder | None:
    """Who holds it, where that is one of this process."""
    return _held.get(path)


def told_by_holder(path: str) -> str:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(64).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _open(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o660)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), mode=0o770, exist_ok=True)
        return os.open(path, flags, 0o660)


def _is_still(path: str, fd: int) -> bool:
    """Whether the file of that name is the one that is locked."""
    try:
        there, ours = os.stat(path), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


_held: Final[dict[str, Holder]] = {}


def _let_go_in_child() -> None:
    for holder in list(_held.values()):
        os.close(holder.fd)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)
