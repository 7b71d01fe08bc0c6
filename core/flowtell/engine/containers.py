"""Looking into containers for futures: list, tuple, set, dict, named tuple and dataclass, a few levels deep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flowtell.engine.provenance import ATOMS

_DEPTH = 6


def walk(value: Any, depth: int = _DEPTH) -> Iterator[Any]:
    """Everything in `value` that is no container and could be a future, `value` itself if it is none."""
    inside = _inside(value) if depth else None
    if inside is None:
        yield value
    elif not ATOMS.issuperset(map(type, inside)):  # a million numbers are passed by at C speed
        for item in inside:
            yield from walk(item, depth - 1)


def replace(value: Any, change: Callable[[Any], Any], depth: int = _DEPTH) -> Any:
    """`value` with `change` applied to what `walk` finds; the very same object where nothing changed."""
    inside = _inside(value) if depth else None
    if inside is None:
        return change(value)
    if ATOMS.issuperset(map(type, inside)):
        return value
    new = [replace(item, change, depth - 1) for item in inside]
    if all(one is other for one, other in zip(new, inside, strict=True)):
        return value
    return _rebuilt(value, new)


def _inside(value: Any) -> Iterable[Any] | None:
    kind = type(value)
    if kind is dict:
        return list(value.values())
    if isinstance(value, tuple | list) or kind in (set, frozenset):
        inside: Iterable[Any] = value
        return inside
    if hasattr(kind, "__dataclass_fields__"):
        return [getattr(value, name, None) for name in kind.__dataclass_fields__]
    return None


def _rebuilt(value: Any, new: list[Any]) -> Any:
    kind = type(value)
    if kind is dict:
        return dict(zip(value, new, strict=True))
    if hasattr(kind, "_fields"):
        return kind(*new)
    if hasattr(kind, "__dataclass_fields__"):
        from copy import copy

        twin = copy(value)
        for name, item in zip(kind.__dataclass_fields__, new, strict=True):
            object.__setattr__(twin, name, item)  # a frozen one refuses any other way
        return twin
    return new if isinstance(value, list) else kind(new)  # what `.map` returns becomes a list of results
