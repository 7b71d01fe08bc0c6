"""Finds the flow that `MODULE:FLOW` or `FILE.py:FLOW` names, and imports its module as Python itself would."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import sys
import traceback
from types import ModuleType
from typing import Any

from flowtell.errors import FlowNotFound, FlowtellError


def find_flow(target: str) -> Any:
    """The flow. Where the module has just one, its name may be left out.

    Raises:
        FlowNotFound: no such module, file or flow, or the module raised while it was imported.
    """
    place, _, name = target.partition(":")
    module = _import(target, place)
    flows = {key: value for key, value in vars(module).items() if _is_flow(value) and not key.startswith("_")}
    if name:
        return _named(target, module, name, list(flows))
    if len(set(map(id, flows.values()))) == 1:
        return next(iter(flows.values()))
    has = f"it has {', '.join(sorted(flows))}" if flows else "it has none"
    raise FlowNotFound(target, f"write {place}:FLOW; {has}.")


def _is_flow(value: Any) -> bool:
    from flowtell.engine.flows import Flow

    return isinstance(value, Flow)


def _named(target: str, module: ModuleType, name: str, flows: list[str]) -> Any:
    found = getattr(module, name, None)
    if _is_flow(found):
        return found
    if callable(found):
        raise FlowNotFound(target, f"'{name}' is no flow. Decorate it with @flow.")
    close = difflib.get_close_matches(name, flows, n=1)
    hint = f"Did you mean '{close[0]}'?" if close else f"It has: {', '.join(flows) or 'no flows'}."
    raise FlowNotFound(target, f"the module has no '{name}'. {hint}")


def _import(target: str, place: str) -> ModuleType:
    try:
        if place.endswith(".py"):
            return _import_file(target, place)
        sys.path.insert(0, os.getcwd())
        return importlib.import_module(place)
    except FlowtellError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (place == error.name or place.startswith(f"{error.name}.")):
            hint = f" Did you mean '{place}.py:{target.partition(':')[2]}'?" if os.path.isfile(f"{place}.py") else ""
            raise FlowNotFound(target, f"there is no module '{error.name}' here or installed.{hint}") from None
        raise FlowNotFound(target, _raised(error)) from error
    except Exception as error:
        raise FlowNotFound(target, _raised(error)) from error


def _import_file(target: str, path: str) -> ModuleType:
    """As a module of the file's name, its folder first on the path, as if Python ran it."""
    if not os.path.isfile(path):
        raise FlowNotFound(target, f"there is no file {path}.")
    full = os.path.abspath(path)
    sys.path.insert(0, os.path.dirname(full))
    name = os.path.splitext(os.path.basename(full))[0]
    spec = importlib.util.spec_from_file_location(name, full)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _raised(error: Exception) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"importing it raised {type(error).__name__}: {error}{where}."
