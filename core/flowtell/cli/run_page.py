"""One run's page in text: what it was, how it ended, its task runs, its last words."""

from __future__ import annotations

from collections.abc import Iterator

from flowtell.cli import cells
from flowtell.cli.log_lines import print_logs
from flowtell.cli.session import Session
from flowtell.store.reading import Run, TaskRun, last_logs, list_task_runs

_TASK_RUNS = 100
_LOGS = 15


def print_page(session: Session, run: Run) -> None:
    """Print the page of `run`; as JSON, an object of run, task_runs and logs."""
    tasks = list_task_runs(session.read, run.id, _TASK_RUNS)
    logs = last_logs(session.read, run.id, _LOGS)
    if session.json:
        session.print_json({"run": run, "task_runs": tasks, "logs": logs})
        return
    session.print_facts(_facts(run))
    if run.error is not None:
        _print_error(session, run)
    if tasks:
        session.print_heading("Task runs")
        session.print_table(("task run", "state", "started", "duration", "attempts", "error"), map(_task_row, tasks))
    if logs:
        session.print_heading("Last logs")
        print_logs(session, logs)


def _facts(run: Run) -> Iterator[tuple[str, cells.Value]]:
    yield "run", cells.Cell(run.id, run.id, "bold")
    yield "flow", run.flow
    yield "name", run.name
    yield "state", cells.state(run.state)
    yield "native state", run.native_state
    yield "signal", run.signal
    yield "due", cells.moment(run.due)
    yield "started", cells.moment(run.started)
    yield "duration", cells.lasted(run.started, run.ended, run.duration)
    yield "attempts", run.attempts if run.attempts > 1 else None
    yield "cpu", cells.span(run.cpu_seconds)
    yield "peak memory", cells.size(run.peak_memory)
    yield from _surroundings(run)


def _surroundings(run: Run) -> Iterator[tuple[str, cells.Value]]:
    yield "environment", run.environment
    yield "source", run.source
    yield "deployment", run.deployment
    yield "parent run", run.parent_run
    yield "root run", run.root_run
    yield "trace", run.trace if run.trace != run.id else ""
    yield "parameters", ", ".join(f"{name}={value!r}" for name, value in run.parameters.items())
    yield "tags", ", ".join(run.tags)
    yield "version", run.version
    yield "machine", f"{run.machine}, pid {run.pid}" if run.pid else run.machine
    yield "url", run.url
    yield "corrections", run.corrections or None


def _print_error(session: Session, run: Run) -> None:
    assert run.error is not None
    session.print_heading("Error")
    if run.error.traceback:
        session.print_text(run.error.traceback.rstrip())
    else:
        session.print_text(f"{run.error.type}: {run.error.message}".strip(": "))


def _task_row(task: TaskRun) -> tuple[cells.Value, ...]:
    error = f"{task.error.type}: {task.error.message}" if task.error else ""
    return (
        task.name or task.task,
        cells.state(task.state),
        cells.moment(task.started),
        cells.lasted(task.started, task.ended, task.duration),
        task.attempts,
        error,
    )
