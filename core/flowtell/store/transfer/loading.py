"""Puts a source into an empty store: everything in one transaction, compared before it commits.

Whoever is killed half-way leaves the store as it was, so that the same command goes again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection, Table, inspect, text
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, ProgrammingError

from flowtell.errors import BadExport, StoreNotEmpty, TransferMismatch
from flowtell.store.store import Store
from flowtell.store.tables import metadata
from flowtell.store.transfer.layout import TableLayout, layout_of, table_of
from flowtell.store.transfer.numbers import set_numbers
from flowtell.store.transfer.rows import Row, RowFormat
from flowtell.store.transfer.snapshot import LEFT_OUT, read_rows
from flowtell.store.transfer.source import Progress, Source
from flowtell.store.transfer.tally import Tally
from flowtell.store.transfer.targets import Target, target_of


class Loaded(msgspec.Struct, frozen=True):
    """What an import brought in."""

    tables: dict[str, Tally]
    replaced: int = 0
    """Rows in which U+0000 became U+FFFD, which PostgreSQL's text cannot hold."""


def load(source: Source, store: Store, plugins: Mapping[str, Table], *, progress: Progress, verifying: Progress) -> Loaded:
    """Bring all of a source into an empty store; `plugins` are the tables of those that are installed, by name.

    A table of a plugin that is not installed is made as the source describes it.

    Raises:
        StoreNotEmpty: it is not; or another process filled it meanwhile.
        BadExport: the source is damaged, or has a column of a table that is not known here.
        TransferMismatch: the store does not hold what was read.
    """
    layouts = source.header.tables
    names = [layout.name for layout in layouts]
    with store.write() as transaction:
        connection = transaction.connection
        store.database.lock_schema(connection)
        store.database.take_time(connection)
        _check_empty(store, connection, {*metadata.tables, *names} - LEFT_OUT)
        target = target_of(connection)
        read = {}
        for layout in layouts:
            _prepare(connection, source, layout, plugins)
            read[layout.name] = _fill(source, layout, target, progress)
        set_numbers(connection, names, source.header.numbers)
        for layout in layouts:
            _verify(connection, layout, read[layout.name], verifying)
        target.analyze()
    store.rejoin()
    store.checkpoint()
    return Loaded(read, target.replaced)


def _check_empty(store: Store, connection: Connection, names: set[str]) -> None:
    there = set(inspect(connection).get_table_names())
    for name in sorted(names & there):
        if connection.execute(text(f'SELECT 1 FROM "{name}" LIMIT 1')).first() is not None:
            raise StoreNotEmpty(store.url.render_as_string(), name)


def _prepare(connection: Connection, source: Source, layout: TableLayout, plugins: Mapping[str, Table]) -> None:
    """Make the table where it is missing; what is there must have every column."""
    words = (layout.name, *layout.names)
    if layout.name in LEFT_OUT or not layout.columns or any('"' in word or "\0" in word for word in words):
        raise BadExport(source.name, f"table {layout.name!r} cannot be loaded")
    table = plugins.get(layout.name)
    if not inspect(connection).has_table(layout.name):
        (table_of(layout) if table is None else table).create(connection)
    elif table is None and layout.name not in metadata.tables:
        raise BadExport(source.name, f"table '{layout.name}' is here already, and no plugin that is installed has it")
    known = layout_of(connection, layout.name)
    unknown = sorted(set(layout.names) - set(known.names))
    if unknown:
        raise BadExport(source.name, f"column '{unknown[0]}' of table '{layout.name}' is not known here")


def _fill(source: Source, layout: TableLayout, target: Target, progress: Progress) -> Tally:
    tally = Tally()
    for batch in source.batches(layout):
        kept = target.storable(layout, batch)
        if kept:
            tally.add(line for line, _ in kept)
            _insert(source, layout, target, [row for _, row in kept])
        progress(layout.name, len(kept))
    return tally


def _insert(source: Source, layout: TableLayout, target: Target, rows: Sequence[Row]) -> None:
    try:
        target.insert(layout, rows)
    except (DataError, IntegrityError, InterfaceError, ProgrammingError, OverflowError) as error:
        problem = str(getattr(error, "orig", error)).partition("\n")[0]
        raise BadExport(source.name, f"a row of table '{layout.name}' is not taken ({problem})") from error


def _verify(connection: Connection, layout: TableLayout, read: Tally, progress: Progress) -> None:
    found, encode = Tally(), RowFormat(layout).encode
    for rows in read_rows(connection, layout):
        found.add(encode(row) for row in rows)
        progress(layout.name, len(rows))
    if found != read:
        raise TransferMismatch(layout.name, str(read), str(found))
