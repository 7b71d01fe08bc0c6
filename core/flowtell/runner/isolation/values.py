"""Values of rows on their way through the pipe: what a store takes, and nothing whose making runs code."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes})

_BY_TEXT: Final[tuple[tuple[int, type, Callable[[str], Any]], ...]] = (
    (1, dt.datetime, dt.datetime.fromisoformat),
    (2, dt.date, dt.date.fromisoformat),
    (3, dt.time, dt.time.fromisoformat),
    (4, decimal.Decimal, decimal.Decimal),
    (5, uuid.UUID, uuid.UUID),
)
"""By the code of their extension type; a datetime is a date too, so it stands first."""

_BASES: Final[tuple[type[Any], ...]] = (int, float, str, bytes)
_READ: Final = {code: read for code, _, read in _BY_TEXT}


class CannotCross(Exception):
    """Something that has no form as plain data; its text names it."""


def plain_rows(rows: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """The rows as they can be encoded; most can as they are.

    Raises:
        CannotCross: a value of a type that no store takes.
    """
    kept = tuple(rows)
    if {type(value) for row in kept for value in row.values()} <= PLAIN:
        return kept
    return tuple({name: plain(value) for name, value in row.items()} for row in kept)


def plain(value: Any) -> Any:
    """One value; inside lists and mappings, which a JSON column takes, too."""
    if type(value) in PLAIN:
        return value
    for code, kind, _ in _BY_TEXT:
        if isinstance(value, kind):
            return msgspec.msgpack.Ext(code, str(value).encode())
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    for base in _BASES:  # a number or text of a kind of its own
        if isinstance(value, base):
            return base(value)
    raise CannotCross(f"a value of type {type(value).__qualname__}")


def value_of(code: int, data: memoryview) -> Any:
    """The value that an extension type stands for; for the decoder of whoever reads."""
    return _READ[code](bytes(data).decode())
