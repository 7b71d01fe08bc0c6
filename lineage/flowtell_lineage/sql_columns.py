"""Columns of what a statement makes, and the columns that they come from, read from its text by sqlglot.

sqlglot is asked for only here (`pip install "flowtell-lineage[sql]"`): without it, or where a text is no SQL, is longer
than 200,000 characters or makes no table, nothing is read and nothing raised. A column after `*` has no name without the
schemas of the tables, and is left out: what is read is true, and may be less than all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from flowtell.events import Column, ColumnSource, UpstreamAsset

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.lineage import Node

_LONGEST: Final = 200_000
_MOST: Final = 1_000
"""Columns of one statement."""

_DIALECTS: Final = {
    "awsathena": "athena",
    "mssql": "tsql",
    "sqlserver": "tsql",
    "postgres": "postgres",
    "postgresql": "postgres",
    "dbfs": "databricks",
    "unitycatalog": "databricks",
}
"""By the scheme of a key, where sqlglot has another name for its dialect."""


def columns_of_sql(sql: str, made: str, upstream: Iterable[str] = (), dialect: str = "") -> tuple[Column, ...]:
    """The columns of asset `made` with their origins, where `sql` says so. Never raises.

    A table is the one asset of `upstream` whose key ends with its name; where there is none, or are several, it is taken
    to be beside `made`: `raw.lines` for `postgres://shop/public/orders` is `postgres://shop/raw/lines`. Beside an object
    of a store without schemas nothing is taken to be.

    Args:
        upstream: keys of assets that are known to be read.
        dialect: by sqlglot's name; without it, by the scheme of `made`.

    Returns:
        Each with the transformation of each origin: `IDENTITY`, `TRANSFORMATION` or `AGGREGATION`, the subtypes of
        OpenLineage's column lineage facet 1-2-0.
    """
    if not sql or len(sql) > _LONGEST:
        return ()
    return _read(sql, made, tuple(sorted(set(upstream))), dialect or _dialect_of(made))


def columns_told(event: Any) -> tuple[Column, ...]:
    """Of an event that tells of an asset: its columns, with the origins in its SQL for those that have none of their own."""
    told: tuple[Column, ...] = getattr(event, "columns", ())
    if not getattr(event, "sql", ""):
        return told
    read = columns_of_sql(event.sql, event.asset, (one.asset for one in event.upstream))
    origins = {column.name: column for column in read} | {column.name: column for column in told if column.origins}
    typed = [Column(name=one.name, type=one.type, origins=origins.pop(one.name, one).origins) for one in told]
    return (*typed, *(column for column in origins.values()))


def upstream_told(event: Any) -> tuple[UpstreamAsset, ...]:
    """What it tells of upstream, and assets that a column comes from without being in that."""
    told: tuple[UpstreamAsset, ...] = event.upstream
    known = {one.asset for one in told}
    beyond = dict.fromkeys(one.asset for column in columns_told(event) for one in column.origins if one.asset not in known)
    return (*told, *(UpstreamAsset(asset=key, evidence="column") for key in beyond))


@lru_cache(maxsize=512)  # the same statement comes with every run
def _read(sql: str, made: str, upstream: tuple[str, ...], dialect: str) -> tuple[Column, ...]:
    try:
        from sqlglot import parse
    except ImportError:
        return ()
    try:
        found = [column for statement in parse(sql, dialect=dialect or None) for column in _made(statement, dialect)]
        named = [_named(name, node, made, upstream) for name, node in found[:_MOST]]
    except Exception:  # noqa: BLE001  # RecursionError among what a parser of any text may raise
        return ()
    return tuple({column.name: column for column in named if column.origins}.values())


def _made(statement: exp.Expr | None, dialect: str) -> list[tuple[str, Node]]:
    """The columns of the query in a `CREATE … AS`, an `INSERT … SELECT` or by itself."""
    from sqlglot import exp
    from sqlglot.lineage import lineage

    query: Any = statement.expression if isinstance(statement, exp.Create | exp.Insert) else statement
    if not isinstance(query, exp.Query):
        return []
    if statement is not query and statement is not None and (around := statement.args.get("with_")) is not None:
        query = query.copy()
        query.set("with_", around.copy())
    nodes: Any = lineage(None, query, schema={}, dialect=dialect or None, trim_selects=False)  # trimming is quadratic
    return list(zip(_targets(statement) or nodes, nodes.values(), strict=False))


def _targets(statement: exp.Expr | None) -> Sequence[str]:
    """The columns that an `INSERT INTO t (a, b)` names."""
    from sqlglot import exp

    into = statement.this if isinstance(statement, exp.Insert) else None
    return [one.name for one in into.expressions] if isinstance(into, exp.Schema) else []


def _named(name: str, node: Node, made: str, upstream: tuple[str, ...]) -> Column:
    origins = {}
    for table, column, how in _leaves(node):
        key = _key_of(table, made, upstream)
        if key and column != "*":
            origins[key, column] = ColumnSource(asset=key, column=column, transformation=how)
    return Column(name=name, origins=tuple(origins.values()))


def _leaves(root: Node) -> Iterator[tuple[exp.Table, str, str]]:
    """Tables and columns at the ends of the graph, each node once, with the strongest transformation on the way."""
    from sqlglot import exp

    seen: set[tuple[int, str]] = set()
    waiting: list[tuple[Node, str]] = [(root, "IDENTITY")]
    while waiting:
        node, how = waiting.pop()
        if (id(node), how) in seen:
            continue
        seen.add((id(node), how))
        if not node.downstream and isinstance(node.expression, exp.Table):
            yield node.expression, node.name.rpartition(".")[2].strip('"`'), how
        how = max(how, _transformation(node.expression), key=_STRENGTH.index)
        waiting.extend((one, how) for one in reversed(node.downstream))


_STRENGTH: Final = ("IDENTITY", "TRANSFORMATION", "AGGREGATION")


def _transformation(expression: exp.Expr) -> str:
    from sqlglot import exp

    if isinstance(expression, exp.Query | exp.Table):
        return "IDENTITY"
    inner = expression.unalias()
    if isinstance(inner, exp.Column | exp.Star):
        return "IDENTITY"
    return "AGGREGATION" if inner.find(exp.AggFunc) is not None else "TRANSFORMATION"


def _key_of(table: exp.Table, made: str, upstream: tuple[str, ...]) -> str:
    parts = [part.name for part in table.parts]
    wanted = [part.lower() for part in parts]
    known = [key for key in upstream if _segments(key)[-len(parts) :] == wanted]
    if len(known) == 1:
        return known[0]
    return _beside(made, parts)


def _segments(key: str) -> list[str]:
    return [part for part in re.split(r"[/.]", key.partition("://")[2].lower()) if part]


def _beside(made: str, parts: Sequence[str]) -> str:
    """A key like `made` with its last names replaced; empty where `made` has not so many."""
    scheme, _, rest = made.partition("://")
    if scheme not in _TABLES:
        return ""
    host, *names = rest.split("/")
    if len(names) == 1 and "." in names[0]:  # namespace and dotted name
        names = names[0].split(".")
        return f"{scheme}://{host}/" + ".".join([*names[: -len(parts)], *parts]) if len(names) >= len(parts) else ""
    return "/".join([f"{scheme}://{host}", *names[: -len(parts)], *parts]) if len(names) >= len(parts) else ""


_TABLES: Final = frozenset(
    {
        "athena", "awsathena", "bigquery", "clickhouse", "databricks", "db2", "duckdb", "hive", "mssql", "mysql", "oracle",
        "postgres", "postgresql", "redshift", "snowflake", "spark", "sqlite", "sqlserver", "teradata", "trino",
        "unitycatalog",
    }
)  # fmt: skip
"""Schemes whose keys are names of tables."""


def _dialect_of(made: str) -> str:
    scheme = made.partition("://")[0]
    named = _DIALECTS.get(scheme, scheme)
    return named if scheme in _TABLES else ""
