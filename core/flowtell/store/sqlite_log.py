"""The log's statements on SQLite, at the driver's speed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import sqlite

from flowtell.store.database import EndedRun
from flowtell.store.line import Line
from flowtell.store.many import ManyRows
from flowtell.store.statements import EVENT_COLUMNS, LAST_SEQ, merge, set_counter
from flowtell.store.tables import counters, cursors, events, runs, task_runs

_IDS_A_QUERY: Final = 400
_INSERT: Final = ManyRows(f"INSERT INTO events ({', '.join(EVENT_COLUMNS)})", len(EVENT_COLUMNS))


class SqliteLog:
    """One process writes, so that places are counted in memory and the transaction is lock enough."""

    def __init__(self) -> None:
        self._next = 0
        self._merging: dict[str, ManyRows] = {}

    def lock(self, connection: Connection) -> None:
        """The transaction began IMMEDIATE."""

    def storable(self, lines: Sequence[Line]) -> Sequence[Line]:
        return lines

    def take(self, connection: Connection, count: int) -> int:
        if not self._next:
            self._next = 1 + _highest(connection)
        first = self._next
        self._next += count
        return first

    def forget_uncommitted(self) -> None:
        self._next = 0

    def note_highest(self, connection: Connection) -> None:
        set_counter(connection, LAST_SEQ, _highest(connection))

    def known(self, connection: Connection, ids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for part in _parts(ids):
            sql = f"SELECT id FROM events WHERE id IN ({_marks('?', part)})"
            found.update(row[0] for row in connection.exec_driver_sql(sql, tuple(part)))
        return found

    def ended_flow_runs(self, connection: Connection, runs: Sequence[str]) -> Iterable[EndedRun]:
        for part in _parts(runs):
            sql = f"SELECT id, '', ended FROM runs WHERE id IN ({_marks('?', part)}) AND ended IS NOT NULL"
            yield from connection.exec_driver_sql(sql, tuple(part))

    def ended_task_runs(self, connection: Connection, keys: Sequence[tuple[str, str]]) -> Iterable[EndedRun]:
        for part in _parts(keys):
            sql = (
                f"WITH wanted(run, id) AS (VALUES {_marks('(?,?)', part)}) SELECT t.run, t.id, t.ended FROM wanted w "
                "CROSS JOIN task_runs t ON t.run = w.run AND t.id = w.id WHERE t.ended IS NOT NULL"
            )
            yield from connection.exec_driver_sql(sql, tuple(text for key in part for text in key))

    def insert_events(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        _INSERT.execute(connection, rows)

    def merge_runs(self, connection: Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if table not in self._merging:
            self._merging[table] = _merging(table, connection)
        self._merging[table].execute(connection, rows)


def _merging(table: str, connection: Connection) -> ManyRows:
    target = runs if table == "runs" else task_runs
    columns = [column.name for column in target.columns]
    compiled = merge(sqlite.insert(target), target).compile(dialect=connection.dialect, column_keys=columns)
    assert compiled.positiontup == columns, "the merge has values of its own"
    insert, _, rest = str(compiled).partition(f" VALUES ({', '.join('?' * len(columns))}) ")
    return ManyRows(insert, len(columns), rest)


def _highest(connection: Connection) -> int:
    # the log may have been pruned empty: its numbers still go on
    newest = connection.execute(select(func.max(events.c.seq))).scalar() or 0
    noted = connection.execute(select(counters.c.value).where(counters.c.name == LAST_SEQ)).scalar() or 0
    read = connection.execute(select(func.max(cursors.c.seq))).scalar() or 0
    return int(max(newest, noted, read))


def _parts(keys: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (keys[start : start + _IDS_A_QUERY] for start in range(0, len(keys), _IDS_A_QUERY))


def _marks(mark: str, values: Sequence[Any]) -> str:
    return ",".join([mark] * len(values))
