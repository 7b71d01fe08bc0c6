"""Any number of numbers as one parameter, and any number of rows as one text: no driver makes objects of each.

A statement stays the same however many numbers it is given, so that it is prepared once. SQLite reads them from JSON, and
PostgreSQL from an array.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Boolean, ColumnElement, Dialect, Text, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

PART: Final = "part"
"""Name of the parameter that brings the numbers of `among` later."""


class Numbers(TypeDecorator[Collection[int]]):
    """Numbers as one value."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(ARRAY(BigInteger) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Collection[int] | None, dialect: Dialect) -> Any:
        numbers = list(value or ())
        return numbers if dialect.name == "postgresql" else msgspec.json.encode(numbers).decode()


class among(FunctionElement[bool]):  # noqa: N801  # stands in statements like a function
    """Whether a column is one of the numbers; without them, of those that come as the parameter `part`."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[int], numbers: Collection[int] | None = None) -> None:
        later = numbers is None
        super().__init__(column, bindparam(PART, numbers, type_=Numbers, required=later, unique=not later))

    def self_group(self, against: Any = None) -> Any:
        """As it is: to a function of this type SQLAlchemy adds `= 1` for SQLite, and then no index is used."""
        return self


class packed(FunctionElement[str]):  # noqa: N801
    """All rows as one JSON text: an array of the values of one column, or of an array for each row."""

    type = Text()
    inherit_cache = True


@compiles(among)
def _among(element: among, compiler: SQLCompiler, **options: Any) -> str:
    column, numbers = _parts(element, compiler, options)
    return f"{column} IN (SELECT value FROM json_each({numbers}))"  # noqa: S608  # parts that were compiled


@compiles(among, "postgresql")
def _among_array(element: among, compiler: SQLCompiler, **options: Any) -> str:
    column, numbers = _parts(element, compiler, options)
    return f"{column} = ANY ({numbers})"


@compiles(packed)
def _packed(element: packed, compiler: SQLCompiler, **options: Any) -> str:
    parts = _parts(element, compiler, options)
    row = parts[0] if len(parts) == 1 else f"json_array({', '.join(parts)})"
    return f"json_group_array({row})"


@compiles(packed, "postgresql")
def _packed_by_postgresql(element: packed, compiler: SQLCompiler, **options: Any) -> str:
    parts = _parts(element, compiler, options)
    row = parts[0] if len(parts) == 1 else f"json_build_array({', '.join(parts)})"
    return f"CAST(coalesce(json_agg({row}), '[]') AS TEXT)"


def _parts(element: FunctionElement[Any], compiler: SQLCompiler, options: dict[str, Any]) -> list[str]:
    return [compiler.process(part, **options) for part in element.clauses]


__all__ = ["PART", "among", "packed"]
