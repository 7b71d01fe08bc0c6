"""One flow over its last runs: how long they took, how late they began, what they used, and which tasks take the time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import select

from flowtell.store.reading import Run, list_runs
from flowtell.store.tables import task_runs
from flowtell_dashboard.timeline.blocks import FIRST_BAD, STATES

if TYPE_CHECKING:
    from flowtell.store.reading import Read

RUNS: Final = 200
"""Runs that the charts show, the newest."""

TASKS_OF: Final = 20
"""Runs whose task runs are looked at, the newest."""

_TASK_RUNS: Final = 20_000
_BAD: Final = frozenset(STATES[FIRST_BAD:])


class TaskSummary(NamedTuple):
    """A task over the last runs of its flow. Seconds; memory, of the whole process, in bytes."""

    task: str
    runs: int
    bad: int
    retries: int
    median: float | None
    slow: float | None
    part: float
    """Of the time that all tasks took together."""
    memory: int | None


def read_history(read: Read, flow: str, environment: str) -> list[Run]:
    """The newest runs of the flow, the oldest of them first. By an index, and at most `RUNS`."""
    return list_runs(read, flow=flow, environment=environment, limit=RUNS)[::-1]


def points(found: Sequence[Run], now: int) -> dict[str, list[Any]]:
    """What the charts draw, one list for each thing that is known of the runs."""
    return {
        "id": [run.id for run in found],
        "name": [run.name for run in found],
        "state": [run.state for run in found],
        "started": [run.started for run in found],
        "duration": [_took(run, now) for run in found],
        "delay": [max(0, run.started - run.due) / 1e6 if run.started and run.due else None for run in found],
        "memory": [run.peak_memory for run in found],
        "retries": [run.attempts - 1 for run in found],
    }


def _took(run: Run, now: int) -> float | None:
    if run.duration is not None:
        return run.duration
    return (now - run.started) / 1e6 if run.started and run.ended is None else None


def read_tasks(read: Read, found: Sequence[Run]) -> list[TaskSummary]:
    """Tasks of the newest runs, those that take the most time first."""
    ids = [run.id for run in found[-TASKS_OF:]]
    columns = (task_runs.c.task, task_runs.c.state, task_runs.c.duration, task_runs.c.attempts, task_runs.c.peak_memory)
    rows = read(select(*columns).where(task_runs.c.run.in_(ids)).limit(_TASK_RUNS)) if ids else []
    of_task: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        of_task[row.task].append(row)
    whole = sum(row.duration or 0.0 for row in rows) or 1.0
    return sorted((_summary(task, mine, whole) for task, mine in of_task.items()), key=lambda one: -one.part)


def _summary(task: str, rows: Sequence[Any], whole: float) -> TaskSummary:
    took = sorted(row.duration for row in rows if row.duration is not None)
    return TaskSummary(
        task=task,
        runs=len(rows),
        bad=sum(row.state in _BAD for row in rows),
        retries=sum(max(row.attempts - 1, 0) for row in rows),
        median=took[len(took) // 2] if took else None,
        slow=took[min(int(len(took) * 0.95), len(took) - 1)] if took else None,
        part=sum(took) / whole,
        memory=_most(row.peak_memory for row in rows),
    )


def _most(amounts: Iterable[int | None]) -> int | None:
    return max((amount for amount in amounts if amount is not None), default=None)
