"""Moves whole lines of journals into the log, each batch with the journal's place in one transaction."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.exc import DataError, InterfaceError

from flowtell.errors import JournalTooNew
from flowtell.journal import FOLDER, SUFFIX, Header, decode_header
from flowtell.machine import is_locked
from flowtell.server import rejected
from flowtell.server.crash import Gone, end_open_runs
from flowtell.server.left_journals import AT_ONCE, SMALL_BYTES, LeftJournals, facts_of, skew
from flowtell.server.life import Life, LockLife, ShippedLife, UnseenLife
from flowtell.server.mirrors import FOLDER as MIRRORS
from flowtell.server.mirrors import Mirrors
from flowtell.server.parsing import Parsed, parse
from flowtell.server.presence import Presence, Sign
from flowtell.server.rejected import Rejected, reject, reject_torn
from flowtell.server.tail import JournalTail
from flowtell.store.log import AlreadyThere, Writer
from flowtell.store.store import Store, Transaction
from flowtell.store.tables import writers

LINES_A_BATCH: Final = 2_000
"""20,000 lines made one transaction of a second, 2,000 one of 0.1 s."""

PROBE_SECONDS: Final = 0.25
_UNSTORABLE: Final = (ArithmeticError, LookupError, TypeError, ValueError, DataError, InterfaceError)
"""What a line raises that the store cannot hold."""
_NEW_SECONDS: Final = 0.25
"""How long one pass takes in new journals."""
_MOST_ENDED: Final = 100
"""Each journal that is to be deleted is still open, and a process may open 1,024 files."""
_STALE_HIDDEN_SECONDS: Final = 60.0
_STRANGER: Final = "elsewhere"
"""Speaks for writers of another machine whose server saw their locks: they are given an agent's grace."""

_told: set[str] = set()
"""Journals too new to be read, of which the log has been told."""

logger = logging.getLogger("flowtell.server")


class Shipped(NamedTuple):
    """What a server has beside the ingester, so that journals shipped to it are judged as well as read."""

    mirrors: Mirrors
    presence: Presence


class _Followed:
    """A journal being read: its tail, its row, how its writer's life is seen, and when that was last asked."""

    def __init__(self, tail: JournalTail, writer: Writer, life: Life) -> None:
        self.tail, self.writer, self.life = tail, writer, life
        self.probed = 0.0


