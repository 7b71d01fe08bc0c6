"""`deadline`: by a time of day a run of that day has ended well. Judged at each deadline by the runs of the day before it.

The day of a deadline ends with it: a run belongs to it that was due, or else started, within the 24 hours on the wall that
end there. So a run of 22:00 is in time for 06:30 of the next morning, and one of 07:00 is for the deadline of tomorrow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from flowtell import events as e
from flowtell.decoders import decoder
from flowtell.errors import BadSchedule
from flowtell.events import Event, Schedule
from flowtell.ids import derived_id
from flowtell.schedules import cron, dues, next_due, previous_due
from flowtell_alerts._kind import GOOD, HOUR, Facts, Item, Kind, moment
from flowtell_alerts._past import PastRun
from flowtell_alerts._verdict import RUNS_NAMED, Spell, Verdict
from flowtell_alerts._wall import shown

MOST_RUNS: Final = 200
"""Runs that are remembered of one subject; of more that ended well, those that lie evenly in time."""
MOST_MISSED: Final = 100
"""Deadlines in a row that are remembered as missed: the newest."""

_DAY: Final = 86_400_000_000


class Deadline(Struct, frozen=True, forbid_unknown_fields=True):
    """A run of the day has ended well by `at` on the wall of the zone `tz`, on these days of the week."""

    at: str
    tz: str = "UTC"
    days: str = "*"

    def __post_init__(self) -> None:
        try:
            self.line, self.daily  # noqa: B018  # that they can be made is what is asked
        except (BadSchedule, ValueError) as error:
            raise ValueError(f"at {self.at!r}: {error}") from None

    @property
    def line(self) -> Schedule:
        return _line(self.at, self.tz, self.days)

    @property
    def daily(self) -> Schedule:
        return _line(self.at, self.tz, "*")


class Reason(StrEnum):
    AHEAD = "no deadline has come yet"
    MET = "a run of the day had ended well by the deadline"
    MISSED = "no run of the day had ended well by the deadline"
    ENDED_WELL = "a run has ended well"
    UNKNOWN = "whether a run has ended cannot be seen"
    PAUSED = "the deployment is paused"
    REMOVED = "the deployment is removed"


# --- what is known ------------------------------------------------------------------------------------------------


class DayRun(Struct, frozen=True, gc=False, omit_defaults=True):
    """A run, by the day to which it belongs."""

    run: str
    reference: int
    """When it was due, else started."""
    event: str
    """Id of the newest event that told of it."""
    ended: int | None = None
    state: str = ""

    @property
    def good(self) -> bool:
        return self.state in GOOD


class _Stored(Struct, frozen=True, omit_defaults=True):
    since: int = 0
    settled: int = 0
    idle: str = ""
    idle_event: str = ""


class Days(Facts):
    """The runs of the last two days, and from when on deadlines are judged."""

    __slots__ = ("_changed", "_touched", "idle", "idle_event", "runs", "settled", "since")
    name = "days"
    on_demand = True
    heeds_backfill = False
    wants = (
        "deployment.declared",
        "deployment.removed",
        "flow_run.started",
        "flow_run.finished",
        "flow_run.removed",
    )

    def __init__(self) -> None:
        self.since = 0
        """Since when runs are known, or owed again; 0 for never. Of a day that began before, nothing is asked."""
        self.settled = 0
        """Deadlines up to then were met, or closed by a later good end."""
        self.idle = ""
        """Why nothing is owed now: a named reason."""
        self.idle_event = ""
        self.runs: dict[str, DayRun] = {}
        self._changed = False
        self._touched: dict[str, bool] = {}

    def lacks(self, demands: Sequence[Any]) -> bool:
        return bool(demands) and not self.since

    def recall(self, past: Sequence[PastRun], demands: Sequence[Any]) -> None:
        for run in past[:MOST_RUNS]:
            if not run.is_backfill:
                self._put(DayRun(run.run, run.reference, derived_id(run.ended, "end", run.run), run.ended, run.state))
        self._begin(min((run.reference for run in self.runs.values()), default=0))

    def _begin(self, at: int) -> None:
        if at and not self.since:
            self.since = self.settled = at
            self._changed = True

    def take(self, event: Event, now: int, demands: Sequence[Any] = ()) -> None:
        at = moment(event)
        self._begin(at)
        match event:
            case e.DeploymentDeclared():
                self._declare(event, at)
            case e.DeploymentRemoved():
                self.idle, self.idle_event, self._changed = Reason.REMOVED, event.id, True
            case e.FlowRunStarted():
                known = self.runs.get(event.run)
                if known is None:
                    self._put(DayRun(event.run, at if event.due is None else event.due, event.id))
            case e.FlowRunFinished():
                self._finish(event, at)
            case _:
                self._forget(event.run)

    def _declare(self, event: e.DeploymentDeclared, at: int) -> None:
        """One that is resumed owes its first whole day."""
        if event.paused:
            self.idle, self.idle_event = Reason.PAUSED, event.id
        elif self.idle:
            self.since = self.settled = at
            self.idle = self.idle_event = ""
        self._changed = True

    def _finish(self, event: e.FlowRunFinished, at: int) -> None:
        known = self.runs.get(event.run)
        if known is None:
            began = at - int((event.duration or 0.0) * 1e6)
            known = DayRun(event.run, began if event.due is None else event.due, event.id)
        if known.ended is None:
            self._put(replace(known, event=event.id, ended=at, state=event.state))

    def _put(self, run: DayRun) -> None:
        self._touched.setdefault(run.run, run.run in self.runs)
        self.runs[run.run] = run
        if len(self.runs) > MOST_RUNS:
            self._forget(_least(self.runs.values()).run)

    def _forget(self, run: str) -> None:
        if run in self.runs:
            self._touched.setdefault(run, True)
            del self.runs[run]

    def good(self) -> list[DayRun]:
        """Those that ended well, in order of their ends."""
        return sorted((run for run in self.runs.values() if run.good), key=lambda run: (run.ended or 0, run.run))

    def settle(self, until: int) -> None:
        newest = max((run.ended or 0 for run in self.runs.values() if run.good), default=0)
        if self.settled < newest <= until:
            self.settled, self._changed = newest, True
        for run in [run.run for run in self.runs.values() if run.ended is not None and run.ended <= until - 2 * _DAY]:
            self._forget(run)

    def open_runs(self) -> Sequence[str]:
        return [run.run for run in self.runs.values() if run.ended is None]

    def items(self) -> Iterator[Item]:
        if self._changed:
            self._changed = False
            yield "", msgspec.json.encode(_Stored(self.since, self.settled, self.idle, self.idle_event)).decode()
        touched, self._touched = self._touched, {}
        for run, is_stored in touched.items():
            if run in self.runs:
                yield run, msgspec.json.encode(self.runs[run]).decode()
            elif is_stored:
                yield run, None

    def load(self, item: str, data: str) -> None:
        if item:
            self.runs[item] = decoder(DayRun)(data)
            return
        stored = decoder(_Stored)(data)
        self.since, self.settled = stored.since, stored.settled
        self.idle, self.idle_event = stored.idle, stored.idle_event


def _least(runs: Iterable[DayRun]) -> DayRun:
    """Which to forget: what did not end well before what did, and of the latter that which is nearest to the one before."""
    ordered = sorted(runs, key=lambda run: (run.ended or run.reference, run.run))
    others = [run for run in ordered if not run.good]
    if len(others) > MOST_RUNS // 4:
        return others[0]
    good = [run for run in ordered if run.good]
    return min(pairwise(good[:-1]), key=lambda pair: (pair[1].ended or 0) - (pair[0].ended or 0))[1]


# --- the verdict --------------------------------------------------------------------------------------------------


def judge(demand: Deadline, facts: Days, now: int, watermark: int) -> Verdict:
    """Each deadline for itself: it is missed once it is past, and the log is known to be complete up to it."""
    following = next_due(demand.line, now)
    again = None if following is None else following + 1
    if facts.idle:
        return Verdict(facts.idle, again=again, closed_by=facts.idle_event)
    good = facts.good()
    spells: list[Spell] = []
    unseen: list[int] = []
    reason = Reason.AHEAD
    for at in _past(demand, facts, now):
        if _is_met(demand, good, at):
            reason = Reason.MET
        elif watermark < at:
            unseen.append(at)
        else:
            spells.append(_spell(demand, facts, good, at, now))
            reason = Reason.MISSED if spells[-1].until is None else Reason.ENDED_WELL
    return Verdict(
        Reason.UNKNOWN if unseen else reason,
        tuple(_newest_opens(spells)),
        again=again,
        needs=min(unseen, default=None),
        unknown=tuple(map(str, unseen)),
    )


def _past(demand: Deadline, facts: Days, now: int) -> Sequence[int]:
    """Deadlines up to `now` that are not settled, and whose whole day is known."""
    if not facts.since:
        return ()
    found = deque(dues(demand.line, max(facts.settled - 1, facts.since), now), maxlen=MOST_MISSED)
    return [at for at in found if _day_before(demand, at) >= facts.since]


@lru_cache(maxsize=10_000)
def _day_before(demand: Deadline, at: int) -> int:
    return previous_due(demand.daily, at - 1) or at - _DAY


def _is_met(demand: Deadline, good: Sequence[DayRun], at: int) -> bool:
    begins = _day_before(demand, at)
    return any(run.ended is not None and run.ended <= at and run.reference > begins for run in good)


def _spell(demand: Deadline, facts: Days, good: Sequence[DayRun], at: int, now: int) -> Spell:
    begins = _day_before(demand, at)
    of_day = sorted((run for run in facts.runs.values() if begins < run.reference <= at), key=lambda run: run.reference)
    closing = next((run for run in good if (run.ended or 0) > at), None)
    return Spell(
        runs=tuple(run.run for run in of_day[-RUNS_NAMED:]),
        since=at,
        cause=of_day[-1].event if of_day else derived_id(at, "deadline", str(at)),
        until=closing.ended if closing else None,
        closed_by=closing.event if closing else "",
        end=Reason.ENDED_WELL if closing else "",
        text=f"no run of the day had ended well by {shown(at, demand.tz)}; {_how(of_day, at)}",
        evidence={
            "reference": "time of day",
            "due": at,
            "zone": demand.tz,
            "bound": demand.at,
            "day_begins": begins,
            "runs": len(of_day),
        },
        due=at,
        opens=closing is None or (closing.ended or 0) > now - HOUR,
    )


def _how(of_day: Sequence[DayRun], at: int) -> str:
    """What there was instead."""
    if not of_day:
        return "none has started"
    last = of_day[-1]
    if last.ended is None or last.ended > at:
        return "the last one was running still"
    return f"the last one {last.state.replace('_', ' ')}" if last.state != "cancelled" else "the last one was cancelled"


def _newest_opens(spells: Sequence[Spell]) -> Iterator[Spell]:
    """Of several that were missed while nobody could judge only the newest is told."""
    for place, spell in enumerate(spells):
        yield spell if place == len(spells) - 1 else replace(spell, opens=False)


@lru_cache(maxsize=1_000)
def _line(at: str, tz: str, days: str) -> Schedule:
    hour, _, minute = at.partition(":")
    return cron(f"{int(minute)} {int(hour)} * * {days}", tz)


KIND: Final = Kind("deadline", Deadline, Days, judge, sees=True, of_deployments=True)
