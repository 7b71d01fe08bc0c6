"""Numbers that tables give their rows: the highest ever given goes along, as one that was given is never given again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, text

_SERIALS = text(
    "SELECT c.relname, a.attname, pg_get_serial_sequence(quote_ident(c.relname), a.attname) "
    "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "WHERE pg_table_is_visible(c.oid) AND c.relname = ANY(:names) "
    "AND pg_get_serial_sequence(quote_ident(c.relname), a.attname) IS NOT NULL"
)


def numbers_of(connection: Connection, tables: Iterable[str]) -> dict[str, int]:
    """Of those of the tables that number their rows."""
    names = list(tables)
    if connection.dialect.name == "postgresql":
        return {table: _last(connection, sequence) for table, _, sequence in _serials(connection, names)}
    if connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'")).first() is None:
        return {}
    rows = connection.execute(text("SELECT name, seq FROM sqlite_sequence"))
    return {name: int(seq) for name, seq in rows if name in names}


def set_numbers(connection: Connection, tables: Iterable[str], given: Mapping[str, int]) -> None:
    """Go on above what was given, and above every row that is there."""
    names = list(tables)
    if connection.dialect.name == "postgresql":
        for table, column, sequence in _serials(connection, names):
            highest = connection.execute(text(f'SELECT max("{column}") FROM "{table}"')).scalar() or 0
            number = max(int(highest), given.get(table, 0))
            if number:
                connection.execute(
                    text("SELECT setval(CAST(:name AS regclass), :number)"), {"name": sequence, "number": number}
                )
        return
    numbered = text("SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%'")
    for (table,) in connection.execute(numbered).all():
        if table in names and given.get(table):
            _note_in_sqlite(connection, table, given[table])


def _note_in_sqlite(connection: Connection, table: str, number: int) -> None:
    values = {"name": table, "number": number}
    changed = connection.execute(text("UPDATE sqlite_sequence SET seq = max(seq, :number) WHERE name = :name"), values)
    if not changed.rowcount:
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :number)"), values)


def _serials(connection: Connection, names: list[str]) -> list[tuple[str, str, str]]:
    return [(table, column, sequence) for table, column, sequence in connection.execute(_SERIALS, {"names": names})]


def _last(connection: Connection, sequence: str) -> int:
    row = connection.execute(text(f"SELECT last_value, is_called FROM {sequence}")).one()
    return int(row.last_value) if row.is_called else int(row.last_value) - 1
