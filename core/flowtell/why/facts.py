"""What the log tells of one run up to a moment: read by indexes, each question with a bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Row, func, or_, select

from flowtell.store.reading import Read, Run, TaskRun, ToldEvent, find_task_runs, get_run, list_told
from flowtell.store.tables import events, runs, task_runs, writers

TOLD: Final = 2_000
"""Events of a run that are looked at."""
TASK_RUNS: Final = 200
"""Open or failed ones of a run that are looked at."""
BAD: Final = ("failed", "timed_out", "crashed")
CHILDREN: Final = 500
LOOKED_THROUGH: Final = 400
"""Earlier runs of the flow that are looked through for those that ended well."""
_AT_MOST: Final = 30
HISTORY: Final = 50
"""Of those, so many are compared with."""

_STATES: Final = {
    "flow_run.scheduled": "scheduled",
    "flow_run.late": "late",
    "flow_run.pending": "pending",
    "flow_run.waiting": "waiting",
    "flow_run.started": "running",
    "flow_run.retrying": "retrying",
    "flow_run.paused": "paused",
    "flow_run.resumed": "running",
    "flow_run.cancelling": "cancelling",
}
_AHEAD: Final = frozenset({"scheduled", "late", "pending", "waiting"})


_EARLIER: Final = select(
    runs.c.id, runs.c.state, runs.c.deployment, runs.c.environment, runs.c.ended, runs.c.duration
).order_by(runs.c.started.desc())
_LATEST: Final = select(runs.c.id, runs.c.started, runs.c.ended, runs.c.due, runs.c.changed)


class Earlier(NamedTuple):
    """A run that ended well."""

    id: str
    duration: float | None
    """Seconds."""


class Writer(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever told of a run: its process, or a source."""

    name: str
    kind: str
    machine: str
    source: str
    ended: int | None
    heard: int | None
    """When it was last heard of, where it is not on the server's own machine."""


class RunFacts:
    """One run as it stood at a moment."""

    def __init__(self, read: Read, run: Run, at: int) -> None:
        self.at = at
        told = list_told(read, run.id, limit=TOLD)
        self.whole = len(told) < TOLD
        self.told: list[ToldEvent] = [one for one in told if one.event.time <= at and not one.contrary]
        self.run = _as_of(run, self.told, at)

    def last(self, *types: str, task_run: str = "") -> Any:
        """The last event of these types, of the run itself or of one of its task runs; None where there is none."""
        found = [one.event for one in self.told if one.event.type in types and one.event.task_run == task_run]
        return max(found, key=lambda event: event.time, default=None)

    @property
    def is_ahead(self) -> bool:
        """Whether it has not begun, or not again."""
        return self.run.state in _AHEAD and self.run.ended is None


def _as_of(run: Run, told: Sequence[ToldEvent], at: int) -> Run:
    """Take back what came after the moment."""
    if run.changed <= at:
        return run
    last = max((one.event for one in told if one.event.type in _STATES), key=lambda event: event.time, default=None)
    return msgspec.structs.replace(
        run,
        state=_STATES[last.type] if last is not None else "unknown",
        changed=last.time if last is not None else run.changed,
        started=run.started if run.started is not None and run.started <= at else None,
        ended=None,
        duration=None,
        error=None,
        signal="",
    )


