"""What the runs of one deployment owe: due times that nobody has answered yet, by its schedules or as a source announced.

Moments of starts are the writer's, but never later than the log took them: of two clocks the kinder one counts. A due time
is nominal, and so by the clock of whoever starts the run.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from flowtell import events as e
from flowtell.decoders import decoder
from flowtell.errors import BadSchedule
from flowtell.events import Event, Schedule
from flowtell.schedules import MISSED_AFTER, catch_up_policy, dues, next_due
from flowtell_alerts._kind import HOUR, Facts, Item, moment

MOST_OWED: Final = 100
"""Due times of one schedule that are remembered as unanswered: the newest."""
MOST_RUNS: Final = 1_000
"""Runs with a due time that are remembered of one deployment: the newest due."""


class Dropped(StrEnum):
    """Why nothing is owed any more."""

    PAUSED = "the deployment is paused"
    CHANGED = "the schedule has changed"
    REMOVED = "the deployment is removed"
    CAUGHT_UP = "its catch-up policy leaves out what was missed"
    SUPERSEDED = "a later due time was answered"
    RUN_REMOVED = "the run was removed"
    SKIPPED = "the run was skipped"
    CANCELLED = "the run was cancelled before it started"
    TOLD = "the run has ended"


class DueRun(Struct, frozen=True, gc=False, omit_defaults=True):
    """A run with a due time."""

    run: str
    due: int
    event: str
    """Id of the newest event that told of it before its start."""
    at: int = 0
    """Moment of that event."""
    waits: str = ""
    """What for, where it said that it waits."""
    answered: int | None = None
    """When it started, or ended without a start."""
    answer: str = ""
    """Id of the event that said so."""
    heard: int = 0
    """When the log took that event: what is new to us may be of an hour ago by a writer's wrong clock."""
    end: str = ""
    """How it ended without a start; empty where it started."""
    announced: bool = False
    """Whether it was said that it would come: a run that answers a due time of its own accord was never owed."""
    told: bool = False
    """Whether a verdict has seen the answer."""

    @property
    def started(self) -> int | None:
        return None if self.end else self.answered


class Due(Struct, frozen=True):
    """A due time up to a moment that is unanswered, or whose answer no verdict has seen."""

    due: int
    schedule: Schedule | None
    run: DueRun | None


class Drop(Struct, frozen=True, array_like=True):
    """That nothing is owed any more, since when, and by which event."""

    reason: str
    at: int
    event: str


class _Stored(Struct, frozen=True, omit_defaults=True):
    schedules: tuple[Schedule, ...] = ()
    coming: tuple[int | None, ...] = ()
    declared: str = ""
    announced: bool = False


_NO_RUNS: Final[dict[str, DueRun]] = {}
_NOT_TOUCHED: Final[dict[str, bool]] = {}
"""Of a hundred thousand deployments few have a run now: nothing is ever put into these two."""

_Ahead = e.FlowRunScheduled | e.FlowRunPending | e.FlowRunLate | e.FlowRunWaiting


