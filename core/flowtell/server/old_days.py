"""Old events where the log lies in tables of a day (PostgreSQL): a whole day goes by dropping its table.

A day's table goes when its newest event was received before the limit, whatever its ids say: what is dated in the past but
came today stays until its time. A day that something late still keeps loses its old events row by row.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

from flowtell.store import partitions
from flowtell.store.store import Store

_DAY: Final = 86_400_000_000
_LATE: Final = _DAY
"""µs after its own time for which a day may stay for the sake of a late event before it is taken apart."""

_PATIENCE: Final = "50ms"
"""For which ingest may be held up by an attempt to drop a table that is being read."""

_ATTEMPTS, _PAUSE_SECONDS = 20, 0.25

logger = logging.getLogger("flowtell.server")


def drop_old_days(store: Store, before: int, now: int, *, dry_run: bool, go_on: Callable[[], bool]) -> int:
    """Drop the tables whose newest event was received before `before`. Returns how many events went with them.

    While the log is being read for long they are left for the next time.
    """
    gone = 0
    with store.reading() as connection:
        old = [name for name in partitions.days(connection) if _is_old(connection, name, before, now)]
    for name in old:
        if not go_on():
            break
        with store.reading() as connection:
            store.database.take_time(connection)
            events = partitions.count(connection, name)
        if not dry_run and not _drop(store, name, before):
            break  # whoever reads one table of the log holds them all
        gone += events
    return gone


def parts_of_log(store: Store) -> list[Table]:
    """Each table of the log by itself: whoever looks up places in all of them at once looks in each."""
    with store.reading() as connection:
        return [partitions.part(name) for name in (partitions.DEFAULT, *partitions.days(connection))]


def parts_with_old_events(store: Store, before: int, now: int) -> list[Table]:
    """The tables whose old events go row by row: the default one, and days that cannot be dropped yet or never will be."""
    with store.reading() as connection:
        days = partitions.days(connection)
        late = [name for name in days if not _is_old(connection, name, before, now)]
    names = [name for name in late if _is_made_ahead(name, now) or partitions.ends(name) + _LATE < before]
    return [partitions.part(name) for name in (partitions.DEFAULT, *names)]


def _is_old(connection: Connection, name: str, before: int, now: int) -> bool:
    return not _is_made_ahead(name, now) and partitions.newest_received(connection, name) < before


def _is_made_ahead(name: str, now: int) -> bool:
    """Whether housekeeping would make the table again at once."""
    return partitions.ends(name) > now - partitions.BEHIND * _DAY


def _drop(store: Store, name: str, before: int) -> bool:
    """False when readers or a late event stood in the way."""
    for attempt in range(_ATTEMPTS):
        try:
            return _drop_once(store, name, before)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
                raise
            time.sleep(_PAUSE_SECONDS if attempt < _ATTEMPTS - 1 else 0)
    logger.warning("table %s is being read and could not be dropped; it is tried again next time", name)
    return False


_LOCK_NOT_AVAILABLE: Final = "55P03"


def _drop_once(store: Store, name: str, before: int) -> bool:
    """Looked at once more where nobody can append: something late may have come."""
    with store.write() as transaction:
        store.log.hold(transaction)
        if partitions.newest_received(transaction.connection, name) >= before:
            return False
        partitions.drop(transaction.connection, name, patience=_PATIENCE)
    return True
