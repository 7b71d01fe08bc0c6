"""Rows, size and columns of a returned value, read from the libraries' own objects where their modules are loaded.

Nothing is imported and nothing computed: what would run a query or read a file (the rows of a DuckDB relation, anything
of a Polars LazyFrame) is not asked for. A value that raises or answers nonsense is one without a shape.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from flowtell.engine.assets import Asset
from flowtell.events import Column

_COLUMNS = 2_000
_TEXT = 300
"""Characters kept of a column's name or type."""

Shape = dict[str, Any]
"""Those of `rows`, `bytes` and `columns` that are known."""


def shapes_of(result: Any, made: Sequence[str]) -> dict[str, Shape]:
    """By key of what is made: of one asset the returned value, of several those that a returned dict has under it."""
    if len(made) == 1 and not (type(result) is dict and _by_asset(result).keys() & set(made)):
        shape = shape_of(result)
        return {made[0]: shape} if shape else {}
    if type(result) is not dict:
        return {}
    return {key: shape_of(value) for key, value in _by_asset(result).items() if key in made}


def shape_of(value: Any) -> Shape:
    """Never raises."""
    kind = type(value)
    for module, name, read in _KNOWN:
        known = getattr(sys.modules.get(module), name, None)
        if known is not None and isinstance(known, type) and issubclass(kind, known):
            return _asked(read, value)
    return {}


def _by_asset(result: dict[Any, Any]) -> dict[str, Any]:
    return {
        key.key if isinstance(key, Asset) else key: value
        for key, value in islice(result.items(), _COLUMNS)
        if isinstance(key, str | Asset)
    }


def _asked(read: Callable[[Any], dict[str, Callable[[], Any]]], value: Any) -> Shape:
    """Each fact by itself: that one cannot be had hides no other."""
    facts = {name: _answer(_columns if name == "columns" else _count, ask) for name, ask in read(value).items()}
    return {name: fact for name, fact in facts.items() if fact is not None}


def _answer(form: Callable[[Any], Any], ask: Callable[[], Any]) -> Any:
    try:
        return form(ask())
    except Exception:  # noqa: BLE001  # a stranger's object may raise anything
        return None


def _count(answer: Any) -> int | None:
    count = int(answer)
    return count if 0 <= count < 2**63 else None


def _columns(answer: Iterable[tuple[Any, Any]]) -> tuple[Column, ...]:
    return tuple(Column(name=str(name)[:_TEXT], type=str(kind)[:_TEXT]) for name, kind in islice(answer, _COLUMNS))


def _pandas(frame: Any) -> dict[str, Callable[[], Any]]:
    return {
        "rows": lambda: len(frame),
        "bytes": lambda: frame.memory_usage(deep=False).sum(),
        "columns": lambda: zip(frame.columns, frame.dtypes, strict=True),
    }


def _pandas_series(series: Any) -> dict[str, Callable[[], Any]]:
    return {
        "rows": lambda: len(series),
        "bytes": lambda: series.memory_usage(deep=False),
        "columns": lambda: [("" if series.name is None else series.name, series.dtype)],
    }


def _polars(frame: Any) -> dict[str, Callable[[], Any]]:
    return {
        "rows": lambda: frame.height,
        "bytes": lambda: int(frame.estimated_size()),
        "columns": lambda: zip(frame.columns, frame.dtypes, strict=True),
    }


def _arrow(table: Any) -> dict[str, Callable[[], Any]]:
    return {
        "rows": lambda: table.num_rows,
        "bytes": lambda: table.nbytes,
        "columns": lambda: ((field.name, field.type) for field in table.schema),
    }


def _duckdb(relation: Any) -> dict[str, Callable[[], Any]]:
    return {"columns": lambda: zip(relation.columns, relation.types, strict=True)}


def _sqlalchemy(result: Any) -> dict[str, Callable[[], Any]]:
    return {
        "rows": lambda: getattr(result, "rowcount", -1),
        "columns": lambda: ((key, "") for key in (result.keys() if getattr(result, "returns_rows", True) else ())),
    }


_KNOWN: tuple[tuple[str, str, Callable[[Any], dict[str, Callable[[], Any]]]], ...] = (
    ("pandas", "DataFrame", _pandas),
    ("pandas", "Series", _pandas_series),
    ("polars", "DataFrame", _polars),
    ("pyarrow", "Table", _arrow),
    ("pyarrow", "RecordBatch", _arrow),
    ("duckdb", "DuckDBPyRelation", _duckdb),
    ("sqlalchemy", "Result", _sqlalchemy),
)
"""Module, class, and what its objects are asked."""
