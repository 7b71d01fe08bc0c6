"""Decoders of our types, each built once and by one thread at a time.

msgspec (0.22) learns a Struct's fields when the first decoder of it is made, and shows other threads what it has only half
learned: two that meet there crash the interpreter. So whoever decodes a Struct takes its decoder from here, at import or
later, and from any thread; `tests/architecture/test_decoders.py` finds who does not.
"""

from __future__ import annotations

import os
from _thread import RLock  # `threading` has the same one, and costs its import
from collections.abc import Callable
from typing import Any, Final, TypeVar, overload

import msgspec

T = TypeVar("T")

BUILDING: Final = RLock()
"""Held while a decoder of Structs is made; also by whoever makes one that `decoder` does not, such as MessagePack's."""

_decoders: Final[dict[Any, msgspec.json.Decoder[Any]]] = {}

# a child that is forked in the middle would find the half for ever
os.register_at_fork(before=BUILDING.acquire, after_in_parent=BUILDING.release, after_in_child=BUILDING.release)


@overload
def decoder(kind: type[T]) -> Callable[[bytes | str], T]: ...
@overload
def decoder(kind: Any) -> Callable[[bytes | str], Any]: ...
def decoder(kind: Any) -> Callable[[bytes | str], Any]:
    """What decodes JSON as `kind`, strictly; the same one each time.

    It raises msgspec.MsgspecError, UnicodeError or RecursionError for what is no such JSON.
    """
    return _built(kind).decode


@overload
def convert(value: Any, kind: type[T], *, strict: bool = True) -> T: ...
@overload
def convert(value: Any, kind: Any, *, strict: bool = True) -> Any: ...
def convert(value: Any, kind: Any, *, strict: bool = True) -> Any:
    """`value`, as made by a decoder of JSON or TOML, as `kind`; where not `strict`, also from text as in an environment.

    Raises:
        msgspec.ValidationError: it has another shape.
    """
    if kind not in _decoders:
        _built(kind)
    return msgspec.convert(value, kind, strict=strict)


def _built(kind: Any) -> msgspec.json.Decoder[Any]:
    found = _decoders.get(kind)
    if found is None:
        with BUILDING:
            found = _decoders.get(kind) or msgspec.json.Decoder(kind)
            _decoders[kind] = found
    return found


__all__ = ["BUILDING", "convert", "decoder"]
