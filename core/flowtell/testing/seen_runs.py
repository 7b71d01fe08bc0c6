"""Flow runs and task runs as a test looks at them: folded from events as the log does it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from flowtell.decoders import decoder
from flowtell.events import Event, Failure
from flowtell.fold import FLOW_RUN_EVENTS, TASK_RUN_EVENTS, RunFacts


class SeenRun(msgspec.Struct, frozen=True, kw_only=True):
    """A flow run, or a task run, which has a `task`."""

    id: str
    run: str
    """The flow run: of a task run the one around it, empty where there is none."""
    flow: str
    state: str
    name: str
    """As given by `flow_run_name` or `task_run_name`; else the flow's name, or the task's with a number."""
    task: str = ""
    map_index: int | None = None
    attempts: int = 1
    started: datetime | None = None
    ended: datetime | None = None
    duration: float | None = None
    """Seconds, those among them by which the clock was moved."""
    due: datetime | None = None
    deployment: str = ""
    cause: str = ""
    tags: tuple[str, ...] = ()
    parameters: dict[str, Any] = {}
    """As they are in the log: bounded, and secrets left out."""
    parent_run: str = ""
    parent_task_run: str = ""
    version: str = ""
    error: Failure | None = None

    def __str__(self) -> str:
        what = f"task run {self.name}" if self.task else f"flow run {self.name}"
        problem = f" ({self.error.type}: {self.error.message})" if self.error is not None else ""
        return f"{what}, {self.state}{problem}"


def flow_runs(events: Iterable[Event]) -> list[SeenRun]:
    """In the order in which they were first told of."""
    facts: dict[str, RunFacts] = {}
    for event in events:
        if event.__class__ in FLOW_RUN_EVENTS and event.run:
            facts.setdefault(event.run, RunFacts("", event.run)).take(event)
    return [_seen(one, one.name or one.flow) for one in facts.values()]


def task_runs(events: Iterable[Event]) -> list[SeenRun]:
    """As `flow_runs`."""
    facts: dict[str, RunFacts] = {}
    for event in events:
        if event.__class__ in TASK_RUN_EVENTS and event.task_run:
            facts.setdefault(event.task_run, RunFacts(event.run, event.task_run)).take(event)
    return [_seen(one, one.name or f"{one.task}-{one.dynamic_key or 0}") for one in facts.values()]


def _seen(facts: RunFacts, name: str) -> SeenRun:
    return SeenRun(
        id=facts.id,
        run=facts.run if facts.task else facts.id,
        flow=facts.flow,
        state=facts.state,
        name=name,
        task=facts.task,
        map_index=facts.map_index,
        attempts=facts.attempts,
        started=_moment(facts.started),
        ended=_moment(facts.ended),
        duration=facts.duration,
        due=_moment(facts.due),
        deployment=facts.deployment or "",
        cause=facts.cause or "",
        tags=decoder(tuple[str, ...])((facts.tags or "[]").encode()),
        parameters=decoder(dict[str, Any])((facts.parameters or "{}").encode()),
        parent_run=facts.parent_run or "",
        parent_task_run=facts.parent_task_run or "",
        version=facts.version or "",
        error=None if facts.error is None else decoder(Failure)(facts.error.encode()),
    )


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else datetime.fromtimestamp(microseconds / 1e6, UTC)


__all__ = ["SeenRun", "flow_runs", "task_runs"]
