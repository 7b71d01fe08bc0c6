"""A plugin's tables spelled as plain data, in its own process, so that the server can make them without its code."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Dialect, Index, MetaData, Table, UniqueConstraint
from sqlalchemy.schema import CreateIndex, CreateTable

from flowtell.runner.isolation import grammar as g
from flowtell.runner.isolation.building import tables_from
from flowtell.runner.isolation.spelling import expression, type_of
from flowtell.runner.isolation.values import CannotCross


def tables_of(metadata: MetaData, dialect: Dialect) -> tuple[g.TableMade, ...]:
    """All tables as data.

    Raises:
        CannotCross: something of them has no spelling: a foreign key, a default of Python's, a type of one's own.
    """
    spelled = tuple(map(_table, metadata.sorted_tables))
    built = tables_from(spelled)
    for table in metadata.sorted_tables:
        _compare(table, built.tables[table.name], dialect)
    return spelled


def _compare(table: Table, built: Table, dialect: Dialect) -> None:
    if _ddl(table, dialect) != _ddl(built, dialect):
        raise CannotCross(f"a part of the table {table.name}")


def _ddl(table: Table, dialect: Dialect) -> list[str]:
    indexes = sorted(str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes)
    return [str(CreateTable(table).compile(dialect=dialect)), *indexes]


def _table(table: Table) -> g.TableMade:
    if table.schema is not None:
        raise CannotCross(f"the schema {table.schema}")
    unique = [
        tuple(str(column.name) for column in one.columns) for one in table.constraints if isinstance(one, UniqueConstraint)
    ]
    return g.TableMade(
        str(table.name),
        tuple(map(_column, table.columns)),
        tuple(map(_index, sorted(table.indexes, key=lambda index: str(index.name)))),
        tuple(sorted(unique)),
        {name: bool(value) for name, value in table.kwargs.items() if name in g.TABLE_OPTIONS},
    )


def _column(column: Column[Any]) -> g.ColumnMade:
    if column.default is not None or column.onupdate is not None:
        raise CannotCross(f"the default of column {column.name}, which Python would compute,")
    default: Any = getattr(column.server_default, "arg", column.server_default)
    if default is not None and not isinstance(default, str):
        raise CannotCross(f"the default of column {column.name}, which is no plain text,")
    automatic = column.autoincrement if isinstance(column.autoincrement, bool) else "auto"
    nullable = bool(column.nullable)
    return g.ColumnMade(str(column.name), type_of(column.type), column.primary_key, nullable, default, automatic)


def _index(index: Index) -> g.IndexMade:
    where = {
        name.removesuffix("_where"): expression(part)
        for name, part in index.kwargs.items()
        if name.endswith("_where") and part is not None
    }
    return g.IndexMade(str(index.name), tuple(map(expression, index.expressions)), bool(index.unique), where)
