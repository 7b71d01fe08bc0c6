"""The flow run around the caller, by the names of `prefect.runtime.flow_run`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from flowtell.runtime.looking import flow_run_around, look_up


def _id() -> str | None:
    run = flow_run_around()
    return None if run is None else run.id


def _name() -> str | None:
    run = flow_run_around()
    return None if run is None else run.name


def _tags() -> list[str]:
    run = flow_run_around()
    return [] if run is None else list(run.tags)


def _flow_name() -> str | None:
    run = flow_run_around()
    return None if run is None else run.work.name


def _flow_version() -> str | None:
    run = flow_run_around()
    return None if run is None else run.work.version or None


def _parameters() -> dict[str, Any]:
    run = flow_run_around()
    return {} if run is None else dict(run.parameters)


def _parent_flow_run_id() -> str | None:
    run = flow_run_around()
    return None if run is None else run.parent_run or None


def _root_flow_run_id() -> str | None:
    run = flow_run_around()
    return None if run is None else run.scope.root_run or run.id


def _run_count() -> int:
    run = flow_run_around()
    return 0 if run is None else run.attempt


def _scheduled_start_time() -> datetime:
    """When it was due; of a run that was called, when it began; outside of one, now."""
    run = flow_run_around()
    if run is None:
        return datetime.now(UTC)
    return datetime.fromtimestamp((run.started if run.scope.due is None else run.scope.due) / 1e6, UTC)


_KNOWN: Final[dict[str, Callable[[], Any]]] = {
    "flow_name": _flow_name,
    "flow_version": _flow_version,
    "id": _id,
    "name": _name,
    "parameters": _parameters,
    "parent_flow_run_id": _parent_flow_run_id,
    "root_flow_run_id": _root_flow_run_id,
    "run_count": _run_count,
    "scheduled_start_time": _scheduled_start_time,
    "tags": _tags,
}


def __getattr__(name: str) -> Any:
    return look_up(__name__, _KNOWN, name)


def __dir__() -> list[str]:
    return sorted(_KNOWN)
