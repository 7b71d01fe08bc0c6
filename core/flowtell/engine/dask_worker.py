"""What runs on a Dask worker for a `DaskTaskRunner`: one call, in a thread of the worker.

Its events go by one of two ways. Where the worker's environment names a server (`FLOWTELL_URL`), the worker has a journal
of its own, which ships as any other. Where it does not, they come back with the reply, and are lost with a killed worker.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import threading
from contextvars import ContextVar
from typing import Any, Final

from flowtell import bus
from flowtell.engine.far_runs import perform
from flowtell.journal import new_header
from flowtell.machine import this_process
from flowtell.version import VERSION

_MOST_BYTES: Final = 64_000_000
"""Of events that come back with one reply; what is more is dropped and counted."""


def perform_on_dask(package: bytes, key: str, *, topic: str, origin: tuple[Any, ...]) -> bytes:
    """Say that it begins, make the call of a pickled package, and return the pickled reply."""
    from distributed import get_worker

    worker = get_worker()
    worker.log_event(topic, {"key": key, "worker": f"{worker.address} (process {os.getpid()})"})
    if tuple(this_process()) != origin:  # else a worker in the flow's own process, whose journal it shares
        _have_events_brought_back()
    lines = _Lines()
    outer = _brought_back.set(lines)
    with _guard:
        _running[key] = threading.get_ident()
    try:
        reply = perform(pickle.loads(package))  # noqa: S301  # from the flow that this worker works for
    finally:
        with _guard:
            del _running[key]
        _brought_back.reset(outer)
    return pickle.dumps(reply._replace(lines=tuple(lines.taken)), pickle.HIGHEST_PROTOCOL)


class Interrupted(KeyboardInterrupt):
    """The flow run around a body was cancelled."""


_guard = threading.Lock()
_running: dict[str, int] = {}
"""By key the thread that is at it."""


def interrupt(keys: list[str]) -> None:
    """Have these bodies see a Ctrl-C at their next step in Python; one that sits in C code does not hear of it."""
    with _guard:
        for key in keys:
            thread = _running.get(key)
            if thread is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Interrupted))


class _Lines:
    """What one call has emitted."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self._room = _MOST_BYTES

    def take(self, line: bytes) -> bool:
        if len(line) > self._room:
            return False
        self._room -= len(line)
        self.taken.append(line.rstrip(b"\n"))
        return True


_brought_back: ContextVar[_Lines | None] = ContextVar("flowtell_brought_back", default=None)


class _BringingBack:
    """In place of this process's journal: each event goes to the call that it was emitted in."""

    path = ""
    unreported = 0

    def __init__(self) -> None:
        self.header = new_header("", "", VERSION)

    def write(self, line: bytes) -> bool:
        lines = _brought_back.get()
        return lines is not None and lines.take(line)

    def close(self) -> None:
        """Nothing is held."""


def _have_events_brought_back() -> None:
    """Once in this process, unless its events are shipped."""
    global _is_settled
    with _guard:
        if not _is_settled and not bus.settings()["url"]:
            bus.write_through(_BringingBack())
        _is_settled = True


_is_settled = False
