"""One consistent state of a store, read table by table while others go on writing to it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, func, inspect, select, text

from flowtell.store.statements import LAST_SEQ
from flowtell.store.store import Store
from flowtell.store.tables import SCHEMA_VERSION, counters, cursors, events, leases, metadata
from flowtell.store.transfer.layout import TableLayout, layout_of
from flowtell.store.transfer.numbers import numbers_of
from flowtell.store.transfer.rows import Row, RowFormat
from flowtell.store.transfer.source import BATCH, FORMAT, Header
from flowtell.version import VERSION

LEFT_OUT: Final = frozenset({leases.name})
"""Who leads on a database is a matter of that database."""


@contextmanager
def snapshot_of(store: Store, plugins: Iterable[str] = ()) -> Iterator[Snapshot]:
    """The store as it is now: the core's tables, and those of plugins that have read the log or are named."""
    with store.reading() as connection:
        store.database.take_time(connection)
        yield Snapshot(store, connection, plugins)


class Snapshot:
    """A source. Belongs to one read transaction."""

    def __init__(self, store: Store, connection: Connection, plugins: Iterable[str]) -> None:
        self.name = store.url.render_as_string()
        self._connection = connection
        names = _tables(connection, plugins)
        self.header = Header(
            flowtell_export=FORMAT,
            schema=SCHEMA_VERSION,
            version=VERSION,
            made=time.time_ns() // 1000,
            tables=tuple(layout_of(connection, name) for name in names),
            rows={name: count_rows(connection, name) for name in names},
            numbers=numbers_of(connection, names),
        )

    def batches(self, layout: TableLayout) -> Iterator[Sequence[tuple[bytes, Row]]]:
        encode = RowFormat(layout).encode
        found = self._counters(layout) if layout.name == counters.name else read_rows(self._connection, layout)
        for rows in found:
            yield [(encode(row), tuple(row)) for row in rows]

    def _counters(self, layout: TableLayout) -> Iterator[Sequence[Sequence[Any]]]:
        """With the highest place ever given in the log, which SQLite writes down only when events are deleted."""
        rows = {row[0]: row[1] for batch in read_rows(self._connection, layout) for row in batch}
        known = (self._connection.execute(select(func.max(place))).scalar() for place in (events.c.seq, cursors.c.seq))
        rows[LAST_SEQ] = max(rows.get(LAST_SEQ, 0), *(place or 0 for place in known))
        yield [tuple({"name": name, "value": value}[column] for column in layout.names) for name, value in rows.items()]


def _tables(connection: Connection, plugins: Iterable[str]) -> list[str]:
    """The core's in the order in which it makes them, then the plugins', which begin with the plugin's name."""
    own = [table.name for table in metadata.sorted_tables if table.name not in LEFT_OUT]
    met = [row.plugin for row in connection.execute(select(cursors.c.plugin))]
    fronts = tuple(f"{name}_" for name in {*met, *plugins})
    others = [
        name for name in inspect(connection).get_table_names() if name.startswith(fronts) and name not in metadata.tables
    ]
    return [*own, *sorted(others)]


def count_rows(connection: Connection, name: str) -> int:
    return int(connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one())


def read_rows(connection: Connection, layout: TableLayout) -> Iterator[Sequence[Sequence[Any]]]:
    """All rows in parts, the log's in its order; the database's end of it is not kept in memory either."""
    columns = ", ".join(f'"{name}"' for name in layout.names)
    order = " ORDER BY seq" if layout.name == events.name else ""
    statement = text(f'SELECT {columns} FROM "{layout.name}"{order}')
    found = connection.execute(statement, execution_options={"stream_results": True, "max_row_buffer": BATCH})
    yield from found.partitions(BATCH)