class Facts:
    """Asks the store. Nothing is written, and each run is read once."""

    def __init__(self, read: Read, at: int) -> None:
        self.read, self.at = read, at
        self._runs: dict[str, RunFacts] = {}
        self._before: dict[str, list[Earlier]] = {}

    def run(self, run: str) -> RunFacts:
        """Raises `RunNotFound` where the log has it no more."""
        if run not in self._runs:
            found = get_run(self.read, run)
            self._runs[run] = self._runs[found.id] = RunFacts(self.read, found, self.at)
        return self._runs[run]

    # --- its task runs: whoever has ten thousand of them is not read whole

    def open_tasks(self, run: str) -> list[TaskRun]:
        """Those that were open then, the longest first; of those that had not begun some."""
        column = task_runs.c
        begun = or_(column.started.is_(None), column.started <= self.at)
        is_open = or_(column.ended.is_(None), column.ended > self.at)
        return find_task_runs(self.read, run, begun, is_open, order=column.started, limit=TASK_RUNS)

    def failed_tasks(self, run: str) -> list[TaskRun]:
        """Those that had ended badly, the first first."""
        bad = task_runs.c.state.in_(BAD)
        return find_task_runs(self.read, run, bad, task_runs.c.ended <= self.at, order=task_runs.c.ended, limit=TASK_RUNS)

    def last_task(self, run: str) -> TaskRun | None:
        """The one that ended last."""
        ended = task_runs.c.ended
        return next(iter(find_task_runs(self.read, run, ended <= self.at, order=ended.desc(), limit=1)), None)

    def longest_task(self, run: str) -> TaskRun | None:
        """The one that took most of the time."""
        took = task_runs.c.duration
        found = find_task_runs(self.read, run, task_runs.c.ended <= self.at, took > 0, order=took.desc(), limit=1)
        return next(iter(found), None)

    def durations(self, run: str) -> dict[str, float]:
        """Seconds from the first start to the last end of each task's runs: of mapped ones, all together."""
        column = task_runs.c
        first, last = func.min(column.started).label("first"), func.max(column.ended).label("last")
        ended = (column.run == run, column.started.is_not(None), column.ended <= self.at)
        wanted = select(column.task, first, last).where(*ended).group_by(column.task)
        return {row.task: (row.last - row.first) / 1e6 for row in self.read(wanted)}

    def children(self, run: Run) -> list[Run]:
        """Runs that it called, the latest last."""
        root = run.root_run or run.id
        wanted = select(runs.c.id).where(runs.c.root_run == root, runs.c.parent_run == run.id).limit(CHILDREN)
        found = [self.run(row.id).run for row in self.read(wanted)]
        return sorted((child for child in found if (child.started or 0) <= self.at), key=lambda child: child.started or 0)

    def before(self, run: Run) -> list[Earlier]:
        """Runs of the same flow, deployment and environment that ended well before it, the latest first."""
        if run.id not in self._before:
            moment = min(run.started or self.at, self.at)
            found = self.read(_EARLIER.where(runs.c.flow == run.flow, runs.c.started < moment).limit(LOOKED_THROUGH))
            same = [row for row in found if _alike(row, run) and row.ended is not None and row.ended <= self.at]
            self._before[run.id] = [Earlier(row.id, row.duration) for row in same[:HISTORY]]
        return self._before[run.id]

    def task_seconds(self, ids: Sequence[str], task: str) -> list[float]:
        """From the first start to the last end of the task's runs, in each of these runs that had any."""
        column = task_runs.c
        first, last = func.min(column.started).label("first"), func.max(column.ended).label("last")
        ended = (column.run.in_(ids), column.task == task, column.started.is_not(None), column.ended <= self.at)
        return [(row.last - row.first) / 1e6 for row in self.read(select(first, last).where(*ended).group_by(column.run))]

    def latest(self, flow: str, deployment: str = "", environment: str = "") -> Sequence[Row[Any]]:
        """The flow's runs that have not started, and those that began last: id, state, and their moments."""
        wanted = _LATEST.where(runs.c.flow == flow).limit(_AT_MOST)
        for column, value in ((runs.c.deployment, deployment), (runs.c.environment, environment)):
            wanted = wanted.where(column == value) if value else wanted
        ahead = self.read(wanted.where(runs.c.started.is_(None)).order_by(runs.c.id.desc()))
        return [*ahead, *self.read(wanted.where(runs.c.started <= self.at).order_by(runs.c.started.desc()))]

    def teller(self, facts: RunFacts, *types: str) -> Writer | None:
        """Who told of the run last, or last by an event of these types; None where the log has no such event."""
        seq = max((one.seq for one in facts.told if not types or one.event.type in types), default=None)
        if seq is None:
            return None
        wanted = (
            select(writers.c.name, writers.c.kind, writers.c.machine, writers.c.source, writers.c.ended, writers.c.last_sign)
            .join(events, events.c.writer == writers.c.id)
            .where(events.c.seq == seq)
        )
        for row in self.read(wanted):
            return Writer(
                name=row.name, kind=row.kind, machine=row.machine, source=row.source, ended=row.ended, heard=row.last_sign
            )
        return None


def _alike(row: Row[Any], run: Run) -> bool:
    """Whether it ended well and tells of this run's kind."""
    return row.state == "completed" and (row.deployment or "", row.environment) == (run.deployment, run.environment)