class Dues(Facts):
    """Due times of a deployment's runs. Those before the first that is owed are settled."""

    __slots__ = ("_changed", "_touched", "announced", "coming", "declared", "dropped", "runs", "schedules")
    name = "dues"
    heeds_backfill = False
    wants = (
        "deployment.declared",
        "deployment.removed",
        "flow_run.scheduled",
        "flow_run.pending",
        "flow_run.late",
        "flow_run.waiting",
        "flow_run.started",
        "flow_run.finished",
        "flow_run.removed",
    )

    def __init__(self) -> None:
        self.schedules: tuple[Schedule, ...] = ()
        """That are active; none where the deployment is paused."""
        self.coming: tuple[int | None, ...] = ()
        """Of each schedule the first due time that is not settled."""
        self.declared = ""
        """Id of the declaration."""
        self.announced = False
        """Whether a source announces each due time: then its word counts, and not our reading of its schedules."""
        self.runs: dict[str, DueRun] = _NO_RUNS
        self.dropped: Drop | None = None
        """The latest reason for which something is owed no more, until a verdict has seen it."""
        self._changed = False
        self._touched: dict[str, bool] = _NOT_TOUCHED

    # --- events ---------------------------------------------------------------------------------------------------

    def take(self, event: Event, now: int, demands: Sequence[Any] = ()) -> None:
        match event:
            case e.DeploymentDeclared():
                self._declare(event)
            case e.DeploymentRemoved():
                self._drop_all(Drop(Dropped.REMOVED, moment(event), event.id))
            case e.FlowRunRemoved():
                if event.run in self.runs and self.runs[event.run].answered is None:
                    self.dropped = Drop(Dropped.RUN_REMOVED, moment(event), event.id)
                self._forget(event.run)
            case e.FlowRunScheduled() | e.FlowRunPending() | e.FlowRunLate() | e.FlowRunWaiting():
                self._announce(event)
            case e.FlowRunStarted():
                self._answer(event, moment(event), "")
            case e.FlowRunFinished():
                self._finish(event)
            case _:
                pass

    def _announce(self, event: _Ahead) -> None:
        """The newest word before the start holds: a source may move a run to another due time."""
        known = self.runs.get(event.run)
        due = event.due if event.due is not None else known.due if known else None
        if due is None or (known is not None and known.answered is None and known.at > moment(event)):
            return
        if event.source and not self.announced and isinstance(event, e.FlowRunScheduled):
            self.announced = self._changed = True
        waits = event.reason if isinstance(event, e.FlowRunWaiting) else ""
        if known is not None and known.answered is not None:
            self._put(replace(known, announced=True))
        else:
            self._put(DueRun(event.run, due, event.id, moment(event), waits, announced=True))

    def _answer(self, event: Event, at: int, end: str) -> None:
        known = self.runs.get(event.run)
        due = known.due if known is not None else event.due
        if due is None or (known is not None and _answered_before(known, at, end)):
            return
        told = known is not None and known.told
        before = known or DueRun(event.run, due, event.id, at)
        heard = event.received or event.time
        self._put(replace(before, answered=at, answer=event.id, heard=heard, end=end, told=told))

    def _finish(self, event: e.FlowRunFinished) -> None:
        """An end without a start that we know of is a start that comes later, unless nothing can have run."""
        known = self.runs.get(event.run)
        if known is not None and known.started is not None:
            return
        never_ran = event.state in ("skipped", "cancelled") and not event.duration
        at = moment(event) - (0 if never_ran else int((event.duration or 0.0) * 1e6))
        self._answer(event, at, event.state if never_ran else "")

    # --- declarations ---------------------------------------------------------------------------------------------

    def _declare(self, event: e.DeploymentDeclared) -> None:
        at, before = moment(event), dict(zip(map(_timing, self.schedules), self.coming, strict=True))
        coming: dict[Schedule, int | None] = {}
        for schedule in () if event.paused else event.schedules:
            if schedule.active:
                try:
                    known = _timing(schedule) in before
                    coming[schedule] = before.pop(_timing(schedule)) if known else next_due(schedule, at)
                except BadSchedule:  # of another version or source; it is shown where schedules are shown
                    continue
        if before and any(due is not None and due <= at for due in before.values()):
            self.dropped = Drop(Dropped.PAUSED if event.paused else Dropped.CHANGED, at, event.id)
        self.schedules, self.coming = _shared(tuple(coming)), tuple(coming.values())
        self.declared, self._changed = sys.intern(event.id), True
        if event.paused:
            self._drop_runs(Drop(Dropped.PAUSED, at, event.id))
        if not event.source:
            self._catch_up(at, event.id)

    def _catch_up(self, at: int, event: str) -> None:
        """A process serves from now on: what it will not answer any more is owed no more."""
        coming = list(self.coming)
        for place, schedule in enumerate(self.schedules):
            first, until = coming[place], at - MISSED_AFTER
            if first is None or first > until:
                continue
            left = [due for due in _newest(schedule, first, until) if self._is_announced(due)]
            answered = sorted({*left, *_caught_up(schedule, first, until)})
            coming[place] = answered[0] if answered else next_due(schedule, until)
            if coming[place] != first:
                self.dropped = Drop(Dropped.CAUGHT_UP, at, event)
        self.coming = tuple(coming)

    def _is_announced(self, due: int) -> bool:
        return any(run.due == due and run.answered is None for run in self.runs.values())

    def _drop_all(self, drop: Drop) -> None:
        self.schedules = self.coming = ()
        self.dropped, self._changed = drop, True
        self._drop_runs(drop)

    def _drop_runs(self, drop: Drop) -> None:
        for run in [run for run in self.runs.values() if run.answered is None]:
            self.dropped = drop
            self._forget(run.run)

    # --- runs -----------------------------------------------------------------------------------------------------

    def _put(self, run: DueRun) -> None:
        self._touch(run.run, is_stored=run.run in self.runs)
        self._keep(run)
        if len(self.runs) > MOST_RUNS:
            self._forget(min(self.runs.values(), key=lambda known: known.due).run)

    def _forget(self, run: str) -> None:
        if run in self.runs:
            self._touch(run, is_stored=True)
            del self.runs[run]

    def _touch(self, run: str, *, is_stored: bool) -> None:
        if self._touched is _NOT_TOUCHED:
            self._touched = {}
        self._touched.setdefault(run, is_stored)

    def _keep(self, run: DueRun) -> None:
        if self.runs is _NO_RUNS:
            self.runs = {}
        self.runs[run.run] = run

    # --- what is owed ---------------------------------------------------------------------------------------------

    @property
    def counted(self) -> Sequence[tuple[Schedule, int | None]]:
        """The schedules whose due times are owed, and of each the first that is not settled."""
        return () if self.announced else tuple(zip(self.schedules, self.coming, strict=True))

    def standing(self, now: int) -> Iterator[Due]:
        """Due times up to `now`, of each schedule and then of runs that belong to none, in order of time."""
        by_due = self._by_due()
        seen: set[int] = set()
        for schedule, first in self.counted:
            if first is not None and first <= now:
                owed = self._owed(schedule, first, now, by_due)
                seen.update(owed)
                yield from (Due(due, schedule, by_due.get(due)) for due in owed)
        others = [run for run in by_due.values() if run.due not in seen and run.due <= now and _is_owed(run)]
        yield from (Due(run.due, None, run) for run in sorted(others, key=lambda run: run.due))

    def _by_due(self) -> dict[int, DueRun]:
        """Of several runs for one due time the one that answered it first."""
        found: dict[int, DueRun] = {}
        for run in self.runs.values():
            known = found.get(run.due)
            if known is None or (run.answered is not None and (known.answered is None or run.answered < known.answered)):
                found[run.due] = run
        return found

    def _owed(self, schedule: Schedule, first: int, now: int, by_due: dict[int, DueRun]) -> list[int]:
        """Less those that a later start has made void, unless all are caught up with."""
        found = _newest(schedule, first, now)
        if catch_up_policy(schedule)[0] == "all":
            return list(found)
        last = max((due for due in found if due in by_due and by_due[due].started is not None), default=0)
        return [due for due in found if due >= last or due in by_due]

    def ahead(self, now: int) -> Iterator[tuple[int, Schedule | None]]:
        """Due times after `now`: the next of each schedule, and of runs."""
        for schedule, first in self.counted:
            due = first if first is None or first > now else next_due(schedule, now)
            if due is not None:
                yield due, schedule
        yield from ((run.due, None) for run in self.runs.values() if run.answered is None and run.due > now)

    def settle(self, until: int) -> None:
        self._move_on(until)  # before the answers are forgotten: where nobody looked for hours they all are
        for run in list(self.runs.values()):
            if run.answered is not None and run.heard <= until and not run.told:
                self._put(replace(run, told=True))
        self._move_on(until)  # by the runs that are forgotten then
        for run in list(self.runs.values()):
            if run.answered is not None and max(run.heard, run.due) <= until - HOUR:
                self._forget(run.run)
        if self.dropped is not None and self.dropped.at <= until:
            self.dropped = None

    def _move_on(self, until: int) -> None:
        """To the first due time of each schedule that nobody has answered."""
        if not any(first is not None and first <= until for first in self.coming):
            return
        by_due = self._by_due()
        answered = {due for due, run in by_due.items() if run.answered is not None and run.heard <= until}
        coming = list(self.coming)
        for place, schedule in enumerate(self.schedules):
            first = coming[place]
            if first is not None and first <= until:
                owed = [due for due in self._owed(schedule, first, until, by_due) if due not in answered]
                coming[place] = owed[0] if owed and not self.announced else next_due(schedule, until)
        if tuple(coming) != self.coming:
            self.coming, self._changed = tuple(coming), True

    # --- rows -----------------------------------------------------------------------------------------------------

    def items(self) -> Iterator[Item]:
        if self._changed:
            self._changed = False
            stored = _Stored(self.schedules, self.coming, self.declared, self.announced)
            yield "", msgspec.json.encode(stored).decode()
        touched, self._touched = self._touched, _NOT_TOUCHED
        for run, is_stored in touched.items():
            if run in self.runs:
                yield run, msgspec.json.encode(self.runs[run]).decode()
            elif is_stored:
                yield run, None

    def load(self, item: str, data: str) -> None:
        if item:
            self._keep(decoder(DueRun)(data))
            return
        stored = decoder(_Stored)(data)
        self.schedules, self.coming = _shared(stored.schedules), stored.coming
        self.declared, self.announced = sys.intern(stored.declared), stored.announced


