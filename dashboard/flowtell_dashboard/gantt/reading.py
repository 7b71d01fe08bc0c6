"""What the picture of one run shows: its task runs and subflows in time, each beside its own history."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import select

from flowtell.store.reading import Run, TaskRun, get_run, list_task_runs
from flowtell.store.tables import runs, task_runs
from flowtell_dashboard.gantt.critical_path import CriticalPath, Span, critical_path
from flowtell_dashboard.told.story import read_story

if TYPE_CHECKING:
    from flowtell.store.reading import Read

TASK_RUNS: Final = 20_000
"""Task runs of one run that are drawn."""

SUBFLOWS: Final = 1_000
PAST_RUNS: Final = 20
"""Runs before this one whose tasks make up the history."""

_PAST_TASKS: Final = 20_000
_LEAST_HISTORY: Final = 5
"""Earlier task runs from which a percentile says something."""


class Piece(NamedTuple):
    """A task run or a subflow that has begun. Moments in µs; `ended` is None while it goes on."""

    id: str
    kind: str
    name: str
    map_index: int | None
    state: str
    started: int
    ended: int | None
    duration: float | None
    attempts: int
    error: str
    upstream: tuple[str, ...]


def read_gantt(read: Read, wanted: str, now: int) -> dict[str, Any]:
    """The picture as JSON: one list for each thing that is known of the pieces.

    Raises:
        RunNotFound: there is no such run.
    """
    run = get_run(read, wanted)
    tasks = list_task_runs(read, run.id, limit=TASK_RUNS)
    pieces = sorted([*_begun(tasks), *_subflows(read, run)], key=lambda piece: (piece.started, piece.id))
    end = run.ended or now
    path = critical_path([Span(one.id, one.started, one.ended or now, one.upstream) for one in pieces], end)
    history = _history(read, run)
    return {
        "run": run.id,
        "from": min([run.started or end, *(piece.started for piece in pieces)]),
        "to": max([end, *(piece.ended or now for piece in pieces)]),
        "now": now,
        "open": run.ended is None,
        "notStarted": sum(task.started is None for task in tasks),
        "more": len(tasks) >= TASK_RUNS,
        "path": path.path,
        "waits": read_story(read, run.id).waits,
        **_columns(pieces, path, history),
    }


def _columns(pieces: Sequence[Piece], path: CriticalPath, history: Mapping[str, list[float]]) -> dict[str, Any]:
    return {
        "id": [piece.id for piece in pieces],
        "kind": [piece.kind for piece in pieces],
        "name": [piece.name for piece in pieces],
        "index": [piece.map_index for piece in pieces],
        "state": [piece.state for piece in pieces],
        "started": [piece.started for piece in pieces],
        "ended": [piece.ended for piece in pieces],
        "attempts": [piece.attempts for piece in pieces],
        "error": [piece.error for piece in pieces],
        "slack": [path.slack[piece.id] for piece in pieces],
        "percentile": [percentile(piece.duration, history.get(piece.name, [])) for piece in pieces],
        "median": [_median(history.get(piece.name, [])) for piece in pieces],
    }


def _begun(tasks: Sequence[TaskRun]) -> list[Piece]:
    return [
        Piece(
            id=task.id,
            kind="task",
            name=task.task,
            map_index=task.map_index,
            state=task.state,
            started=task.started,
            ended=task.ended,
            duration=task.duration,
            attempts=task.attempts,
            error=task.error.type if task.error else "",
            upstream=tuple(one.task_run for one in task.upstream),
        )
        for task in tasks
        if task.started is not None
    ]


def _subflows(read: Read, run: Run) -> list[Piece]:
    """Runs that this one called; by the root's index, as there is none of parents."""
    columns = (runs.c.id, runs.c.flow, runs.c.state, runs.c.started, runs.c.ended, runs.c.duration, runs.c.attempts)
    of_root = select(*columns).where(runs.c.root_run == (run.root_run or run.id), runs.c.parent_run == run.id)
    return [
        Piece(row.id, "flow", row.flow, None, row.state, row.started, row.ended, row.duration, row.attempts, "", ())
        for row in read(of_root.where(runs.c.started.is_not(None)).limit(SUBFLOWS))
    ]


# --- history ------------------------------------------------------------------------------------------------------


def _history(read: Read, run: Run) -> dict[str, list[float]]:
    """How long each task took when it ended well, in the runs of the flow before this one, in ascending order."""
    if run.started is None:
        return {}
    before = (
        select(runs.c.id)
        .where(runs.c.flow == run.flow, runs.c.started < run.started, runs.c.environment == run.environment)
        .order_by(runs.c.started.desc())
        .limit(PAST_RUNS)
    )
    ids = [row.id for row in read(before)]
    took: defaultdict[str, list[float]] = defaultdict(list)
    if ids:
        done = task_runs.c.run.in_(ids), task_runs.c.state == "completed", task_runs.c.duration.is_not(None)
        for row in read(select(task_runs.c.task, task_runs.c.duration).where(*done).limit(_PAST_TASKS)):
            took[row.task].append(row.duration)
    return {task: sorted(durations) for task, durations in took.items()}


def percentile(duration: float | None, history: Sequence[float]) -> int | None:
    """How many of a hundred earlier ones took no longer; None where too little is known to say."""
    if duration is None or len(history) < _LEAST_HISTORY:
        return None
    return round(100 * bisect_right(history, duration) / len(history))


def _median(history: Sequence[float]) -> float | None:
    return history[len(history) // 2] if len(history) >= _LEAST_HISTORY else None
