"""How rows get into each kind of store, fast and in one transaction."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Protocol

from sqlalchemy import Connection

from flowtell.store import partitions
from flowtell.store.tables import events
from flowtell.store.transfer.layout import TableLayout
from flowtell.store.transfer.rows import Row, RowFormat

_NUL: Final = b"\\u0000"
_DAYS_WITH_TABLES: Final = 400
_EVENTS_WORTH_A_TABLE: Final = 500
"""Of one day in one batch. Days with fewer lie in the default table, which retention goes through row by row."""


class Target(Protocol):
    """One store that is being filled."""

    replaced: int
    """Rows whose text could not be kept to the letter."""

    def storable(self, layout: TableLayout, batch: Sequence[tuple[bytes, Row]]) -> Sequence[tuple[bytes, Row]]:
        """The rows as this kind of store can hold them."""
        ...

    def insert(self, layout: TableLayout, rows: Sequence[Row]) -> None: ...

    def analyze(self) -> None:
        """Let the database know what it holds now, in the same transaction."""
        ...


def target_of(connection: Connection) -> Target:
    return PostgresTarget(connection) if connection.dialect.name == "postgresql" else SqliteTarget(connection)


class SqliteTarget:
    """By the driver's own loop."""

    replaced = 0

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def storable(self, layout: TableLayout, batch: Sequence[tuple[bytes, Row]]) -> Sequence[tuple[bytes, Row]]:
        return batch

    def insert(self, layout: TableLayout, rows: Sequence[Row]) -> None:
        columns, marks = _quoted(layout), ", ".join("?" * len(layout.columns))
        self._connection.exec_driver_sql(f'INSERT INTO "{layout.name}" ({columns}) VALUES ({marks})', list(rows))

    def analyze(self) -> None:
        """A few samples of each index, as its documentation advises."""
        self._connection.exec_driver_sql("PRAGMA analysis_limit=400")
        self._connection.exec_driver_sql("ANALYZE")


class PostgresTarget:
    """By COPY; the log into tables of days, which are made where many events come."""

    def __init__(self, connection: Connection) -> None:
        self.replaced = 0
        self._connection = connection
        self._days = set(partitions.days(connection))

    def storable(self, layout: TableLayout, batch: Sequence[tuple[bytes, Row]]) -> Sequence[tuple[bytes, Row]]:
        """U+0000 in text as U+FFFD, as the log does with what is ingested."""
        if not any(_NUL in line for line, _ in batch):
            return batch
        encode = RowFormat(layout).encode
        return [(line, row) if _NUL not in line else self._without_nul(line, row, encode) for line, row in batch]

    def _without_nul(self, line: bytes, row: Row, encode: Any) -> tuple[bytes, Row]:
        kept = tuple(value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in row)
        if kept == row:  # it only speaks of it
            return line, row
        self.replaced += 1
        return encode(kept), kept

    def insert(self, layout: TableLayout, rows: Sequence[Row]) -> None:
        from flowtell.store.postgres_log import copy_rows

        if layout.name == events.name:
            self._make_days(layout, rows)
        booleans = layout.places("boolean")
        rows = [_with_booleans(row, booleans) for row in rows] if booleans else rows
        copy_rows(self._connection, f'COPY "{layout.name}" ({_quoted(layout)}) FROM STDIN', rows)

    def _make_days(self, layout: TableLayout, rows: Sequence[Row]) -> None:
        at = layout.names.index("id")
        today = int(time.time() * 1000) // partitions.DAY
        for day, count in Counter(_day(row[at]) for row in rows).items():
            wanted = today - _DAYS_WITH_TABLES < day <= today and count >= _EVENTS_WORTH_A_TABLE
            name = partitions.name_of(day) if wanted else ""
            if name and name not in self._days:
                partitions.make(self._connection, name)
                self._days.add(name)

    def analyze(self) -> None:
        self._connection.exec_driver_sql("ANALYZE")


def _with_booleans(row: Row, places: Sequence[int]) -> Row:
    return tuple(bool(value) if at in places and value is not None else value for at, value in enumerate(row))


def _day(id: str) -> int:
    try:
        return int(id[:12], 16) // partitions.DAY
    except ValueError:
        return 0


def _quoted(layout: TableLayout) -> str:
    return ", ".join(f'"{name}"' for name in layout.names)
