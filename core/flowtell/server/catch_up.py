"""What a reading command does before it reads: move the log up to what the journals hold now, or say how far it is behind.

It notes the ends of all journals and waits until the log has passed them, whoever moves it. Where no server runs it takes
the ingest role itself (and on a store that several servers share, the lease), for slices of at most 200 ms, and runs
projections only, without `tick`: it opens no incident and sends nothing.
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
from flowtell.errors import AskTheServer, JournalTooNew, StoreTooOld, StoreUnreachable
from flowtell.journal import FOLDER, SUFFIX
from flowtell.runner import Runner, system_clock
from flowtell.server.agent import AGENT
from flowtell.server.discovery import make_runners
from flowtell.server.ingest import Ingester
from flowtell.server.mirrors import FOLDER as MIRRORS
from flowtell.server.role import IngestRole, holder, is_taken, is_wanted
from flowtell.server.tail import too_new
from flowtell.shipping.sender import addresses
from flowtell.store import open_store
from flowtell.store.lease import Lease
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
    elsewhere: bool = False
    """Whether a server on another machine leads, which does not see the journals here."""
    shipped_to: str = ""
    """Where journals of this home go instead of this log."""

    @property
    def message(self) -> str:
        """What to tell the user; empty when everything is in."""
        if self.shipped_to:
            return f"Runs of this machine are shipped to {self.shipped_to}; this store has only what was read here before."
        if not self.behind_bytes and not self.behind_events:
            return ""
        what = f"{self.behind_bytes:,} bytes of journals" if self.behind_bytes else f"{self.behind_events:,} events"
        return f"The log is behind by {what}: {self._remedy}."

    @property
    def _remedy(self) -> str:
        if self.elsewhere:
            return "a server elsewhere leads; 'flowtell up' or 'flowtell up --agent' on this machine brings it what is here"
        if self.server:
            return "the server is still reading"
        return "run the command again to read on, or start 'flowtell up'"


def catch_up(config: Config, *, timeout: float = 2.0) -> Freshness:
    """Bring the log up to the journals' present ends, within `timeout` seconds.

    Where journals are shipped to a server elsewhere they are left alone: what was taken in here would not be sent.

    Raises:
        AskTheServer: they are, and there is no store here to read.
    """
    elsewhere = shipped_to(config)
    if elsewhere:
        if not _is_local(config):
            return Freshness()  # the server's own store, which it keeps fresh
        if not os.path.exists(config.store_url.partition(":///")[2]):
            raise AskTheServer(elsewhere)
        return Freshness(shipped_to=elsewhere)
    ends = journal_ends(config.home)
    deadline = time.monotonic() + timeout
    pass_ = _CatchUp(config, ends)
    try:
        while True:
            freshness = pass_.slice(min(deadline, time.monotonic() + SLICE_SECONDS))
            if not freshness.message or freshness.elsewhere or time.monotonic() >= deadline:
                return freshness
            time.sleep(0.005 if not freshness.server else 0.02)
    finally:
        with _uninterrupted():  # the last to close a store holds all of it for a moment
            pass_.close()


def shipped_to(config: Config) -> str:
    """The server elsewhere to which this home's journals go; empty where they are read here."""
    if is_taken(config.home):
        kind, _, url = holder(config.home).partition(", ")[2].partition(AGENT)
        return url.strip() if not kind else ""
    return ", ".join(address.url for address in addresses(config["url"])) if config["url"] else ""


def _is_local(config: Config) -> bool:
    return config.store_url.startswith("sqlite")


def journal_ends(home: str) -> dict[str, int]:
    """How long each journal is now that this flowtell can read, those that were shipped here too."""
    return {name: size for folder in (MIRRORS, FOLDER) for name, size in _sizes(os.path.join(home, folder))}


def journals_too_new(home: str) -> list[JournalTooNew]:
    """Those that a later flowtell wrote and this one leaves alone."""
    found: list[JournalTooNew] = []
    for folder in (os.path.join(home, MIRRORS), os.path.join(home, FOLDER)):
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        told = [too_new(os.path.join(folder, name)) for name in names if name.endswith(SUFFIX)]
        found += [error for error in told if error is not None]
    return found


def _sizes(folder: str) -> list[tuple[str, int]]:
    try:
        with os.scandir(folder) as entries:
            return [
                (entry.name, entry.stat().st_size)
                for entry in entries
                if entry.name.endswith(SUFFIX) and not entry.name.startswith(".") and not too_new(entry.path)
            ]
    except OSError:
        return []


class _CatchUp:
    """One command's work. Its store is opened at the first slice in which it holds the role."""

    def __init__(self, config: Config, ends: dict[str, int]) -> None:
        self._config, self._ends = config, ends
        self._store: Store | None = None
        self._lease: Lease | None = None
        self._runners: list[Runner] = []

    def slice(self, stop_at: float) -> Freshness:
        role = IngestRole(self._config.home)
        with _uninterrupted():
            if not self._config["url"] and not is_wanted(self._config.home) and role.take():
                try:
                    return self._work(stop_at)
                finally:
                    role.release()
        return self._watch()

    def _watch(self) -> Freshness:
        """Somebody else moves the log: see how far it is."""
        if self._store is None or not self._store.read_only:
            self.close()
            self._store = _opened_if_made(self._config)
        behind = sum(self._ends.values()) if self._store is None else _behind(self._store, self._ends)
        return Freshness(behind_bytes=behind, server=True)

    def _work(self, stop_at: float) -> Freshness:
        if self._store is None or self._store.read_only:
            self.close()
            self._store = open_store(self._config.store_url)
            self._lease = self._store.database.lease()
            self._runners = make_runners(self._config, self._store, effects=False)[0]
        if self._lease is None:
            return self._move(self._store, stop_at)
        if not self._lease.take():
            return Freshness(behind_bytes=_behind(self._store, self._ends), elsewhere=True)
        try:
            self._store.fence = self._lease.fence()
            return self._move(self._store, stop_at)
        finally:
            self._lease.release()

    def _move(self, store: Store, stop_at: float) -> Freshness:
        store.keep_house(system_clock())
        store.rejoin()  # others may have written between two slices
        ingester = Ingester(store, self._config.home, system_clock)
        try:
            while ingester.step(stop_at) and time.monotonic() < stop_at:
                pass
            ingester.delete_ended()
        finally:
            ingester.close()
        return Freshness(behind_bytes=_behind(store, self._ends), behind_events=self._project(store, stop_at))

    def _project(self, store: Store, stop_at: float) -> int:
        head = store.log.head()
        for runner in self._runners:
            runner.rejoin()
            runner.catch_up(head, stop_at)
        return max((head - runner.cursor for runner in self._runners if not runner.failing), default=0)

    def close(self) -> None:
        for runner in self._runners:
            runner.close(1.0)
        self._runners = []
        if self._lease is not None:
            self._lease.close()
            self._lease = None
        if self._store is not None:
            self._store.close()
            self._store = None


def _opened_if_made(config: Config) -> Store | None:
    """The store to read from, unless whoever moves the log is still making it."""
    try:
        return open_store(config.store_url, read_only=True)
    except StoreTooOld as error:
        if error.found:
            raise
    except StoreUnreachable:
        if not _is_local(config) or os.path.exists(config.store_url.partition(":///")[2]):
            raise
    return None


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
