"""Statements and tables built from their spelling, in the server: each part by SQLAlchemy's own constructor.

What comes in may be anything, as it was written by a process that runs a plugin's code. Names are looked up in the
plugin's own tables (in a sub-select, the core's public ones too), operators, functions and types in short lists.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any, Final

from sqlalchemy import (
    Column,
    Index,
    MetaData,
    Table,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    false,
    func,
    insert,
    not_,
    null,
    or_,
    select,
    true,
    union,
    union_all,
    update,
)
from sqlalchemy.sql.selectable import SelectBase
from sqlalchemy.types import NullType

from flowtell.runner.isolation import grammar as g
from flowtell.runner.isolation.values import CannotCross
from flowtell.store.tables import metadata as core

_DIALECTS: Final = ("sqlite", "postgresql")
_LONGEST_NAME: Final = 200
_OF_MANY: Final = ("in_op", "not_in_op")
_CONSTANTS: Final = {"null": null, "true": true, "false": false}


class Builder:
    """Builds statements on the plugin's own tables.

    Raises `CannotCross` for a name that is not there, and what SQLAlchemy raises for parts that do not fit.
    """

    def __init__(self, own: MetaData) -> None:
        self._own = own
        self._excluded: Any = None
        self._aliases: dict[tuple[str, str], Any] = {}

    def statement(self, spelled: g.Statement) -> Any:
        table = self._own.tables.get(spelled.table)
        if table is None:
            raise CannotCross(f"{spelled.table or 'a statement'} is not one of its tables; what")
        match spelled:
            case g.Insert():
                return self._insert(spelled, table)
            case g.Update():
                changed = update(table).where(*self._all(spelled.where))
                return changed.values(self._values(spelled.values)) if spelled.values else changed
            case g.Delete():
                return delete(table).where(*self._all(spelled.where))

    def _insert(self, spelled: g.Insert, table: Table) -> Any:
        made = _insert_of(spelled.dialect, table)
        self._excluded = getattr(made, "excluded", None)
        if spelled.rows:
            made = made.values(list(spelled.rows))
        elif spelled.values:
            made = made.values(self._values(spelled.values))
        return self._with_conflict(made, spelled.conflict) if spelled.conflict else made

    def _with_conflict(self, made: Any, conflict: g.Conflict) -> Any:
        columns = None if conflict.columns is None else list(conflict.columns)
        if not conflict.changes:
            return made.on_conflict_do_nothing(index_elements=columns)
        where = None if conflict.where is None else self.expression(conflict.where)
        return made.on_conflict_do_update(index_elements=columns, set_=self._values(conflict.changes), where=where)

    def _values(self, spelled: tuple[tuple[str, g.Expression], ...]) -> dict[str, Any]:
        return {name: self.expression(value) for name, value in spelled}

    def _all(self, spelled: tuple[g.Expression, ...]) -> list[Any]:
        return [self.expression(part) for part in spelled]

    # --- expressions ----------------------------------------------------------------------------------------------

    def expression(self, spelled: g.Expression) -> Any:
        match spelled:
            case g.ColumnOf():
                return self._column(spelled)
            case g.Excluded():
                return self._excluded[spelled.name]
            case g.Named():
                return bindparam(_checked(spelled.name), type_=_type_or_null(spelled.type))
            case g.Value():
                key, kind = _checked(spelled.key), _type_or_null(spelled.type)
                return bindparam(key, spelled.value, type_=kind, unique=True, expanding=spelled.expanding)
            case g.Constant():
                return _CONSTANTS[spelled.name]()
            case g.Query() | g.Union():
                return self._query(spelled)
            case g.Exists():
                return exists().where(*self._all(spelled.where))
            case _:
                return self._composed(spelled)

    def _composed(self, spelled: g.Expression) -> Any:
        match spelled:
            case g.AllOf():
                return and_(*self._all(spelled.parts))
            case g.AnyOf():
                return or_(*self._all(spelled.parts))
            case g.Not():
                return not_(self.expression(spelled.part))
            case g.Operation():
                return self._operation(spelled)
            case g.Call() if spelled.function in g.FUNCTIONS:
                return getattr(func, spelled.function)(*self._all(spelled.arguments))
            case g.Case():
                return self._case(spelled)
            case g.Cast():
                return cast(self.expression(spelled.part), type_from(spelled.type))
            case _:
                raise CannotCross(f"{spelled!r:.100}")

    def _operation(self, spelled: g.Operation) -> Any:
        operator = g.OPERATORS.get(spelled.operator)
        if operator is None:
            raise CannotCross(f"the operator {spelled.operator:.40}")
        first, *others = self._all(spelled.parts)
        if not others:
            return -first
        if spelled.operator not in _OF_MANY:
            first, *others = map(_scalar, (first, *others))
        return functools.reduce(lambda left, right: left.operate(operator, right), others, first)

    def _case(self, spelled: g.Case) -> Any:
        whens = [(self.expression(condition), self.expression(value)) for condition, value in spelled.whens]
        return case(*whens, else_=None if spelled.otherwise is None else self.expression(spelled.otherwise))

    def _column(self, spelled: g.ColumnOf) -> Any:
        table = self._own.tables.get(spelled.table)
        if table is None:
            table = core.tables.get(spelled.table)
        if table is None or spelled.name not in table.c:
            raise CannotCross(f"the column {spelled.table:.80}.{spelled.name:.80}, which is in no table known here,")
        return self._alias(table, spelled.alias).c[spelled.name] if spelled.alias else table.c[spelled.name]

    def _alias(self, table: Table, name: str) -> Any:
        return self._aliases.setdefault((table.name, _checked(name)), table.alias(name))

    def _query(self, spelled: g.Query | g.Union) -> Any:
        if isinstance(spelled, g.Union):
            return (union_all if spelled.all else union)(*(self._query(part) for part in spelled.queries))
        made = select(*self._all(spelled.columns)).where(*self._all(spelled.where))
        return made.distinct() if spelled.distinct else made


def _checked(name: str) -> str:
    """The name of a parameter, which stands in the SQL of some drivers, or of an alias."""
    if not name.isidentifier() or len(name) > _LONGEST_NAME:
        raise CannotCross(f"the name {name!r:.80}")
    return name


def _scalar(part: Any) -> Any:
    return part.scalar_subquery() if isinstance(part, SelectBase) else part


def _insert_of(dialect: str, table: Table) -> Any:
    if not dialect:
        return insert(table)
    if dialect not in _DIALECTS:
        raise CannotCross(f"an INSERT of {dialect:.40}")
    return importlib.import_module(f"sqlalchemy.dialects.{dialect}").insert(table)  # only the one that is spoken is loaded


# --- tables -------------------------------------------------------------------------------------------------------


def tables_from(spelled: tuple[g.TableMade, ...]) -> MetaData:
    """A plugin's tables."""
    metadata = MetaData()
    for table in spelled:
        unique = [UniqueConstraint(*columns) for columns in table.unique]
        options: dict[str, Any] = {name: value for name, value in table.options.items() if name in g.TABLE_OPTIONS}
        Table(table.name, metadata, *map(_column_from, table.columns), *unique, **options)
    for table in spelled:
        for index in table.indexes:
            _add_index(metadata, index)
    return metadata