class Ingester:
    """Used by one thread at a time, of the process that holds the ingest role.

    Without `shipped`, as in a reading command, mirrors are read and their writers left to the next server's judgement.
    """

    def __init__(self, store: Store, home: str, clock: Callable[[], int], shipped: Shipped | None = None) -> None:
        self._store, self._clock, self._shipped = store, clock, shipped
        self._folder, self._mirrors = os.path.join(home, FOLDER), os.path.join(home, MIRRORS)
        self._followed: dict[str, _Followed] = {}
        self._ended: dict[str, _Followed] = {}
        self._left = LeftJournals(store, clock)
        self._unheld: set[str] = set()
        """New journals that nobody holds any more."""
        self._alone: set[str] = set()
        """Of those, which are to be read by themselves: long ones, and what cannot be taken in with others."""
        self.too_new: dict[str, JournalTooNew] = {}
        """Journals that are left alone, by their path: nothing of them is read, and they are not deleted."""
        self.last_pass = 0
        """When every journal had last been read to the end it had at that moment, in µs: what had been written by then is
        in the log.
        """

    # --- one pass -------------------------------------------------------------------------------------------------

    def step(self, stop_at: float = float("inf")) -> bool:
        """Read every journal onward by one chunk, probe those read to the end. Whether anything moved.

        Where thousands are new, a pass takes in some of them, so that those that are followed already do not wait.
        """
        began = self._clock()
        moved = behind = False
        new_until = float("inf")
        paths, left = self._in_turn()
        for path in paths:
            if path not in self._followed:
                new_until = min(new_until, time.monotonic() + _NEW_SECONDS)
                if time.monotonic() > new_until:
                    return True
            followed = self._follow(path)
            if followed is None:
                continue
            end = followed.tail.size()
            moved |= self._read_on(followed)
            behind |= followed.tail.has_line(before=end)  # what came meanwhile is the next pass's
            moved |= self._probe(followed)
            if time.monotonic() >= stop_at:
                return moved
        if left:
            self._take_in_left(left, min(stop_at, new_until, time.monotonic() + _NEW_SECONDS))
            return True
        if not behind:
            self.last_pass = began
        return moved

    def _in_turn(self) -> tuple[list[str], list[str]]:
        """Those that are followed, then new ones whose writers live, then others; and apart what dead writers left.

        Who runs now does not wait for thousands of dead; and a copy of a living one comes after it, so it is nobody's death.
        """
        paths = [*self._paths(self._folder), *self._paths(self._mirrors)]
        new = sorted((path for path in paths if path not in self._followed), key=os.path.basename, reverse=True)
        alive = {path for path in new if path not in self._unheld and is_locked(path)}
        self._unheld = {path for path in new if path not in alive}  # no journal's lock is taken a second time
        self._alone &= self._unheld
        left = [path for path in new if path in self._unheld and path not in self._alone and not self._is_mirror(path)]
        followed = [path for path in paths if path in self._followed]
        others = [path for path in new if path not in set(left)]
        return [*followed, *sorted(others, key=lambda path: path not in alive)], left

    def _paths(self, folder: str) -> list[str]:
        try:
            names = os.listdir(folder)
        except OSError:
            return []
        paths = [os.path.join(folder, name) for name in sorted(names) if name.endswith(SUFFIX) and not name.startswith(".")]
        return [path for path in paths if path not in self._ended and path not in self.too_new]

    def _is_mirror(self, path: str) -> bool:
        return path.startswith(self._mirrors)

    def _follow(self, path: str) -> _Followed | None:
        if path not in self._followed:
            tail = self._open(path)
            if tail is None:
                return None
            with self._store.write() as transaction:
                writer = self._store.log.writer(transaction, tail.header.writer, "journal", **facts_of(tail))
                row = transaction.connection.execute(select(writers).where(writers.c.id == writer.id)).one()
                if row.ended and self._is_mirror(path):  # it has come back
                    self._store.log.move_writer(transaction, writer, ended=None)
            tail.place = row.place
            self._followed[path] = _Followed(tail, writer, self._life(path, tail, row))
        return self._followed[path]

    def _open(self, path: str) -> JournalTail | None:
        try:
            return JournalTail(path)
        except OSError:  # deleted, or not ours to read; doctor tells of the latter
            return None
        except JournalTooNew as error:
            self._leave_alone(path, error)
            return None

    def _leave_alone(self, path: str, error: JournalTooNew) -> None:
        if path not in _told:  # once a process, as a reading command makes several ingesters
            logger.warning("%s", error)
            _told.add(path)
        self.too_new[path] = error

    def _life(self, path: str, tail: JournalTail, row: Any) -> Life:
        if not self._is_mirror(path):
            return LockLife(tail)
        if self._shipped is None:
            return UnseenLife()
        mirrors, presence = self._shipped
        if row.shipper:
            presence.remember(row.name, Sign(row.shipper, row.last_sign or 0, row.judged_after))
        return ShippedLife(tail, mirrors, mirrors.of(os.path.basename(path)), presence)

    # --- what dead writers left -----------------------------------------------------------------------------------

    def _take_in_left(self, paths: list[str], until: float) -> None:
        """Many at once, until that moment; some in any case, unless too many wait to be deleted."""
        for start in range(0, len(paths), AT_ONCE):
            if len(self._ended) >= _MOST_ENDED and not self.delete_ended():
                return
            self._take_in(self._locked(paths[start : start + AT_ONCE]))
            if time.monotonic() >= until:
                return

    def _locked(self, paths: list[str]) -> list[JournalTail]:
        """Those of them that can be taken in together, under their locks; the others are read by themselves."""
        tails: dict[str, JournalTail] = {}
        for path in paths:
            tail = self._open(path)
            if tail is not None and tail.size() <= SMALL_BYTES and tail.header.writer not in tails and tail.take_lock():
                tails[tail.header.writer] = tail
                continue
            self._alone.add(path)
            if tail is not None:
                tail.close()
        return list(tails.values())

    def _take_in(self, tails: list[JournalTail]) -> None:
        if not tails:
            return
        try:
            found = self._left.take_in(tails)
        except BaseException as error:
            for tail in tails:
                tail.close()
            if not isinstance(error, _UNSTORABLE):
                raise
            self._alone.update(tail.path for tail in tails)  # one of them holds what the store cannot: it is found there
            return
        for tail in tails:
            tail.free_lock()
            self._ended[tail.path] = _Followed(tail, found[tail.header.writer], LockLife(tail))

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
        except _UNSTORABLE as error:
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
            self._keep_rejected(transaction, followed, parsed.rejected, now)
            facts: dict[str, Any] = {"place": place, "last_read": now, "events": writers.c.events + len(added)}
            if parsed.dropped:
                facts["dropped"] = writers.c.dropped + parsed.dropped
            if parsed.events:
                facts["skew"] = skew(parsed, now)
            self._store.log.move_writer(transaction, followed.writer, **facts)
        followed.tail.place = place
        followed.life.note_logged(place)

    def _keep_rejected(self, transaction: Transaction, followed: _Followed, lines: list[Rejected], now: int) -> None:
        if lines:
            rejected.keep(transaction.connection, [(followed.writer.id, line) for line in lines], now)
            self._store.log.move_writer(transaction, followed.writer, rejected=writers.c.rejected + len(lines))

    # --- writers that are gone ------------------------------------------------------------------------------------

    def _probe(self, followed: _Followed) -> bool:
        """Ask for the lock when it is time; where it is free, read to the end under it and end what was left open."""
        now = time.monotonic()
        if now - followed.probed < PROBE_SECONDS:
            return False
        followed.probed = now
        if not followed.life.has_ended():
            return False
        try:
            self._finish(followed)
        finally:
            followed.life.release()
        return True

    def _finish(self, followed: _Followed) -> None:
        while self._read_on(followed):
            pass
        tail = followed.tail
        now = self._clock()
        died = followed.life.died(now)
        torn = tail.rest()
        with self._store.write() as transaction:
            end_open_runs(self._store, transaction, [Gone(followed.writer.id, tail.header, died)], now)
            if torn:
                self._keep_rejected(transaction, followed, [reject_torn(tail.place, torn)], now)
            self._store.log.move_writer(transaction, followed.writer, ended=now, last_read=now, **followed.life.known())
        followed.life.note_end()
        self._ended[tail.path] = self._followed.pop(tail.path)

    # --- deletion -------------------------------------------------------------------------------------------------

    def delete_ended(self) -> int:
        """Delete the journals that are wholly in the log, once a checkpoint has brought that to disk."""
        if not self._ended or not self._store.checkpoint():
            return 0
        deleted = 0
        for path, followed in list(self._ended.items()):
            deleted += self._delete(path, followed)
        self._remove_stale_hidden()
        return deleted

    def _delete(self, path: str, followed: _Followed) -> int:
        if not followed.life.delete():
            return 0
        followed.tail.close()
        del self._ended[path]
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
        for folder in (self._folder, self._mirrors):
            try:
                with os.scandir(folder) as entries:
                    yield from [entry for entry in entries if entry.name.startswith(".") and entry.name.endswith(SUFFIX)]
            except FileNotFoundError:
                continue

    # --- writers whose journals are not here ----------------------------------------------------------------------

    def end_unseen(self) -> int:
        """End the runs of writers whose journals lie elsewhere, with a server that no longer leads, once they are lost.

        Those that live are spoken for: by their shipper, or by the standby on their machine. Returns how many had ended.
        """
        if self._shipped is None:
            return 0
        seen = {followed.writer.name for followed in self._followed.values()}
        open_writers = select(writers).where(writers.c.kind == "journal", writers.c.ended.is_(None))
        unseen = [row for row in self._store.read(open_writers) if row.name not in seen]
        return sum(self._end_if_lost(row, self._shipped.presence) for row in unseen)

    def _end_if_lost(self, row: Any, presence: Presence) -> bool:
        presence.remember(row.name, Sign(row.shipper or _STRANGER, row.last_sign or 0, row.judged_after))
        if presence.verdict(row.name) != "lost":
            return False
        now = self._clock()
        header = decode_header(row.header.encode()) or Header(writer=row.name)
        died = min(now, max(row.last_sign or 0, row.last_read))
        with self._store.write() as transaction:
            end_open_runs(self._store, transaction, [Gone(row.id, header, died)], now)
            self._store.log.move_writer(transaction, Writer(row.id, row.name), ended=now)
        presence.forget(row.name)
        return True

    # --- signs of life --------------------------------------------------------------------------------------------

    def keep_signs(self) -> None:
        """Tell the store when shipped writers were last heard of, once a heartbeat, for the server after this one."""
        if self._shipped is None:
            return
        told = [
            (followed.writer, sign)
            for followed in self._followed.values()
            if followed.life.shipped and (sign := self._shipped.presence.unkept(followed.writer.name))
        ]
        if not told:
            return
        with self._store.write() as transaction:
            for writer, sign in told:
                self._store.log.move_writer(transaction, writer, **sign._asdict())

    def sync(self) -> None:
        """Bring the journals that are being read to disk. From any thread."""
        for followed in list(self._followed.values()):
            followed.tail.sync()

    def close(self) -> None:
        for followed in (*self._followed.values(), *self._ended.values()):
            followed.tail.close()
        self._followed.clear()
        self._ended.clear()
