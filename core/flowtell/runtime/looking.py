"""Which run the attributes of this package are of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowtell.engine.context import current
from flowtell.engine.flow_runs import FlowRun
from flowtell.engine.runs import Run
from flowtell.engine.task_runs import TaskRun


def flow_run_around() -> FlowRun | None:
    """The innermost flow run around the caller: it itself, or the one that its task runs in."""
    run: Run | None = current.get()
    if run is None or isinstance(run, FlowRun):
        return run
    return run.scope.owner() if run.scope.owner is not None else None


def task_run_around() -> TaskRun | None:
    run = current.get()
    return run if isinstance(run, TaskRun) else None


def look_up(module: str, known: Mapping[str, Callable[[], Any]], name: str) -> Any:
    """The attribute `name` of a module of this package.

    Raises:
        AttributeError: there is none.
    """
    if name not in known:
        raise AttributeError(f"module {module!r} has no attribute {name!r}; it has {', '.join(known)}")
    return known[name]()
