"""A file that one process at a time keeps: replaced whole and synced, under a lock that falls with its process."""

from __future__ import annotations

import fcntl
import os
from typing import Self


class KeptFile:
    """Held from `take` to `close`, or until the process ends, however it ends."""

    def __init__(self, path: str, lock: int) -> None:
        self.path, self._lock = path, lock

    @classmethod
    def take(cls, path: str) -> Self | None:
        """None while another process keeps it.

        Raises:
            OSError: its folder takes no file.
        """
        os.makedirs(os.path.dirname(path), mode=0o770, exist_ok=True)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return cls(path, lock)

    def replace(self, content: bytes) -> None:
        """The old content stands until the new one does.

        Raises:
            OSError: the disk did not take it.
        """
        with open(f"{self.path}.new", "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{self.path}.new", self.path)

    def close(self) -> None:
        os.close(self._lock)


def holder_of(path: str) -> str:
    """The pid that last kept the file, for messages."""
    try:
        with open(f"{path}.lock", encoding="ascii", errors="replace") as file:
            return file.read(20).strip() or "unknown"
    except OSError:
        return "unknown"


def path_for(folder: str, words: str, *parts: str) -> str:
    """A path in `folder` that tells `words` to people and is of these parts alone."""
    from hashlib import blake2b

    digest = blake2b("\x1f".join(parts).encode(), digest_size=8).hexdigest()
    shown = "".join(character if character.isalnum() else "-" for character in words)[:60]
    return os.path.join(folder, f"{shown}-{digest}.json")
