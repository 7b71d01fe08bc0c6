"""Whether a run has to compute its result: the look for a kept one, the turn among those that want it, and the keeping.

A run waits for it as for a future, after its arguments are there. Nothing here fails a run: where no key can be made, or
nothing be read or written, the run computes as if it had no cache, and says why.
"""

from __future__ import annotations

import os
import time
from _thread import get_ident
from collections.abc import Iterator
from hashlib import sha256
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from flowtell import bus
from flowtell.engine.logs import record as log
from flowtell.errors import (
    ResultError,
    ResultNotKept,
    ResultStorageFailed,
    ResultUnreadable,
    RunCancelled,
)
from flowtell.events import WaitsOn
from flowtell.results import key_lock
from flowtell.results.record import Known, Record, pack, unpack
from flowtell.results.storage import FOLDER

if TYPE_CHECKING:
    from flowtell.engine.kept_runs import KeptTaskRun
    from flowtell.engine.runs import Run
    from flowtell.results.storage import Storage

_LOCKS: Final = "locks"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05
"""Seconds between two looks whether another has computed the result."""


class Reuse:
    """One run's."""

    __slots__ = ("_lock", "_looked", "_name", "_run", "_storage", "_warned", "checksum", "key", "known", "location", "value")

    def __init__(self, run: KeptTaskRun) -> None:
        self._run = run
        self._lock: key_lock.KeyLock | None = None
        self._looked = False
        self._storage: Storage | None = None
        self._warned: tuple[str, ...] = ()
        self.key = self._name = ""
        """`_name` is the file's: a key may be any text."""
        self.known: Known | None = None
        """Of the result that was found; its value is `value`."""
        self.value: Any = None
        self.location = self.checksum = ""
        """Of the result that was found, or was kept."""

    # --- before the run, as for a future

    def wait(self, timeout: float | None = None) -> Reuse:
        """Until the result is known, or the run may compute it.

        Raises:
            RunCancelled: the run was cancelled meanwhile.
        """
        if self._needs_a_turn():
            from flowtell.engine.task_runners import waiting

            with waiting():
                for pause in self._until_my_turn():
                    time.sleep(pause)
        return self

    async def ended(self) -> None:
        """As `wait`, without holding up the loop."""
        import asyncio

        if self._make_key() and not self._looked and self._storage is not None and not self._storage.is_near:
            await asyncio.to_thread(self._find)
        if self._needs_a_turn():
            for pause in self._until_my_turn():
                await asyncio.sleep(pause)

    def _needs_a_turn(self) -> bool:
        """Whether the result is not known, and another run may be computing it."""
        if not self._make_key():
            return False
        if not self._looked:
            self._find()
        return self.known is None and self._lock is None

    def _make_key(self) -> bool:
        """Whether the run has one, and a place where its result is or will be."""
        run = self._run
        if not self.key and not self._looked and run.take_arguments():
            try:
                self.key = run.caching.key_of(run)
                self._storage = run.caching.kept_at() if self.key else None
            except ResultError as error:
                self._warn(error)
            self._name = sha256(self.key.encode("utf-8", "surrogatepass")).hexdigest()[:40]
            self._looked = self._storage is None
        return self._storage is not None

    def _find(self) -> None:
        """Look for the result, unless it is to be computed anew."""
        self._looked, storage = True, self._storage
        if storage is None or self._run.caching.refreshes():
            return
        place = storage.location(self._name)
        try:
            file = storage.read(self._name)
            if file is not None:
                self._take(unpack(file, place, self.key), place)
        except ResultUnreadable as error:
            self._warn(error)
        except Exception as error:  # noqa: BLE001  # whatever a file system raises
            self._warn(_failed(storage, error))

    def _take(self, found: Record, place: str) -> None:
        caching = self._run.caching
        serializer = caching.kept_by()
        if found.known.serializer != serializer.name or not found.known.is_good_at(time_ns() // 1000, caching.expiration):
            return
        try:
            self.value = serializer.loads(found.value)
        except Exception as error:  # the value's class is gone, or takes another shape by now
            raise ResultUnreadable(place, f"{type(error).__name__}: {error}") from error
        self.known, self.location, self.checksum = found.known, place, found.checksum

    def _until_my_turn(self) -> Iterator[float]:
        """Seconds to wait, again and again, until this run may compute, or another has."""
        path, pause, told = self._lock_path(), _FIRST_PAUSE, False
        while not self._take_turn(path):
            if self._waits_for_itself(path):
                return
            if not told and pause > _FIRST_PAUSE:
                told = True
                self._announce(path)
            yield pause
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            if self._run.has_ended():
                raise RunCancelled(self._run.kind, self._run.name)

    def _take_turn(self, path: str) -> bool:
        try:
            self._lock = key_lock.take(path, self._run, told=self._run.outer.run)
        except OSError as error:  # the home takes no file; so each computes
            self._warn(ResultStorageFailed(os.path.dirname(path), str(error)))
            return True
        if self._lock is None:
            return False
        self._find()  # another may have been quicker
        if self.known is not None or self._run.has_ended():
            self.release()
        return True

    def _waits_for_itself(self, path: str) -> bool:
        """Whether who holds it cannot end before this run has: it called this one, or goes on when this thread does."""
        holder = key_lock.holder_here(path)
        if holder is None:
            return False
        if holder.thread == get_ident() and self._run.work.colour == "sync":
            return True
        around: Run | None = self._run.caller
        while around is not None and around is not holder.owner:
            around = around.caller
        return around is not None

    def _announce(self, path: str) -> None:
        runs = tuple(one for one in (key_lock.told_by_holder(path),) if one)
        self._run.say_waiting((WaitsOn(kind="cache_key", name=self.key[:200], runs=runs),), first=True, reason="dependency")

    # --- after the run

    def keep(self, value: Any) -> None:
        """Keep what the run has computed. Warns where that cannot be; the run has completed all the same."""
        storage = self._storage
        if storage is None or self.location:
            return
        try:
            file, checksum = pack(self._facts(), self._dumped(value))
            storage.write(self._name, file)
        except ResultError as error:
            self._warn(error)
        except Exception as error:  # noqa: BLE001  # whatever a file system raises
            self._warn(_failed(storage, error))
        else:
            self.location, self.checksum = storage.location(self._name), checksum

    def _dumped(self, value: Any) -> bytes:
        serializer = self._run.caching.kept_by()
        try:
            return serializer.dumps(value)
        except Exception as error:
            raise ResultNotKept(self._run.work.name, serializer.name, f"{type(error).__name__}: {error}") from error

    def _facts(self) -> Known:
        run, now = self._run, time_ns() // 1000
        caching, lineage = run.caching, run.lineage
        return Known(
            key=self.key, serializer=caching.kept_by().name, created=now,
            expires=None if caching.expiration is None else now + int(caching.expiration * 1e6),
            flow=run.outer.flow, run=run.outer.run, task=run.work.name, task_run=run.id,
            made=() if lineage is None else tuple(lineage.told), provides=tuple(run.provides.values()),
            unfollowed=lineage.incomplete() if lineage is not None and run.is_incomplete else (),
        )  # fmt: skip

    def release(self) -> None:
        """Let another run have its turn. From any thread."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    # --- both

    def _lock_path(self) -> str:
        return os.path.join(bus.settings().home, FOLDER, _LOCKS, self._name)

    def _warn(self, error: ResultError) -> None:
        if error.code in self._warned:  # it looks twice: before its turn and in it
            return
        self._warned = (*self._warned, error.code)
        bus.warn_once(error)
        log(self._run, "WARNING", "flowtell.results", f"{error} [{error.code}]")


def _failed(storage: Storage, error: Exception) -> ResultStorageFailed:
    return ResultStorageFailed(storage.location("").rstrip("/"), f"{type(error).__name__}: {error}")
