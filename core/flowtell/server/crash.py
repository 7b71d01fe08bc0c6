"""Ends for runs whose process is gone: events by ids derived from run and journal, so that twice changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, or_, select

from flowtell.events import Event, Failure, FlowRunFinished, TaskRunFinished
from flowtell.ids import derived_id, moment_of
from flowtell.journal import Header
from flowtell.store.tables import runs, task_runs


def crash_events(connection: Connection, writer: int, header: Header, died: int) -> Sequence[Event]:
    """The ends of all that started in this journal and has not ended, task runs before the runs they belong to."""
    open_runs = connection.execute(
        select(runs).where(runs.c.writer == writer, runs.c.ended.is_(None), runs.c.started.is_not(None))
    ).all()
    open_tasks = connection.execute(_open_tasks(writer, [run.id for run in open_runs])).all()
    error = Failure(type="Crashed", message=_message(header))
    return [_task_crash(row, header, died, error) for row in open_tasks] + [
        _flow_crash(row, header, died, error) for row in open_runs
    ]


def _open_tasks(writer: int, of_runs: list[str]) -> Any:
    mine = task_runs.c.writer == writer
    return select(task_runs).where(task_runs.c.ended.is_(None), or_(mine, task_runs.c.run.in_(of_runs)) if of_runs else mine)


def _message(header: Header) -> str:
    where = f" on {header.machine}" if header.machine else ""
    return f"Process {header.pid}{where} ended without finishing this run: killed, out of memory, or the machine went down."


def _flow_crash(row: Any, header: Header, died: int, error: Failure) -> Event:
    return FlowRunFinished(
        id=_id(row.id, header),
        time=died,
        run=row.id,
        flow=row.flow,
        root_run=row.root_run or "",
        deployment=row.deployment or "",
        due=row.due,
        environment=row.environment,
        source=row.source,
        state="crashed",
        error=error,
        attempts=row.attempts,
    )


def _task_crash(row: Any, header: Header, died: int, error: Failure) -> Event:
    return TaskRunFinished(
        id=_id(row.id, header),
        time=died,
        run=row.run,
        task_run=row.id,
        flow=row.flow,
        task=row.task,
        environment=header.environment,
        source=header.source,
        state="crashed",
        error=error,
        attempts=row.attempts,
    )


def _id(run: str, header: Header) -> str:
    return derived_id(moment_of(run) or header.time, "crashed", run, header.writer)
