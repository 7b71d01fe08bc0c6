"""Pickling for another process that runs this flow's code: what it can import goes by name, the rest with its code.

A decorated function cannot be found under its own name, as its task is there; it goes as that task's function. A task of
`__main__`, of a function's body or of a notebook goes with its code and options. An exception crosses whatever arguments
its class wants. Only ever read from processes of one's own: unpickling runs code.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

import cloudpickle

from flowtell.engine.work import Work


def dumps(value: Any) -> bytes:
    """Pickle `value`. Raises whatever its parts raise."""
    file = io.BytesIO()
    _Pickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return file.getvalue()


_OF_THE_BODY = frozenset({
    "name", "description", "version", "tags", "timeout_seconds", "log_prints", "assets", "asset_deps", "columns", "sql",
    "by",
})  # fmt: skip
"""Options that the body's own process has a use for; hooks, retries and caching are the caller's."""


def pickled_task(task: Work[..., Any]) -> bytes:
    """By its name where it can be imported, made once; else with its code and what that refers to by now."""
    held = task.__dict__
    if "_pickled" in held:
        return held["_pickled"]  # type: ignore[no-any-return]
    if _found_by_name(task):
        held["_pickled"] = pickled = dumps(task)
        return pickled
    options = {name: value for name, value in task.options().items() if name in _OF_THE_BODY}
    return dumps(_Bare(type(task), task.fn, options))


class _Bare:
    """A task without what its body's process has no use for."""

    def __init__(self, *parts: Any) -> None:
        self._parts = parts

    def __reduce__(self) -> Any:
        return _work, self._parts


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it ships no types
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Work):
            return _reduced_work(obj)
        if isinstance(obj, MethodType):
            return MethodType, (obj.__func__, obj.__self__)
        if type(obj) is FunctionType and (place := _place(obj)) is not None:
            found = _at(*place)
            if isinstance(found, Work) and found.fn is obj:
                return _function_at, place
        if isinstance(obj, BaseException) and _is_made_by_init(type(obj)):
            return _exception, (type(obj), obj.args, obj.__dict__)
        if isinstance(obj, type | FunctionType):
            _can_be_imported(obj.__module__)
        return super().reducer_override(obj)


def _reduced_work(work: Work[..., Any]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    if _found_by_name(work):
        return _at, (work.__module__, work.__qualname__)
    return _work, (type(work), work.fn, work.options())


def _found_by_name(work: Work[..., Any]) -> bool:
    place = _place(work)
    return place is not None and _at(*place) is work


def _place(named: Any) -> tuple[str, str] | None:
    """Module and name under which another process finds it, if it finds it at all."""
    module, name = getattr(named, "__module__", None), getattr(named, "__qualname__", "")
    if not module or module == "__main__" or "<locals>" in name or not _can_be_imported(module):
        return None
    return module, name


def _can_be_imported(module: str) -> bool:
    """Not what pytest or a tool has made a module of without its being on the path: all of that goes with its code."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    if spec is None:
        return False
    known = _importable.get(module)
    if known is None:
        root = module.partition(".")[0]
        known = _importable[module] = root in sys.stdlib_module_names or _is_found(root)
        if not known:
            cloudpickle.register_pickle_by_value(sys.modules[module])
    return known


def _is_found(root: str) -> bool:
    """By what looks for modules, whatever is loaded here."""
    return any(finder.find_spec(root, None) is not None for finder in sys.meta_path)


_importable: dict[str, bool] = {}


def _at(module: str, name: str) -> Any:
    """What is there, imported where it has not been; None where nothing is."""
    if module not in sys.modules:
        from importlib import import_module

        import_module(module)
    found: Any = sys.modules[module]
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _function_at(module: str, name: str) -> Callable[..., Any]:
    work: Work[..., Any] = _at(module, name)
    return work.fn


def _work(kind: type[Work[..., Any]], fn: Callable[..., Any], options: dict[str, Any]) -> Work[..., Any]:
    return kind(fn, options)


def _is_made_by_init(kind: type[BaseException]) -> bool:
    """Whether plain pickling would call its `__init__` with what its base class was given."""
    if kind.__reduce__ is OSError.__reduce__:
        return isinstance(kind.__init__, FunctionType)
    return kind.__reduce__ is BaseException.__reduce__


def _exception(kind: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    """Without its `__init__`, which may want other arguments than it has kept."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error
