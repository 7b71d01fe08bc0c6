"""What a reading command does before it reads: move the log up to what the journals hold now, or say how far it is behind.

It notes the ends of all journals and waits until the log has passed them, whoever moves it. Where no server runs it takes
the ingest role itself, for slices of at most 200 ms, and runs projections only, without `tick`: it opens no incident and
sends nothing.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec
from sqlalchemy import select

from flowtell.config import Config
from flowtell.journal import FOLDER, SUFFIX
from flowtell.runner import Runner, system_clock
from flowtell.server.discovery import make_runners
from flowtell.server.ingest import Ingester
from flowtell.server.role import IngestRole
from flowtell.store import open_store
from flowtell.store.store import Store
from flowtell.store.tables import writers

SLICE_SECONDS: Final = 0.2


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """How the log stands to the journals as they were when the command began."""

    behind_bytes: int = 0
    behind_events: int = 0
    """Of the slowest projection."""
    server: bool = False
    """Whether another process holds the ingest role."""

    @property
    def message(self) -> str:
        """What to tell the user; empty when everything is in."""
        if not self.behind_bytes and not self.behind_events:
            return ""
        what = f"{self.behind_bytes:,} bytes of journals" if self.behind_bytes else f"{self.behind_events:,} events"
        who = "the server is still reading" if self.server else "run the command again to read on, or start 'flowtell up'"
        return f"The log is behind by {what}: {who}."


def catch_up(config: Config, *, timeout: float = 2.0) -> Freshness:
    """Bring the log up to the journals' present ends, within `timeout` seconds."""
    ends = journal_ends(config.home)
    deadline = time.monotonic() + timeout
    pass_ = _CatchUp(config, ends)
    try:
        while True:
            freshness = pass_.slice(min(deadline, time.monotonic() + SLICE_SECONDS))
            if not freshness.message or time.monotonic() >= deadline:
                return freshness
            time.sleep(0.005 if not freshness.server else 0.02)
    finally:
        with _uninterrupted():  # the last to close a store holds all of it for a moment
            pass_.close()


def journal_ends(home: str) -> dict[str, int]:
    """How long each journal is now."""
    try:
        with os.scandir(os.path.join(home, FOLDER)) as entries:
            return {
                entry.name: entry.stat().st_size
                for entry in entries
                if entry.name.endswith(SUFFIX) and not entry.name.startswith(".")
            }
    except OSError:
        return {}


class _CatchUp:
    """One command's work. Its store is opened at the first slice in which it holds the role."""

    def __init__(self, config: Config, ends: dict[str, int]) -> None:
        self._config, self._ends = config, ends
        self._store: Store | None = None
        self._runners: list[Runner] = []

    def slice(self, stop_at: float) -> Freshness:
        role = IngestRole(self._config.home)
        with _uninterrupted():
            if role.take():
                try:
                    return self._work(stop_at)
                finally:
                    role.release()
        return self._watch()

    def _watch(self) -> Freshness:
        """Somebody else moves the log: see how far it is."""
        if self._store is None or not self._store.read_only:
            self.close()
            self._store = open_store(self._config.store_url, read_only=True)
        return Freshness(behind_bytes=_behind(self._store, self._ends), server=True)

    def _work(self, stop_at: float) -> Freshness:
        if self._store is None or self._store.read_only:
            self.close()
            self._store = open_store(self._config.store_url)
            self._runners = make_runners(self._config, self._store, effects=False)[0]
        self._store.log.forget_uncommitted()  # others may have written between two slices
        self._store.window.restart(self._store.log.head())
        ingester = Ingester(self._store, self._config.home, system_clock)
        try:
            while ingester.step(stop_at) and time.monotonic() < stop_at:
                pass
            ingester.delete_ended()
        finally:
            ingester.close()
        return Freshness(behind_bytes=_behind(self._store, self._ends), behind_events=self._project(stop_at))

    def _project(self, stop_at: float) -> int:
        assert self._store is not None
        head = self._store.log.head()
        for runner in self._runners:
            runner.rejoin()
            runner.catch_up(head, stop_at)
        return max((head - runner.cursor for runner in self._runners if not runner.failing), default=0)

    def close(self) -> None:
        for runner in self._runners:
            runner.close(1.0)
        self._runners = []
        if self._store is not None:
            self._store.close()
            self._store = None


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """A Ctrl-Z waits until role and store are free again: stopped with them, the command would hold them for ever."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _behind(store: Store, ends: dict[str, int]) -> int:
    """Bytes of the journals, up to those ends, that the log lacks. A torn last line is not waited for."""
    rows: Sequence[tuple[str, int, int | None]] = [
        tuple(row) for row in store.read(select(writers.c.file, writers.c.place, writers.c.ended))
    ]
    known = {file: end if ended else place for file, place, ended in rows for end in [ends.get(file, 0)]}
    return sum(max(end - known.get(name, 0), 0) for name, end in ends.items())
