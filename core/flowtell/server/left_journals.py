"""Journals whose writers had gone before anybody read them, as after a night without a server: many in one transaction.

One by one each costs three (its writer, its lines, its end); a thousand dead processes held a server on PostgreSQL up for
46 s.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, func, select, update

from flowtell.journal import encode_header
from flowtell.server import rejected
from flowtell.server.crash import Gone, end_open_runs
from flowtell.server.parsing import Parsed, parse
from flowtell.server.rejected import reject_torn
from flowtell.server.tail import JournalTail
from flowtell.store.log import AlreadyThere, Writer
from flowtell.store.store import Store
from flowtell.store.tables import writers

AT_ONCE: Final = 100
"""Journals a transaction, which takes some 0.1 s."""

SMALL_BYTES: Final = 16 << 10
"""A journal that is longer is read by itself, in batches of its own."""


class _Left(NamedTuple):
    """One of them, read to its end under its lock."""

    tail: JournalTail
    parsed: Parsed
    died: int
    """When it was written to last."""

    @property
    def name(self) -> str:
        return self.tail.header.writer


class LeftJournals:
    """Used by the ingester, on its thread."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store, self._clock = store, clock

    def take_in(self, tails: Sequence[JournalTail]) -> dict[str, Writer]:
        """Lines, ends and places of these journals, all or none of them. Returns the writers by their names.

        Each is small, and locked by us: nobody writes into it any more. No two are of one writer.
        """
        places = self._places([tail.header.writer for tail in tails])
        left = [_read(tail, places.get(tail.header.writer, 0), self._clock()) for tail in tails]
        try:
            return self._write(left, new=True)
        except AlreadyThere:  # one is a copy, or came by another way before
            return self._write(left, new=False)

    def _places(self, names: Sequence[str]) -> dict[str, int]:
        """How far those had been read that are known, as a server that was killed had begun with them."""
        rows = self._store.read(select(writers.c.name, writers.c.place).where(writers.c.name.in_(names)))
        return {row.name: row.place for row in rows}

    def _write(self, left: Sequence[_Left], *, new: bool) -> dict[str, Writer]:
        now = self._clock()
        with self._store.write() as transaction:
            found = self._store.log.writers(transaction, "journal", {one.name: facts_of(one.tail) for one in left})
            parts = [(found[one.name], one.parsed.events) for one in left]
            added = self._store.log.append_all(transaction, parts, now, new=new)
            lines = [(found[one.name].id, line) for one in left for line in one.parsed.rejected]
            rejected.keep(transaction.connection, lines, now)
            gone = [Gone(found[one.name].id, one.tail.header, one.died) for one in left]
            end_open_runs(self._store, transaction, gone, now)
            counts = Counter(event.writer for event in added)
            moves = [_moved(one, found[one.name], counts[one.name], now) for one in left]
            transaction.connection.execute(_MOVE, moves)
        return found


def facts_of(tail: JournalTail) -> dict[str, str]:
    """What the row of a journal's writer says of it from the beginning."""
    header = tail.header
    return {
        "file": os.path.basename(tail.path),
        "machine": header.machine,
        "environment": header.environment,
        "source": header.source,
        "header": encode_header(header),
    }


def skew(parsed: Parsed, received: int) -> float | None:
    """Smallest received - time of the events, in seconds: what the clocks differ by, plus the way."""
    return (received - max(line.event.time for line in parsed.events)) / 1e6 if parsed.events else None


def _read(tail: JournalTail, place: int, now: int) -> _Left:
    tail.place = place
    lines = tail.read()
    if lines:
        tail.place = lines[-1][0] + len(lines[-1][1]) + 1
    parsed = parse(lines)
    if torn := tail.rest():
        parsed.rejected.append(reject_torn(tail.place, torn))
    return _Left(tail, parsed, min(now, tail.last_sign_of_life()))


_MOVE: Final = (
    update(writers)
    .where(writers.c.id == bindparam("of"))
    .values(
        place=bindparam("to"),
        last_read=bindparam("at"),
        ended=bindparam("at"),
        events=writers.c.events + bindparam("more"),
        rejected=writers.c.rejected + bindparam("refused"),
        dropped=writers.c.dropped + bindparam("lost"),
        skew=func.coalesce(bindparam("off", type_=writers.c.skew.type), writers.c.skew),
    )
)


def _moved(one: _Left, writer: Writer, added: int, now: int) -> dict[str, Any]:
    return {
        "of": writer.id,
        "to": one.tail.place,
        "at": now,
        "more": added,
        "refused": len(one.parsed.rejected),
        "lost": one.parsed.dropped,
        "off": skew(one.parsed, now),
    }
