"""Which task run returned an object: provenance by identity, told only where identity proves it.

An object counts as known while it is the very one that a task returned. An address alone proves nothing, since it is
reused: objects that can be referenced weakly are, others are held until nobody else does. Numbers, text, bytes, tuples
and other values that the interpreter shares between unrelated places are never told apart, so they are never known.
"""

from __future__ import annotations

import sys
import weakref
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowtell.engine.task_runs import TaskRun

ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})
"""Types whose values hold nothing else, and may be shared by unrelated places: small numbers, interned text, constants."""

_SHARED = ATOMS | {tuple, frozenset, range, slice, type}

_ELEMENTS = 256
"""How many elements of a returned or passed container are looked at."""

_NEVER = (Enum, type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
_OURS_ALONE = 2  # references to a held object that nobody else has: the pair that holds it, and getrefcount's argument


class Origins:
    """The objects that task runs of one root returned, while they live."""

    __slots__ = ("_held", "_keep", "_known")

    def __init__(self, *, keep: bool = True) -> None:
        self._keep = keep
        self._known: dict[int, tuple[Any, TaskRun]] = {}
        self._held: list[int] = []
        """Those of `_known` held by a strong reference, oldest check first."""

    def __bool__(self) -> bool:
        return bool(self._known)

    def record(self, value: Any, run: TaskRun) -> None:
        """`run` returned `value`; the elements of a container are its results as well."""
        if not self._keep:
            return
        for item in (value, *elements(value)):
            if followable(item):
                self._remember(item, run)

    def of(self, value: Any) -> TaskRun | None:
        """The task run that returned this very object."""
        found = self._known.get(id(value))
        if found is None:
            return None
        held, run = found
        alive = held() if type(held) is weakref.ref else held
        return run if alive is value else None

    def hand_on(self, value: Any, converted: Any) -> None:
        """`converted` is `value` in another form, and comes from where that came from."""
        run = self.of(value)
        if run is not None and followable(converted):
            self._remember(converted, run)

    def _remember(self, value: Any, run: TaskRun) -> None:
        address = id(value)
        try:
            held: Any = weakref.ref(value, lambda _: self._known.pop(address, None))
        except TypeError:
            held = value
            if address not in self._known:
                self._held.append(address)
            self._release()
        self._known[address] = (held, run)

    def _release(self) -> None:
        """Look at the two oldest of the held ones: what nobody else holds can never be passed on and is let go."""
        for _ in range(min(2, len(self._held) - 1)):
            address = self._held.pop(0)
            found = self._known.get(address)
            if found is None:
                continue
            if sys.getrefcount(found[0]) > _OURS_ALONE:
                self._held.append(address)
            else:
                self._known.pop(address, None)


def followable(value: Any) -> bool:
    """Whether the identity of `value` says where it came from."""
    return type(value) not in _SHARED and not isinstance(value, _NEVER)


def elements(value: Any) -> list[Any]:
    """The first elements of a built-in container."""
    kind = type(value)
    if kind is list or kind is tuple:
        return list(value[:_ELEMENTS])
    if kind is dict and len(value) <= _ELEMENTS:
        return list(value.values())
    return []


def holds_data(value: Any) -> bool:
    """Whether `value` may well be data that a task handed over: bytes, a filled container, an object; no setting."""
    kind = type(value)
    if kind is bytes or isinstance(value, list | tuple | dict | set | frozenset | bytearray):
        return bool(value)
    return followable(value) and kind.__module__ not in _SETTINGS


_SETTINGS = frozenset({"datetime", "decimal", "fractions", "pathlib", "re", "uuid", "zoneinfo", "flowtell.engine.assets"})
"""Modules whose values say how to work, not on what."""
