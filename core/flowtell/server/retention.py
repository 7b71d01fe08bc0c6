"""Deletes what is older than its keeping time, in slices that hold the writer for less than 100 ms each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Table, delete, func, select, tuple_

from flowtell.config import DAY, Config
from flowtell.store.store import Store
from flowtell.store.tables import events, rejected, runs, task_runs, writers

ROWS_A_SLICE: Final = 2_000


def prune(
    store: Store, config: Config, *, now: int, dry_run: bool = False, go_on: Callable[[], bool] = lambda: True
) -> dict[str, int]:
    """Delete old logs, events, runs and ended writers. Returns how many of each; nothing is deleted in a dry run.

    Runs that have not ended stay, however old. `go_on` is asked between two slices.
    """
    before = {kind: now - int(config[f"retention.{kind}_days"] * DAY * 1e6) for kind in ("events", "logs", "runs")}
    parts: list[tuple[str, Table, Any]] = [
        (
            "logs",
            events,
            (events.c.received < before["logs"])
            & (events.c.type == "log.recorded")
            & (events.c.seq <= _seq_before(store, before["logs"])),
        ),
        ("events", events, events.c.seq <= _seq_before(store, before["events"])),
        ("rejected_lines", rejected, rejected.c.received < before["events"]),
        ("task_runs", task_runs, task_runs.c.ended < before["runs"]),
        ("runs", runs, runs.c.ended < before["runs"]),
        (
            "writers",
            writers,
            (writers.c.ended < before["events"]) & ~writers.c.id.in_(select(events.c.writer).distinct()),
        ),
    ]
    counted: dict[str, int] = {}
    for name, table, old in parts:
        if not go_on():
            break
        counted[name] = _count(store, table, old) if dry_run else _delete(store, table, old, go_on)
    return counted


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
    return int(store.read(select(func.count()).select_from(table).where(old))[0][0])


def _delete(store: Store, table: Table, old: Any, go_on: Callable[[], bool]) -> int:
    deleted = 0
    keys = list(table.primary_key)
    while go_on():
        doomed = store.read(select(*keys).where(old).limit(ROWS_A_SLICE))
        if not doomed:
            break
        with store.write() as transaction:
            if table is events:
                store.log.note_highest(transaction)
            transaction.connection.execute(delete(table).where(_among(keys, doomed)))
        deleted += len(doomed)
    return deleted


def _among(keys: list[Any], rows: Sequence[Any]) -> Any:
    if len(keys) == 1:
        return keys[0].in_([row[0] for row in rows])
    return tuple_(*keys).in_([tuple(row) for row in rows])
