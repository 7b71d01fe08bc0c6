"""What an event says of a returned value: its type and size, never the value."""

from __future__ import annotations

from typing import Any

from flowtell.events import Result

_SIZED = (str, bytes, bytearray, list, tuple, dict, set, frozenset)
_PLAIN = {kind: Result(type=kind.__name__) for kind in (bool, int, float, complex)}


def result_of(value: Any) -> Result:
    kind = type(value)
    plain = _PLAIN.get(kind)
    if plain is not None:
        return plain
    if kind in _SIZED:
        return Result(type=kind.__name__, size=len(value))
    return Result(type=kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}")
