"""The task run around the caller, by the names of `prefect.runtime.task_run`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flowtell.runtime.looking import look_up, task_run_around


def _id() -> str | None:
    run = task_run_around()
    return None if run is None else run.id


def _name() -> str | None:
    run = task_run_around()
    return None if run is None else run.name


def _task_name() -> str | None:
    run = task_run_around()
    return None if run is None else run.work.name


def _tags() -> list[str]:
    run = task_run_around()
    return [] if run is None else list(run.work.tags)


def _parameters() -> dict[str, Any]:
    from flowtell.engine.signatures import bound_arguments

    run = task_run_around()
    return {} if run is None else bound_arguments(run.work.signature, run.work.fn, run.args, run.kwargs)


def _run_count() -> int:
    run = task_run_around()
    return 0 if run is None else run.attempt


_KNOWN: Final[dict[str, Callable[[], Any]]] = {
    "id": _id,
    "name": _name,
    "parameters": _parameters,
    "run_count": _run_count,
    "tags": _tags,
    "task_name": _task_name,
}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _KNOWN, name)


def __dir__() -> list[str]:
    return sorted(_KNOWN)
