"""Files that processes lock as long as they live, so that what a killed one held is free at once.

A life is made hidden, locked, then renamed into view, as journals are: one that is seen and not locked is over.
"""

from __future__ import annotations

import fcntl
import os
from typing import Final

from flowtell.ids import new_id
from flowtell.machine import is_locked

PREFIX: Final = "life:"
_FOLDER: Final = "lives"


class Life:
    """This process's. A forked child gets one of its own: its copy of the descriptor is closed, never unlocked."""

    def __init__(self, folder: str) -> None:
        self._folder = os.path.join(folder, _FOLDER)
        os.makedirs(self._folder, mode=0o770, exist_ok=True)
        name = new_id()
        hidden = os.path.join(self._folder, f".{name}")
        self._path = os.path.join(self._folder, name)
        self._fd = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o660)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(hidden, self._path)
        self.owner = PREFIX + name
        _sweep(self._folder)

    def abandon(self) -> None:
        """In a forked child: it is the parent's."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def end(self) -> None:
        if self._fd >= 0:
            _unlink(self._path)
            self.abandon()


def lives(folder: str, owner: str) -> bool:
    """Whether the process of that life is there."""
    return is_locked(os.path.join(folder, _FOLDER, owner.removeprefix(PREFIX)))


def _sweep(folder: str) -> None:
    """Remove what processes that are gone left. A hidden one may be about to be locked; it is left alone."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if not name.startswith(".") and not is_locked(path):
            _unlink(path)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