def _answered_before(known: DueRun, at: int, end: str) -> bool:
    """A start goes before an end without one; of two starts the earlier counts."""
    if known.answered is None:
        return False
    return bool(end) or (not known.end and known.answered <= at)


def _is_owed(run: DueRun) -> bool:
    """Where no schedule owes it."""
    return run.announced and not run.told


def _timing(schedule: Schedule) -> tuple[object, ...]:
    """What makes two declarations the same schedule."""
    return schedule.id, schedule.kind, schedule.expression, schedule.tz, schedule.anchor


@lru_cache(maxsize=100_000)
def _shared(schedules: tuple[Schedule, ...]) -> tuple[Schedule, ...]:
    """One object for all that are equal: many deployments have the schedules of a few."""
    return schedules


def _newest(schedule: Schedule, first: int, until: int) -> Sequence[int]:
    return deque(dues(schedule, first - 1, until), maxlen=MOST_OWED)


def _caught_up(schedule: Schedule, first: int, until: int) -> Sequence[int]:
    """Those missed due times that whoever serves from now on will answer."""
    name, window = catch_up_policy(schedule)
    if window is not None:
        first = max(first, until + MISSED_AFTER - int(window * 1e6) + 1)
    missed = () if name == "none" else _newest(schedule, first, until)
    return list(missed) if name == "all" else list(missed)[-1:]
