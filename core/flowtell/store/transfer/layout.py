"""A table as every kind of store can have it: columns of five kinds, a key, indexes. Core's tables and plugins' alike."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Inspector,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    inspect,
)
from sqlalchemy.engine.interfaces import ReflectedColumn, ReflectedIndex
from sqlalchemy.exc import SAWarning

from flowtell.errors import ColumnNotMovable
from flowtell.store.tables import metadata

_KINDS: Final[tuple[tuple[type[Any], str], ...]] = (
    (Boolean, "boolean"),
    (Integer, "integer"),
    (Float, "real"),
    (String, "text"),
    (LargeBinary, "bytes"),
)


class ColumnLayout(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column."""

    name: str
    kind: str
    """`text`, `integer`, `real`, `bytes` or `boolean`."""
    required: bool = False


class IndexLayout(msgspec.Struct, frozen=True, omit_defaults=True):
    """An index over columns. Expressions and conditions do not travel: they would be SQL out of a file."""

    name: str
    columns: tuple[str, ...]
    unique: bool = False


class TableLayout(msgspec.Struct, frozen=True, omit_defaults=True):
    """One table."""

    name: str
    columns: tuple[ColumnLayout, ...]
    key: tuple[str, ...] = ()
    indexes: tuple[IndexLayout, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def places(self, kind: str) -> tuple[int, ...]:
        """Where in a row the values of a kind stand."""
        return tuple(at for at, column in enumerate(self.columns) if column.kind == kind)


def layout_of(connection: Connection, name: str) -> TableLayout:
    """The layout of a table that is there.

    Raises:
        ColumnNotMovable: a column has a type that not every kind of store has.
    """
    found = inspect(connection)
    return TableLayout(
        str(name),  # not as SQLAlchemy quotes it
        tuple(_column(name, column) for column in found.get_columns(name)),
        tuple(str(column) for column in found.get_pk_constraint(name)["constrained_columns"]),
        () if name in metadata.tables else _indexes(found, name),
    )


def _column(table: str, column: ReflectedColumn) -> ColumnLayout:
    kind = next((kind for base, kind in _KINDS if isinstance(column["type"], base)), None)
    if kind is None:
        raise ColumnNotMovable(table, column["name"], str(column["type"]))
    return ColumnLayout(str(column["name"]), kind, required=not column["nullable"])


def _indexes(found: Inspector, name: str) -> tuple[IndexLayout, ...]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipped unsupported reflection", SAWarning)
        return tuple(_index(index) for index in found.get_indexes(name) if _is_plain(index))


def _index(index: ReflectedIndex) -> IndexLayout:
    columns = tuple(str(column) for column in index["column_names"] if column)
    return IndexLayout(str(index["name"]), columns, unique=bool(index["unique"]))


def _is_plain(index: ReflectedIndex) -> bool:
    options: Mapping[str, Any] = index.get("dialect_options", {})
    conditions = [option for option, condition in options.items() if option.endswith("_where") and condition is not None]
    return all(index["column_names"]) and not conditions and "duplicates_constraint" not in index


def table_of(layout: TableLayout) -> Table:
    """The table that a layout describes, for a plugin that is not installed here."""
    types: dict[str, Any] = {
        "text": Text,
        "integer": BigInteger().with_variant(Integer, "sqlite"),
        "real": Float,
        "bytes": LargeBinary,
        "boolean": Boolean,
    }
    columns = [
        Column(
            column.name,
            types[column.kind],
            nullable=not column.required,
            primary_key=column.name in layout.key,
        )
        for column in layout.columns
    ]
    made = Table(layout.name, MetaData(), *columns)
    for index in layout.indexes:
        Index(index.name, *[made.c[name] for name in index.columns], unique=index.unique)
    return made
