"""The log's statements on PostgreSQL: batches by COPY, order by one lock.

Identity order is not commit order there, so that a plain `seq > cursor` loses events. Whoever appends takes one advisory
lock first and draws places from a row that a rollback restores: `seq` has no holes, and its order is that of the commits
(docs/decisions/0009).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, MetaData, Table, make_url, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from flowtell.events import decode
from flowtell.store.database import EndedRun
from flowtell.store.line import Line
from flowtell.store.statements import EVENT_COLUMNS, LAST_SEQ, RUN_COLUMNS, TASK_RUN_COLUMNS, add_to_counter, merge
from flowtell.store.tables import runs, task_runs

LOG_LOCK: Final = 4727_0002
"""Key of the advisory lock of those who append."""

_DIALECT: Final = make_url("postgresql+psycopg://").get_dialect()()
_COPY_EVENTS: Final = f"COPY events ({', '.join(EVENT_COLUMNS)}) FROM STDIN"


class PostgresLog:
    """Used by several processes at a time, if need be."""

    def __init__(self) -> None:
        self._stages = {"runs": _Stage(runs, RUN_COLUMNS), "task_runs": _Stage(task_runs, TASK_RUN_COLUMNS)}

    def lock(self, connection: Connection) -> None:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (LOG_LOCK,))

    def storable(self, lines: Sequence[Line]) -> Sequence[Line]:
        """U+0000 as U+FFFD: PostgreSQL's text cannot hold it, and the event shall not be lost for it."""
        return [_without_nul(line) if _NUL in line.body else line for line in lines]

    def take(self, connection: Connection, count: int) -> int:
        return add_to_counter(connection, LAST_SEQ, count) - count + 1

    def forget_uncommitted(self) -> None:
        """The rollback has restored the counter."""

    def note_highest(self, connection: Connection) -> None:
        """The counter knows it, whatever is deleted."""

    def known(self, connection: Connection, ids: Sequence[str]) -> set[str]:
        rows = connection.exec_driver_sql("SELECT id FROM events WHERE id = ANY(%s)", (list(ids),))
        return {row[0] for row in rows}

    def ended_flow_runs(self, connection: Connection, runs: Sequence[str]) -> Iterable[EndedRun]:
        if not runs:
            return ()
        sql = "SELECT id, '', ended FROM runs WHERE id = ANY(%s) AND ended IS NOT NULL"
        return connection.exec_driver_sql(sql, (list(runs),))

    def ended_task_runs(self, connection: Connection, keys: Sequence[tuple[str, str]]) -> Iterable[EndedRun]:
        if not keys:
            return ()
        sql = (
            "SELECT t.run, t.id, t.ended FROM unnest(%s::text[], %s::text[]) w(run, id) "
            "JOIN task_runs t ON t.run = w.run AND t.id = w.id WHERE t.ended IS NOT NULL"
        )
        return connection.exec_driver_sql(sql, ([run for run, _ in keys], [task_run for _, task_run in keys]))

    def insert_events(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        copy_rows(connection, _COPY_EVENTS, rows)

    def merge_runs(self, connection: Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._stages[table].merge(connection, rows)


_NUL: Final = b"\\u0000"
_ESCAPED_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")  # after an odd number of backslashes it is text


def _without_nul(line: Line) -> Line:
    body = _ESCAPED_NUL.sub(rb"\1\\ufffd", line.body)
    return Line(decode(body), body, line.n)


class _Stage:
    """Rows are copied into a table of the session's own, then merged in one statement: a sixth of what VALUES costs."""

    def __init__(self, target: Table, columns: Sequence[str]) -> None:
        self._name = f"{target.name}_stage"
        staged = Table(self._name, MetaData(), *[column._copy() for column in target.columns])  # noqa: SLF001  # public nowhere
        insert = postgresql.insert(target).from_select(list(columns), select(*[staged.c[name] for name in columns]))
        self._merge = str(merge(insert, target).compile(dialect=_DIALECT))
        self._make = f"CREATE TEMP TABLE IF NOT EXISTS {self._name} (LIKE {target.name}) ON COMMIT DELETE ROWS"
        self._copy = f"COPY {self._name} ({', '.join(columns)}) FROM STDIN"

    def merge(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        connection.exec_driver_sql(self._make)
        copy_rows(connection, self._copy, rows)
        connection.exec_driver_sql(self._merge)
        connection.exec_driver_sql(f"TRUNCATE {self._name}")


def copy_rows(connection: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """COPY … FROM STDIN of these rows, in the connection's transaction; its errors are SQLAlchemy's."""
    raw: Any = connection.connection.driver_connection
    with _as_sqlalchemy(connection, sql), raw.cursor() as cursor, cursor.copy(sql) as copy:
        write = copy.write_row
        for row in rows:
            write(row)


@contextmanager
def _as_sqlalchemy(connection: Connection, sql: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        gone = connection.dialect.is_disconnect(error, None, None)  # type: ignore[arg-type]
        raise DBAPIError.instance(
            sql, None, error, psycopg.Error, connection_invalidated=gone, dialect=connection.dialect
        ) from error
