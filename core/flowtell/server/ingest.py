"""Moves whole lines of journals into the log, each batch with the journal's place in one transaction."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.exc import DataError, InterfaceError

from flowtell.journal import FOLDER, SUFFIX, encode_header
from flowtell.server.crash import crash_events
from flowtell.server.parsing import Parsed, Rejected, parse, reject
from flowtell.server.tail import JournalTail
from flowtell.store.log import AlreadyThere, Line, Writer
from flowtell.store.statements import insert_for
from flowtell.store.store import Store, Transaction
from flowtell.store.tables import rejected, writers

LINES_A_BATCH: Final = 2_000
"""20,000 lines made one transaction of a second, 2,000 one of 0.1 s."""

PROBE_SECONDS: Final = 0.25
_STALE_HIDDEN_SECONDS: Final = 60.0
_INGESTER: Final = "ingest"


class _Followed:
    """A journal being read: its tail, its row, and when its lock was last asked for."""

    def __init__(self, tail: JournalTail, writer: Writer) -> None:
        self.tail, self.writer = tail, writer
        self.probed = 0.0
        self.seen_alive = False


class Ingester:
    """Used by one thread at a time, of the process that holds the ingest role."""

    def __init__(self, store: Store, home: str, clock: Callable[[], int]) -> None:
        self._store, self._clock = store, clock
        self._folder = os.path.join(home, FOLDER)
        self._followed: dict[str, _Followed] = {}
        self._ended: dict[str, _Followed] = {}
        self.last_pass = 0
        """When every journal had last been read to the end it had at that moment, in µs."""

    # --- one pass -------------------------------------------------------------------------------------------------

    def step(self, stop_at: float = float("inf")) -> bool:
        """Read every journal onward by one chunk, probe those read to the end. Whether anything moved."""
        began = self._clock()
        moved = behind = False
        for name in self._names():
            followed = self._follow(name)
            if followed is None:
                continue
            moved |= self._read_on(followed)
            behind |= followed.tail.has_line()
            moved |= self._probe(followed)
            if time.monotonic() >= stop_at:
                return moved
        if not behind:
            self.last_pass = began
        return moved

    def _names(self) -> list[str]:
        try:
            names = os.listdir(self._folder)
        except OSError:
            return []
        return sorted(
            name for name in names if name.endswith(SUFFIX) and not name.startswith(".") and name not in self._ended
        )

    def _follow(self, name: str) -> _Followed | None:
        if name not in self._followed:
            try:
                tail = JournalTail(os.path.join(self._folder, name))
            except OSError:  # deleted, or not ours to read; doctor tells of the latter
                return None
            with self._store.write() as transaction:
                writer = self._register(transaction, tail, name)
                row = transaction.connection.execute(select(writers).where(writers.c.id == writer.id)).one()
            tail.place = row.place
            self._followed[name] = _Followed(tail, writer)
        return self._followed[name]

    def _register(self, transaction: Transaction, tail: JournalTail, name: str) -> Writer:
        header = tail.header
        return self._store.log.writer(
            transaction,
            header.writer,
            "journal",
            file=name,
            machine=header.machine,
            environment=header.environment,
            source=header.source,
            header=encode_header(header),
        )

    # --- lines into the log ---------------------------------------------------------------------------------------

    def _read_on(self, followed: _Followed) -> bool:
        lines = followed.tail.read()
        if len(lines) > LINES_A_BATCH:  # whole batches; the rest comes with the next chunk rather than as a small one
            del lines[len(lines) - len(lines) % LINES_A_BATCH :]
        for start in range(0, len(lines), LINES_A_BATCH):
            self._append(followed, lines[start : start + LINES_A_BATCH])
        return bool(lines)

    def _append(self, followed: _Followed, lines: list[tuple[int, bytes]]) -> None:
        try:
            self._append_parsed(followed, lines, parse(lines))
        except (ArithmeticError, LookupError, TypeError, ValueError, DataError, InterfaceError) as error:
            if len(lines) == 1:
                n, line = lines[0]
                self._append_parsed(followed, lines, Parsed([], [reject(n, line, f"{type(error).__name__}: {error}")], 0))
                return
            half = len(lines) // 2  # one of them holds what the store cannot: the others go in all the same
            self._append(followed, lines[:half])
            self._append(followed, lines[half:])

    def _append_parsed(self, followed: _Followed, lines: list[tuple[int, bytes]], parsed: Parsed) -> None:
        try:
            self._write(followed, lines, parsed, new=True)
        except AlreadyThere:  # written twice, or sent by another way before
            self._write(followed, lines, parsed, new=False)

    def _write(self, followed: _Followed, lines: list[tuple[int, bytes]], parsed: Parsed, *, new: bool) -> None:
        place = lines[-1][0] + len(lines[-1][1]) + 1
        now = self._clock()
        with self._store.write() as transaction:
            added = self._store.log.append(transaction, followed.writer, parsed.events, now, new=new)
            self._keep_rejected(transaction, followed, parsed.rejected)
            facts: dict[str, Any] = {"place": place, "last_read": now, "events": writers.c.events + len(added)}
            if parsed.dropped:
                facts["dropped"] = writers.c.dropped + parsed.dropped
            if parsed.events:
                facts["skew"] = _skew(parsed.events, now)
            self._store.log.move_writer(transaction, followed.writer, **facts)
        followed.tail.place = place

    def _keep_rejected(self, transaction: Transaction, followed: _Followed, lines: list[Rejected]) -> None:
        if not lines:
            return
        rows = [{"writer": followed.writer.id, "received": self._clock(), **line._asdict()} for line in lines]
        transaction.connection.execute(insert_for(transaction.connection.dialect, rejected).on_conflict_do_nothing(), rows)
        self._store.log.move_writer(transaction, followed.writer, rejected=writers.c.rejected + len(lines))

    # --- writers that are gone ------------------------------------------------------------------------------------

    def _probe(self, followed: _Followed) -> bool:
        """Ask for the lock when it is time; where it is free, read to the end under it and end what was left open."""
        now = time.monotonic()
        if now - followed.probed < PROBE_SECONDS:
            return False
        followed.probed = now
        tail = followed.tail
        if tail.take_lock():
            try:
                self._finish(followed)
            finally:
                tail.free_lock()
        elif tail.writer_gone():
            self._finish(followed)
        else:
            followed.seen_alive = True
            return False
        return True

    def _finish(self, followed: _Followed) -> None:
        while self._read_on(followed):
            pass
        tail = followed.tail
        now = self._clock()
        # a death that we did not see happen lies near the last line, which may be long ago
        died = now if followed.seen_alive else min(now, tail.last_sign_of_life())
        torn = tail.rest()
        with self._store.write() as transaction:
            crashed = crash_events(transaction.connection, followed.writer.id, tail.header, died)
            if crashed:
                self._emit(transaction, crashed, now)
            if torn:
                self._keep_rejected(transaction, followed, [reject(tail.place, torn, "cut by the death of its writer")])
            self._store.log.move_writer(transaction, followed.writer, ended=now, last_read=now)
        name = os.path.basename(tail.path)
        self._ended[name] = self._followed.pop(name)

    def _emit(self, transaction: Transaction, events: Any, now: int) -> None:
        own = self._store.log.writer(transaction, _INGESTER, "ingest")
        written = transaction.connection.execute(select(writers.c.place).where(writers.c.id == own.id)).scalar_one()
        self._store.log.append_events(transaction, own, events, now, written)
        self._store.log.move_writer(transaction, own, place=written + len(events), last_read=now)

    # --- deletion -------------------------------------------------------------------------------------------------

    def delete_ended(self) -> int:
        """Delete the journals that are wholly in the log, once a checkpoint has brought that to disk."""
        if not self._ended or not self._store.checkpoint():
            return 0
        deleted = 0
        for name, followed in list(self._ended.items()):
            deleted += self._delete(name, followed)
        self._remove_stale_hidden()
        return deleted

    def _delete(self, name: str, followed: _Followed) -> int:
        tail = followed.tail
        if not tail.take_lock():  # a stray child still holds it: later
            return 0
        if not tail.has_line():
            tail.delete()
        tail.close()
        del self._ended[name]
        return 1

    def _remove_stale_hidden(self) -> None:
        """Files of writers that died between making and showing their journal."""
        for entry in self._hidden():
            try:
                if time.time() - entry.stat().st_mtime > _STALE_HIDDEN_SECONDS:
                    os.unlink(entry.path)
            except OSError:
                continue

    def _hidden(self) -> Iterator[os.DirEntry[str]]:
        with os.scandir(self._folder) as entries:
            yield from [entry for entry in entries if entry.name.startswith(".") and entry.name.endswith(SUFFIX)]

    def sync(self) -> None:
        """Bring the journals that are being read to disk. From any thread."""
        for followed in list(self._followed.values()):
            followed.tail.sync()

    def close(self) -> None:
        for followed in (*self._followed.values(), *self._ended.values()):
            followed.tail.close()
        self._followed.clear()
        self._ended.clear()


def _skew(lines: list[Line], received: int) -> float:
    """Smallest received - time of the batch, in seconds: what the clocks differ by, plus the way."""
    return (received - max(line.event.time for line in lines)) / 1e6
