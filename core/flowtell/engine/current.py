"""The run around the caller, as a frozen object."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from flowtell.engine.context import current

if TYPE_CHECKING:
    from flowtell.engine.runs import Run


class CurrentRun(Struct, frozen=True, kw_only=True):
    """What a run knows of itself."""

    kind: str
    """`flow` or `task`."""
    id: str
    """Of this run: the task run's inside a task, else the flow run's."""
    name: str
    flow: str
    """Empty for a task that no flow surrounds, as are `flow_run_id` and `root_run_id`."""
    task: str
    flow_run_id: str
    root_run_id: str
    task_run_id: str
    trace: str
    attempt: int
    """1 for the first."""
    started: datetime | None
    """UTC; when the first attempt began."""
    tags: tuple[str, ...]
    deployment: str
    """Empty where no deployment's schedule began the outermost run."""
    due: datetime | None
    """UTC; the nominal time that the outermost run answers, which is not when it started."""
    parameters: dict[str, Any]
    """Of a flow run, as its function was called."""


def current_run() -> CurrentRun | None:
    """The innermost run around the caller, or None outside of any."""
    run = current.get()
    return None if run is None else snapshot(run)


def snapshot(run: Run) -> CurrentRun:
    scope = run.scope
    return CurrentRun(
        kind=run.kind,
        id=run.id,
        name=run.name,
        flow=scope.flow,
        task=run.task,
        flow_run_id=scope.run,
        root_run_id=scope.root_run or scope.run,
        task_run_id=run.task_run,
        trace=scope.trace,
        attempt=run.attempt,
        started=datetime.fromtimestamp(run.started / 1e6, UTC) if run.started else None,
        tags=getattr(run, "tags", run.work.tags),
        deployment=scope.deployment,
        due=None if scope.due is None else datetime.fromtimestamp(scope.due / 1e6, UTC),
        parameters=dict(getattr(run, "parameters", {})),
    )
