"""How another process of this machine reaches the runs of this one: a file beside the journal, and a thread that reads it.

The thread exists only where flowtell started the process (`run`, `serve`, the process of a due run): it looks a few times a
second at the file's size, and no task pays for it. That the file exists says that somebody listens.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

import msgspec

from flowtell import bus
from flowtell.cancelling.control import CONTROL, Request, control_path
from flowtell.decoders import decoder
from flowtell.journal import SUFFIX

_EVERY: Final = 0.2
"""Seconds between two looks."""


class Listener:
    """Reads requests until it is closed."""

    def __init__(self, path: str, heed: Callable[[Request], None], glance: Callable[[], None]) -> None:
        self._path, self._heed, self._glance = path, heed, glance
        self._closed = threading.Event()
        self._place = 0
        if path:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o660))
            self._thread = threading.Thread(target=self._listen, name="flowtell-control", daemon=True)
            self._thread.start()

    def _listen(self) -> None:
        while not self._closed.wait(_EVERY):
            self._glance()
            try:
                if os.stat(self._path).st_size > self._place:
                    self._read()
            except OSError:  # the home went away
                return

    def _read(self) -> None:
        with open(self._path, "rb") as file:
            file.seek(self._place)
            lines = file.read(1_000_000).rpartition(b"\n")[0]
        self._place += len(lines) + 1 if lines else 0
        for line in lines.splitlines():
            try:
                request = decoder(Request)(line)
            except msgspec.MsgspecError:
                continue
            self._heed(request)

    def close(self) -> None:
        if self._path:
            self._closed.set()
            self._thread.join(2.0)
            try:
                os.unlink(self._path)
            except OSError:
                pass


def listen(heed: Callable[[Request], None], glance: Callable[[], None] = lambda: None) -> Listener:
    """Call `heed`, on a thread of its own, with what others ask of this process. Nothing where it has no journal's file.

    `glance` is called there at each look; it raises nothing.
    """
    journal = bus.open_journal_path()
    path = control_path(journal) if journal else ""
    if path:
        _sweep(os.path.dirname(path))
    try:
        return Listener(path, heed, glance)
    except OSError:
        return Listener("", heed, glance)


def _sweep(folder: str) -> None:
    """Remove what killed processes left, whose journals are gone."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.endswith(CONTROL) and not os.path.exists(path.removesuffix(CONTROL) + SUFFIX):
            try:
                os.unlink(path)
            except OSError:
                pass
