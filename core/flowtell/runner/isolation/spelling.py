"""What an isolated plugin wants executed, spelled as plain data (`flowtell.runner.isolation.grammar`).

It runs in the plugin's own process. Not all of SQLAlchemy has a spelling; whatever has none is refused there by name, and
a statement whose spelling builds to other SQL is refused too, so that nothing is lost in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from sqlalchemy import CompoundSelect, Dialect, MetaData, Select
from sqlalchemy.sql import dml, elements, functions, selectable, type_api
from sqlalchemy.sql.schema import Column
from sqlalchemy.sql.selectable import Alias
from sqlalchemy.types import NullType

from flowtell.runner.isolation import grammar as g
from flowtell.runner.isolation.building import Builder
from flowtell.runner.isolation.messages import decode_statement, encode
from flowtell.runner.isolation.values import CannotCross, plain, plain_rows

_WRAPPED = (elements.Grouping, selectable.SelectStatementGrouping, selectable.ScalarSelect)
_CONSTANTS = {elements.Null: "null", elements.True_: "true", elements.False_: "false"}


def spelling_of(statement: Any, dialect: Dialect, own: MetaData) -> bytes:
    """The statement as it goes through the pipe; `own` are the tables as the server has them.

    Raises:
        CannotCross: a part of it has no spelling, or what is built from the spelling is other SQL.
    """
    spelled = encode(_statement(statement))
    _compare(statement, Builder(own).statement(decode_statement(spelled)), dialect)
    return spelled


def _statement(statement: Any) -> g.Statement:
    table = str(getattr(getattr(statement, "table", None), "name", ""))
    if isinstance(statement, dml.Insert):
        return _insert(statement, table)
    if isinstance(statement, dml.Update):
        return g.Update(table, _values(statement._values), _all(statement._where_criteria))  # noqa: SLF001  # no public way
    if isinstance(statement, dml.Delete):
        return g.Delete(table, _all(statement._where_criteria))  # noqa: SLF001  # as above
    raise CannotCross(f"{type(statement).__qualname__}, which is no INSERT, UPDATE or DELETE")


def _compare(statement: Any, built: Any, dialect: Dialect) -> None:
    wanted, made = statement.compile(dialect=dialect), built.compile(dialect=dialect)
    if str(wanted) != str(made) or wanted.params != made.params:
        raise CannotCross(f"a part of the statement {str(wanted)[:200]!r}")


# --- the three kinds ----------------------------------------------------------------------------------------------


def _insert(statement: Any, table: str) -> g.Insert:
    rows = tuple(row for part in statement._multi_values for row in part)  # noqa: SLF001  # no public way
    return g.Insert(
        table,
        _values(statement._values),  # noqa: SLF001  # as above
        tuple(dict(row) for row in plain_rows(_by_name(row) for row in rows)),
        _dialect(statement),
        _conflict(getattr(statement, "_post_values_clause", None)),
    )


def _dialect(statement: Any) -> str:
    place = type(statement).__module__.split(".")
    return place[2] if place[:2] == ["sqlalchemy", "dialects"] else ""


def _conflict(clause: Any) -> g.Conflict | None:
    if clause is None:
        return None
    if type(clause).__name__ not in ("OnConflictDoUpdate", "OnConflictDoNothing"):
        raise CannotCross(type(clause).__qualname__)
    columns = clause.inferred_target_elements
    changes = getattr(clause, "update_values_to_set", {})
    where = getattr(clause, "update_whereclause", None)
    return g.Conflict(
        None if columns is None else tuple(map(_name, columns)),
        tuple((_name(column), expression(value)) for column, value in changes.items()),
        None if where is None else expression(where),
    )


def _values(values: Mapping[Any, Any] | None) -> tuple[tuple[str, g.Expression], ...]:
    return tuple((_name(column), expression(value)) for column, value in (values or {}).items())


def _by_name(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {_name(column): value for column, value in row.items()}


def _name(column: Any) -> str:
    return str(column if isinstance(column, str) else column.key)


# --- expressions --------------------------------------------------------------------------------------------------


def expression(element: Any) -> g.Expression:
    """One expression and all in it."""
    if isinstance(element, _WRAPPED):
        return expression(element.element)
    if isinstance(element, elements.BindParameter):
        return _parameter(element)
    if isinstance(element, Column):
        return _column(element)
    if type(element) in _CONSTANTS:
        return g.Constant(_CONSTANTS[type(element)])
    if isinstance(element, Select | CompoundSelect):
        return query(element)
    return _composed(element)


def _composed(element: Any) -> g.Expression:
    match element:
        case elements.BooleanClauseList():
            return (g.AllOf if element.operator.__name__ == "and_" else g.AnyOf)(_all(element.clauses))
        case elements.ExpressionClauseList():
            return g.Operation(_operator(element), _all(element.clauses))
        case elements.BinaryExpression() if not any(element.modifiers.values()):
            return g.Operation(_operator(element), (expression(element.left), expression(element.right)))
        case selectable.Exists():
            return _exists(element)
        case elements.UnaryExpression():
            return _unary(element)
        case functions.Function() | functions.GenericFunction() if element.name in g.FUNCTIONS:
            return g.Call(str(element.name), _all(element.clauses))
        case elements.Case() if element.value is None:
            return _case(element)
        case elements.Cast():
            return g.Cast(expression(element.clause), type_of(element.type))
        case _:
            raise CannotCross(f"{type(element).__qualname__} {str(element)[:100]!r}")


def _unary(element: Any) -> g.Expression:
    name = getattr(element.operator, "__name__", "")
    if name == "inv":
        return g.Not(expression(element.element))
    if name == "neg":
        return g.Operation("neg", (expression(element.element),))
    raise CannotCross(f"the operator {name or element.modifier}")


def _exists(element: Any) -> g.Exists:
    """`exists()` itself: of one that is made of another SELECT the columns and more would have to cross too."""
    return g.Exists(_all(_unwrapped(element.element)._where_criteria))  # noqa: SLF001  # no public way


def _case(element: Any) -> g.Case:
    whens = tuple((expression(condition), expression(value)) for condition, value in element.whens)
    return g.Case(whens, None if element.else_ is None else expression(element.else_))


def _operator(element: Any) -> str:
    name: str = getattr(element.operator, "__name__", "")
    if name not in g.OPERATORS:
        raise CannotCross(f"the operator {name or element.operator}")
    return name


def _parameter(element: Any) -> g.Expression:
    kind = None if isinstance(element.type, NullType) else type_of(element.type)
    if element.required:
        return g.Named(str(element.key), kind)
    key = getattr(element, "_orig_key", None)
    return g.Value(str(key or "param"), plain(element.effective_value), kind, element.expanding)


def _column(element: Column[Any]) -> g.Expression:
    table = cast("Any", element.table)
    if isinstance(table, Alias):
        return _column_of_alias(element, table)
    return g.ColumnOf(str(table.name), str(element.key))


def _column_of_alias(element: Column[Any], table: Alias) -> g.Expression:
    if table.name == "excluded":
        return g.Excluded(str(element.key))
    if not str(table.name).isidentifier():
        raise CannotCross(f"the alias {table.name}: give it a name, as in table.alias('later'). Without one it")
    return g.ColumnOf(str(cast("Any", table.element).name), str(element.key), str(table.name))


def query(statement: Any) -> g.Query | g.Union:
    """A SELECT inside a statement."""
    if isinstance(statement, CompoundSelect):
        if statement.keyword.name not in ("UNION", "UNION_ALL"):
            raise CannotCross(statement.keyword.name)
        queries = [query(_unwrapped(part)) for part in statement.selects]
        if not all(isinstance(part, g.Query) for part in queries):
            raise CannotCross("a UNION inside a UNION")
        return g.Union(cast("tuple[g.Query, ...]", tuple(queries)), statement.keyword.name == "UNION_ALL")
    columns, where = statement._raw_columns, statement._where_criteria  # noqa: SLF001  # no public way
    return g.Query(_all(columns), _all(where), bool(statement._distinct))  # noqa: SLF001  # as above


def _unwrapped(part: Any) -> Any:
    return part.element if isinstance(part, _WRAPPED) else part


def _all(parts: Iterable[Any]) -> tuple[g.Expression, ...]:
    return tuple(map(expression, parts))


# --- types --------------------------------------------------------------------------------------------------------


def type_of(kind: type_api.TypeEngine[Any]) -> g.TypeOf:
    """A column's type as data."""
    name = type(kind).__name__
    if g.TYPES.get(name) is not type(kind):
        raise CannotCross(f"the column type {kind!r}")
    arguments = {key: getattr(kind, key) for key in g.TYPE_ARGUMENTS if getattr(kind, key, None) is not None}
    variants = {dialect: type_of(variant) for dialect, variant in kind._variant_mapping.items()}  # noqa: SLF001  # as above
    return g.TypeOf(name, arguments, variants)
