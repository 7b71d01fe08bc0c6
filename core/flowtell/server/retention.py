"""Deletes what is older than its keeping time, in slices that hold the writer for less than 100 ms each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Row, Table, delete, func, literal_column, select, tuple_

from flowtell.config import DAY, Config
from flowtell.server.old_days import drop_old_days, parts_of_log, parts_with_old_events
from flowtell.store.store import Store
from flowtell.store.tables import events, rejected, runs, task_runs, writers

ROWS_A_SLICE: Final = 2_000


def prune(
    store: Store, config: Config, *, now: int, dry_run: bool = False, go_on: Callable[[], bool] = lambda: True
) -> dict[str, int]:
    """Delete old logs, events, runs and ended writers. Returns how many of each; nothing is deleted in a dry run.

    Runs that have not ended stay, however old. `go_on` is asked between two slices. Where the log lies in tables of a day,
    a day goes as a whole when its last event is old, so that events may stay two days longer.
    """
    before = {kind: now - int(config[f"retention.{kind}_days"] * DAY * 1e6) for kind in ("events", "logs", "runs")}
    counted: dict[str, int] = {}
    for name, table, old in _parts(store, before, now):
        if not go_on():
            return counted
        rows = _count(store, table, old) if dry_run else _delete(store, table, old, go_on)
        counted[name] = counted.get(name, 0) + rows
    if store.database.by_days:
        counted["events"] += drop_old_days(store, before["events"], now, dry_run=dry_run, go_on=go_on)
    return counted


def _parts(store: Store, before: dict[str, int], now: int) -> Iterator[tuple[str, Table, Any]]:
    """What it counts as, a table, and which of its rows are old."""
    end = _seq_before(store, before["logs"])
    for log in parts_of_log(store) if store.database.by_days else [events]:
        is_log = log.c.type == literal_column("'log.recorded'")  # a bound value would not match the index's condition
        yield "logs", log, (log.c.seq <= end) & (log.c.received < before["logs"]) & is_log
    end = _seq_before(store, before["events"])
    for log in parts_with_old_events(store, before["events"], now) if store.database.by_days else [events]:
        yield "events", log, log.c.seq <= end
    yield "rejected_lines", rejected, rejected.c.received < before["events"]
    yield "task_runs", task_runs, task_runs.c.ended < before["runs"]
    yield "runs", runs, runs.c.ended < before["runs"]
    silent = ~writers.c.id.in_(select(events.c.writer).distinct())
    yield "writers", writers, (writers.c.ended < before["events"]) & silent


def _seq_before(store: Store, moment: int) -> int:
    """The last place in the log that was received before `moment`: `received` has no index, but grows with `seq`."""
    low, high = 0, store.log.head()
    while low < high:
        middle = (low + high + 1) // 2
        row = store.read(
            select(events.c.seq, events.c.received).where(events.c.seq >= middle).order_by(events.c.seq).limit(1)
        )
        if row and row[0].received >= moment:
            high = middle - 1
        else:
            low = middle
    return low


def _count(store: Store, table: Table, old: Any) -> int:
    return int(_read(store, select(func.count()).select_from(table).where(old))[0][0])


def _read(store: Store, statement: Any) -> Sequence[Row[Any]]:
    """However long it takes: a table may have to be read as a whole."""
    with store.reading() as connection:
        store.database.take_time(connection)
        return connection.execute(statement).all()


def _delete(store: Store, table: Table, old: Any, go_on: Callable[[], bool]) -> int:
    """In the order of the key, each slice behind the last: what stays is read once."""
    deleted = 0
    keys = list(table.primary_key)
    key = tuple_(*keys) if len(keys) > 1 else keys[0]
    doomed = _read(store, select(*keys).where(old).order_by(*keys).limit(ROWS_A_SLICE))
    while doomed and go_on():
        with store.write() as transaction:
            if table.name == events.name:
                store.log.note_highest(transaction)
            transaction.connection.execute(delete(table).where(key.in_([_key(row) for row in doomed])))
        deleted += len(doomed)
        behind = key > (tuple_(*doomed[-1]) if len(keys) > 1 else doomed[-1][0])
        doomed = _read(store, select(*keys).where(old & behind).order_by(*keys).limit(ROWS_A_SLICE))
    return deleted


def _key(row: Sequence[Any]) -> Any:
    return row[0] if len(row) == 1 else tuple(row)
