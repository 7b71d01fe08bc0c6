"""Which task run returned an object: provenance by identity, told only where identity proves it.

An object counts as known while it is the very one that a task returned. An address alone proves nothing, since it is
reused: objects that can be referenced weakly are, others are held until nobody else does. Numbers, text, bytes, tuples
and other values that the interpreter shares between unrelated places are never told apart, so they are never known.
"""

from __future__ import annotations

import sys
import weakref
from collections import deque
from collections.abc import Iterable
from enum import Enum
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowtell.engine.task_runs import TaskRun

ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})
"""Types whose values hold nothing else, and may be shared by unrelated places: small numbers, interned text, constants."""

_SHARED = ATOMS | {tuple, frozenset, range, slice, type}

_ELEMENTS = 256
"""How many elements of a returned or passed container are looked at."""

_HANDED_OUT = 1_024
"""How many numbers and texts of runs that bring assets are remembered; after that every one counts as theirs."""

_NEVER = (Enum, type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
_OURS_ALONE = 2  # references to a held object that nobody else has: the pair that holds it, and getrefcount's argument


class Origins:
    """The objects that task runs of one root returned, while they live. From any thread.

    Outside of flow runs (`hold=False`) nothing is held: what cannot be referenced weakly is not known there, since no end
    comes that would let it go.
    """

    __slots__ = ("_handed_out", "_held", "_hold", "_known", "bring", "outside")

    def __init__(self, *, hold: bool = True) -> None:
        self._hold = hold
        self._known: dict[int, tuple[Any, TaskRun]] = {}
        self._held: deque[int] = deque()
        """Those of `_known` held by a strong reference, oldest check first."""
        self._handed_out: set[tuple[type, Any]] = set()
        self.bring = False
        """Whether a run that brings assets has ended, or handed something out."""
        self.outside: tuple[Any, ...] = ()
        """Parameters of the root flow run, which came from outside."""

    def __bool__(self) -> bool:
        return bool(self._known)

    def record(self, value: Any, run: TaskRun) -> None:
        """`run` returned `value`; the elements of a container are its results as well."""
        for item in (value, *elements(value)):
            if followable(item):
                self._remember(item, run)

    def note(self, value: Any) -> None:
        """A run that brings assets has handed out `value`: what equals a number or text of it may be it."""
        self.bring = True
        for item in (value, *elements(value)):
            if item is not None and type(item) in ATOMS and len(self._handed_out) <= _HANDED_OUT:
                self._handed_out.add((type(item), item))

    def has_handed_out(self, value: Any) -> bool:
        return len(self._handed_out) > _HANDED_OUT or (type(value), value) in self._handed_out

    def of(self, value: Any) -> TaskRun | None:
        """The task run that returned this very object."""
        found = self._known.get(id(value))
        if found is None:
            return None
        held, run = found
        alive = held() if type(held) is weakref.ref else held
        return run if alive is value else None

    def sources(self, value: Any) -> list[TaskRun]:
        """The task runs that returned this very object, or elements of it, each once."""
        found = (self.of(item) for item in (value, *elements(value)))
        return list(dict.fromkeys(run for run in found if run is not None))

    def hand_on(self, value: Any, converted: Any) -> None:
        """`converted` is `value` in another form, and comes from where that came from."""
        run = self.of(value)
        if run is not None and followable(converted):
            self._remember(converted, run)
        before, after = elements(value), elements(converted)
        if len(before) == len(after):
            for one, other in zip(before, after, strict=True):
                run = self.of(one)
                if run is not None and other is not one and followable(other):
                    self._remember(other, run)

    def _remember(self, value: Any, run: TaskRun) -> None:
        address = id(value)
        try:
            held: Any = weakref.ref(value, lambda _: self._known.pop(address, None))
        except TypeError:
            if not self._hold:
                return
            held = value
            if address not in self._known:
                self._held.append(address)
            self._release()
        self._known[address] = (held, run)

    def _release(self) -> None:
        """Look at the two oldest of the held ones: what nobody else holds can never be passed on and is let go."""
        for _ in range(min(2, len(self._held) - 1)):
            try:
                address = self._held.popleft()
            except IndexError:  # another thread was quicker
                return
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
    """The first elements of a built-in container, of a named tuple or of a data class."""
    kind = type(value)
    if kind is list or kind is tuple:
        return list(value[:_ELEMENTS])
    if kind is dict:
        return list(_stable(value))
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return list(value)
    if kind is not type and hasattr(kind, "__dataclass_fields__"):
        held = getattr(value, "__dict__", {})
        return [held[name] for name in kind.__dataclass_fields__ if name in held]
    return []


def is_container(value: Any) -> bool:
    """Whether `elements` looks into it."""
    kind = type(value)
    return (
        kind in (list, tuple, dict)
        or (isinstance(value, tuple) and hasattr(kind, "_fields"))
        or hasattr(kind, "__dataclass_fields__")
    )


def is_cut(value: Any) -> bool:
    """Whether it has more elements than are looked at."""
    return type(value) in (list, tuple, dict) and len(value) > _ELEMENTS


def _stable(value: dict[Any, Any]) -> Iterable[Any]:
    try:
        return list(islice(value.values(), _ELEMENTS))
    except RuntimeError:  # another thread has changed its size
        return ()


def holds_data(value: Any) -> bool:
    """Whether `value` may well be data that a task handed over: bytes, a filled container, an object; no setting."""
    kind = type(value)
    if kind is bytes or isinstance(value, list | tuple | dict | set | frozenset | bytearray):
        return bool(value)
    return followable(value) and kind.__module__ not in _SETTINGS


_SETTINGS = frozenset({"datetime", "decimal", "fractions", "pathlib", "re", "uuid", "zoneinfo", "flowtell.engine.assets"})
"""Modules whose values say how to work, not on what."""
