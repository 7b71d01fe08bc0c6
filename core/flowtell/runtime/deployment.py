"""The deployment that the run around the caller answers, by the names of `prefect.runtime.deployment`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flowtell.runtime.looking import flow_run_around, look_up


def _name() -> str | None:
    run = flow_run_around()
    return None if run is None else run.scope.deployment or None


def _flow_run_id() -> str | None:
    """Of the outermost run, which a deployment's schedule began."""
    run = flow_run_around()
    return None if run is None or not run.scope.deployment else run.scope.root_run or run.id


_KNOWN: Final[dict[str, Callable[[], Any]]] = {"flow_run_id": _flow_run_id, "name": _name}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _KNOWN, name)


def __dir__() -> list[str]:
    return sorted(_KNOWN)