def _column_from(spelled: g.ColumnMade) -> Column[Any]:
    return Column(
        spelled.name,
        type_from(spelled.type),
        primary_key=spelled.primary_key,
        nullable=spelled.nullable,
        server_default=spelled.default,
        autoincrement=True if spelled.autoincrement is True else "auto" if spelled.autoincrement else False,
    )


def _add_index(metadata: MetaData, spelled: g.IndexMade) -> None:
    builder = Builder(metadata)
    where = {f"{dialect}_where": builder.expression(part) for dialect, part in spelled.where.items() if dialect in _DIALECTS}
    Index(spelled.name, *map(builder.expression, spelled.columns), unique=spelled.unique, **where)


def type_from(spelled: g.TypeOf) -> Any:
    """The column type of that name."""
    if spelled.name not in g.TYPES:
        raise CannotCross(f"the column type {spelled.name:.80}")
    arguments = {key: value for key, value in spelled.arguments.items() if key in g.TYPE_ARGUMENTS}
    made = g.TYPES[spelled.name](**arguments)
    for dialect, variant in spelled.variants.items():
        made = made.with_variant(type_from(variant), dialect)
    return made


def _type_or_null(spelled: g.TypeOf | None) -> Any:
    """Without a type, that of the column it stands beside."""
    return type_from(spelled) if spelled else NullType()
