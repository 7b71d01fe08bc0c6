"""Statements and tables as plain data: all that may cross from an isolated plugin into the server.

Whoever reads this data builds each part anew with SQLAlchemy's own constructors, so it can say no more than what stands
here: no SQL text, no pickled object, no function but those that are listed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import types
from sqlalchemy.sql import operators


class Node(Struct, frozen=True, array_like=True, tag_field="kind"):
    """One part of a statement."""


# --- expressions --------------------------------------------------------------------------------------------------


class ColumnOf(Node, frozen=True, tag="column"):
    table: str
    name: str
    alias: str = ""
    """The name under which the table is there once more."""


class Excluded(Node, frozen=True, tag="excluded"):
    """The column of the row that an INSERT with ON CONFLICT could not insert."""

    name: str


class Named(Node, frozen=True, tag="named"):
    """A parameter that the rows fill; `type` is empty where what it stands beside decides."""

    name: str
    type: TypeOf | None = None


class Value(Node, frozen=True, tag="value"):
    """A value inside the statement. `key` is what its parameter is named after."""

    key: str
    value: Any
    type: TypeOf | None = None
    expanding: bool = False


class Constant(Node, frozen=True, tag="constant"):
    """null, true or false."""

    name: str


class Not(Node, frozen=True, tag="not"):
    part: Expression


class Operation(Node, frozen=True, tag="operation"):
    """Two or more parts joined by one operator, from the left."""

    operator: str
    parts: tuple[Expression, ...]


class AllOf(Node, frozen=True, tag="all"):
    parts: tuple[Expression, ...]


class AnyOf(Node, frozen=True, tag="any"):
    parts: tuple[Expression, ...]


class Call(Node, frozen=True, tag="call"):
    function: str
    arguments: tuple[Expression, ...]


class Case(Node, frozen=True, tag="case"):
    whens: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None = None


class Cast(Node, frozen=True, tag="cast"):
    part: Expression
    type: TypeOf


class Query(Node, frozen=True, tag="query"):
    columns: tuple[Expression, ...]
    where: tuple[Expression, ...] = ()
    distinct: bool = False


class Exists(Node, frozen=True, tag="exists"):
    """Whether there is a row."""

    where: tuple[Expression, ...]


class Union(Node, frozen=True, tag="union"):
    queries: tuple[Query, ...]
    all: bool = False


Expression = (
    ColumnOf
    | Excluded
    | Named
    | Value
    | Constant
    | Not
    | Operation
    | AllOf
    | AnyOf
    | Call
    | Case
    | Cast
    | Query
    | Exists
    | Union
)


# --- statements ---------------------------------------------------------------------------------------------------


class Conflict(Struct, frozen=True, array_like=True):
    """What an INSERT does where its row is there already: nothing, or these changes."""

    columns: tuple[str, ...] | None
    changes: tuple[tuple[str, Expression], ...] = ()
    where: Expression | None = None


class Insert(Node, frozen=True, tag="insert"):
    table: str
    values: tuple[tuple[str, Expression], ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    dialect: str = ""
    """Of an INSERT that a dialect makes: `sqlite` or `postgresql`."""
    conflict: Conflict | None = None


class Update(Node, frozen=True, tag="update"):
    table: str
    values: tuple[tuple[str, Expression], ...] = ()
    where: tuple[Expression, ...] = ()


class Delete(Node, frozen=True, tag="delete"):
    table: str
    where: tuple[Expression, ...] = ()


Statement = Insert | Update | Delete


# --- tables -------------------------------------------------------------------------------------------------------


class TypeOf(Struct, frozen=True, array_like=True, omit_defaults=True):
    """A column's type by its name, what it is made with, and how other dialects have it."""

    name: str
    arguments: dict[str, int | bool | None] = {}
    variants: dict[str, TypeOf] = {}


class ColumnMade(Struct, frozen=True, omit_defaults=True):
    name: str
    type: TypeOf
    primary_key: bool = False
    nullable: bool = True
    default: str | None = None
    """The server's default, a plain text or number."""
    autoincrement: bool | str = "auto"


class IndexMade(Struct, frozen=True, omit_defaults=True):
    name: str
    columns: tuple[Expression, ...]
    unique: bool = False
    where: dict[str, Expression] = {}
    """The condition of a partial index, by dialect."""


class TableMade(Struct, frozen=True, omit_defaults=True):
    name: str
    columns: tuple[ColumnMade, ...]
    indexes: tuple[IndexMade, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    options: dict[str, bool] = {}


# --- the words ----------------------------------------------------------------------------------------------------

OPERATORS: Final[dict[str, Callable[..., Any]]] = {
    "eq": operators.eq,
    "ne": operators.ne,
    "lt": operators.lt,
    "le": operators.le,
    "gt": operators.gt,
    "ge": operators.ge,
    "add": operators.add,
    "sub": operators.sub,
    "mul": operators.mul,
    "truediv": operators.truediv,
    "floordiv": operators.floordiv,
    "mod": operators.mod,
    "concat_op": operators.concat_op,
    "is_": operators.is_,
    "is_not": operators.is_not,
    "is_distinct_from": operators.is_distinct_from,
    "is_not_distinct_from": operators.is_not_distinct_from,
    "in_op": operators.in_op,
    "not_in_op": operators.not_in_op,
    "like_op": operators.like_op,
    "not_like_op": operators.not_like_op,
    "neg": operator.neg,
}
"""By the name that the operator's function has."""

FUNCTIONS: Final = frozenset(
    {"abs", "avg", "coalesce", "concat", "count", "ifnull", "length", "lower", "ltrim", "max", "min", "nullif"}
    | {"replace", "round", "rtrim", "substr", "substring", "sum", "total", "trim", "upper", "greatest", "least"}
)

TYPES: Final[dict[str, type[types.TypeEngine[Any]]]] = {
    kind.__name__: kind
    for kind in (
        types.BigInteger,
        types.Boolean,
        types.Date,
        types.DateTime,
        types.Double,
        types.Float,
        types.Integer,
        types.JSON,
        types.LargeBinary,
        types.Numeric,
        types.SmallInteger,
        types.String,
        types.Text,
        types.Time,
        types.Unicode,
        types.UnicodeText,
        types.Uuid,
    )
}

TYPE_ARGUMENTS: Final = ("length", "precision", "scale", "timezone", "asdecimal", "as_uuid")

TABLE_OPTIONS: Final = ("sqlite_with_rowid", "sqlite_autoincrement", "sqlite_strict")
