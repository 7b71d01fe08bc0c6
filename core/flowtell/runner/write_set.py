"""What one call of a plugin wants written, and how it is applied: all of it with the cursor, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import MetaData

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
        self._rows += max(len(rows), 1)
        if self._rows > MAX_ROWS:
            raise BadWriteSet(self._plugin, f"more than {MAX_ROWS} rows; hand them over in smaller parts")
        self._bytes += sum(len(value) for row in rows for value in row.values() if isinstance(value, str | bytes))
        if self._bytes > MAX_BYTES:
            raise BadWriteSet(self._plugin, f"more than {MAX_BYTES >> 20} MiB; hand them over in smaller parts")
        self._statements.append((statement, rows))

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


def check_names(plugin: str, tables: MetaData) -> None:
    """Refuse tables that could be somebody else's."""
    for name in tables.tables:
        if not name.startswith(f"{plugin}_") or name in core.tables:
            raise BadWriteSet(plugin, f"table {name} is not named {plugin}_…")
