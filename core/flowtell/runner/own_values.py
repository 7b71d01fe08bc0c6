"""Events with values of one's own: mappings and lists inside events are the one thing that can be written into."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec

from flowtell.events import Event


def own_values(events: Iterable[Event]) -> list[Event]:
    """The same events; those that hold something that can be changed are copied with it.

    Most types hold nothing of the kind (starts and ends of task runs, logs, measures), so most events stay shared.
    """
    return [_own(event) for event in events]


def _own(event: Event) -> Event:
    fields = changeable_fields(event.__class__)
    held = {name: copy.deepcopy(value) for name in fields if (value := getattr(event, name))}
    return msgspec.structs.replace(event, **held) if held else event


@cache
def changeable_fields(kind: type[Event]) -> tuple[str, ...]:
    """The fields whose type may hold a mapping, a list, or anything."""
    return tuple(field.name for field in msgspec.structs.fields(kind) if _changeable(msgspec.inspect.type_info(field.type)))


def _changeable(kind: Any) -> bool:
    match kind:
        case msgspec.inspect.DictType() | msgspec.inspect.ListType() | msgspec.inspect.AnyType():
            return True
        case msgspec.inspect.UnionType():
            return any(map(_changeable, kind.types))
        case msgspec.inspect.VarTupleType():
            return _changeable(kind.item_type)
        case msgspec.inspect.StructType():
            return any(_changeable(field.type) for field in kind.fields)
        case _:
            return False
