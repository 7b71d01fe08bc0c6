"""A row as one line of JSON and back. Both kinds of store give the same line for the same row.

Bytes are base64; of the reals that JSON does not know, the three are their names.
"""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from flowtell.store.transfer.layout import TableLayout

Row = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[str | int | float | bool | None]).decode


class RowFormat:
    """Of one table. Values are those of the driver, without conversion."""

    def __init__(self, layout: TableLayout) -> None:
        self._width = len(layout.columns)
        self._bytes = layout.places("bytes")
        self._reals = layout.places("real")
        self._booleans = layout.places("boolean")

    def encode(self, row: Iterable[Any]) -> bytes:
        """One line without its end."""
        values = list(row)
        for at in self._reals:
            value = values[at]
            if value is not None:  # SQLite keeps no sign of zero
                values[at] = value + 0.0 if math.isfinite(value) else str(value)
        for at in self._booleans:
            if values[at] is not None:
                values[at] = bool(values[at])
        return _encode(values)

    def decode(self, line: bytes) -> Row:
        """Raises ValueError where it is no row of this table."""
        values: list[Any] = list(_decode(line))
        if len(values) != self._width:
            raise ValueError(f"{len(values)} values for {self._width} columns")
        self._convert(values, self._bytes, lambda value: b64decode(value, validate=True))
        self._convert(values, self._reals, float)
        return tuple(values)

    def _convert(self, values: list[Any], places: Iterable[int], to: Callable[[Any], Any]) -> None:
        for at in places:
            if values[at] is not None:
                values[at] = to(values[at])
