"""Log records as plain data, made of events: what runs log, what they raise, and that they run."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from flowtell.events import Failure, LogRecorded
from flowtell.ids import span_id
from flowtell_exporters.otel.open_runs import run_of
from flowtell_exporters.otel.roots import Root
from flowtell_exporters.otel.words import exception, pruned

INFO: Final = 9
_ERROR: Final = 17
_SEVERITY: Final = {"DEBUG": 5, "INFO": INFO, "WARNING": 13, "WARN": 13, "ERROR": _ERROR, "CRITICAL": 21, "FATAL": 21}
"""Python's levels as numbers of OpenTelemetry (data model, mapping of SeverityNumber)."""

RUNNING: Final = "flowtell.run.running"
"""The name of the record that says that a run is under way: no span says so before its end."""


class Record(Struct, kw_only=True):
    """One log record. Moments in µs."""

    key: str
    time: int
    observed: int
    severity: int
    level: str
    body: str
    name: str = ""
    trace: str = ""
    span: str = ""
    attributes: dict[str, Any]
    environment: str = ""


def logged(event: LogRecorded, root: Root) -> Record:
    """A line that a run logged."""
    place = {"code.file.path": event.file, "code.line.number": event.line or None}
    return _record(
        event,
        root,
        key=event.id,
        severity=_SEVERITY.get(event.level.upper(), INFO),
        level=event.level,
        body=event.message,
        attributes=pruned({"flowtell.logger": event.logger, **_names(event), **place}),
    )


def raised(event: Any, error: Failure, root: Root, *, is_last: bool) -> Record:
    """An exception that ended a run, or an attempt after which another follows."""
    facts = {**exception(error), "flowtell.attempt": None if is_last else event.attempt}
    return _record(
        event,
        root,
        key=event.id,
        severity=_ERROR if is_last else _SEVERITY["WARNING"],
        level="ERROR" if is_last else "WARNING",
        body=f"{error.type}: {error.message}",
        attributes=pruned({**facts, **_names(event)}),
    )


def running(event: Any, root: Root) -> Record:
    """That a run is under way."""
    what = event.task or event.flow
    return _record(
        event,
        root,
        key=f"{run_of(event)}-{event.attempt}",
        severity=INFO,
        level="INFO",
        body=f"{what} is running",
        name=RUNNING,
        attributes=pruned({"cicd.pipeline.run.state": "executing", "flowtell.attempt": event.attempt, **_names(event)}),
    )


def _record(event: Any, root: Root, **facts: Any) -> Record:
    run = run_of(event)
    return Record(
        time=event.time,
        observed=event.received or event.time,
        trace=root.trace if run else "",
        span=span_id(run) if run else "",
        environment=event.environment,
        **facts,
    )


def _names(event: Any) -> dict[str, Any]:
    """Which run it is of, in the words of its span."""
    return {
        "cicd.pipeline.name": event.flow,
        "cicd.pipeline.task.name": event.task,
        "flowtell.run.id": event.run or event.task_run,
    }
