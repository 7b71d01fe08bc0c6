"""What one call of a plugin wants written, and how it is applied: all of it with the cursor, or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import BindParameter, ClauseElement, MetaData
from sqlalchemy.sql import visitors

from flowtell.errors import BadWriteSet
from flowtell.events import Event
from flowtell.store.store import Store, Transaction
from flowtell.store.tables import metadata as core

MAX_ROWS: Final = 200_000
"""Rows of one write set; a plugin that offers more is refused, as its transaction would hold everybody up."""

MAX_BYTES: Final = 32 << 20
"""Text and bytes in the rows of one write set, for the same reason: 100 MB held the log up for seconds."""

Rows = Sequence[Mapping[str, Any]]


class WriteSet:
    """Statements with rows, and events, in the order given."""

    def __init__(self, plugin: str) -> None:
        self.events: list[Event] = []
        self._plugin = plugin
        self._statements: list[tuple[Any, Rows]] = []
        self._rows = self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._statements or self.events)

    def add(self, statement: Any, rows: Rows) -> None:
        given = (value for row in rows for value in row.values()) if rows else values_in(statement)
        self.count(max(len(rows), 1), sum(len(value) for value in given if isinstance(value, str | bytes)))
        self._statements.append((statement, rows))

    def count(self, rows: int, size: int) -> None:
        """Add to what it holds, of rows or events.

        Raises:
            BadWriteSet: that is more than one transaction may take.
        """
        self._rows += rows
        if self._rows > MAX_ROWS:
            raise BadWriteSet(self._plugin, f"more than {MAX_ROWS} rows; hand them over in smaller parts")
        self._bytes += size
        if self._bytes > MAX_BYTES:
            raise BadWriteSet(self._plugin, f"more than {MAX_BYTES >> 20} MiB; hand them over in smaller parts")

    def check(self, own: MetaData | None) -> None:
        """Refuse statements on tables that are not the plugin's. Before the transaction, which others wait for."""
        for statement, _ in self._statements:
            table = getattr(statement, "table", None)
            if table is None or own is None or table.name not in own.tables:
                raise BadWriteSet(self._plugin, f"{getattr(table, 'name', statement)!s:.80} is not one of its tables")

    def apply(self, store: Store, transaction: Transaction) -> None:
        for statement, rows in self._statements:
            if rows:
                prepared = store.prepared.get(statement, rows[0], transaction.connection)
                prepared.execute(transaction.connection, rows)
            else:
                transaction.connection.execute(statement)


def values_in(statement: Any) -> Iterator[Any]:
    """The values that stand in a statement itself."""
    if isinstance(statement, ClauseElement):
        for element in visitors.iterate(statement):
            if isinstance(element, BindParameter):
                yield element.value
        for rows in getattr(statement, "_multi_values", ()):
            for row in rows:
                yield from row.values() if isinstance(row, Mapping) else row


def check_names(plugin: str, tables: MetaData) -> None:
    """Refuse tables that could be somebody else's."""
    for name in tables.tables:
        if not name.startswith(f"{plugin}_") or name in core.tables:
            raise BadWriteSet(plugin, f"table {name} is not named {plugin}_…")
