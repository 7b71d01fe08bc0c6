"""`late`: a run starts within a grace of the time for which it is due. Judged by what is owed, up to the watermark."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from flowtell.events import Schedule
from flowtell.ids import derived_id
from flowtell_alerts._dues import Due, Dues
from flowtell_alerts._kind import HOUR, Kind, spelled
from flowtell_alerts._verdict import Spell, Verdict
from flowtell_alerts._wall import shown

DEFAULT_GRACE: Final = 60.0
"""Seconds of grace where neither the rule nor the schedule says any."""

_TEN_YEARS: Final = 10 * 365 * 86_400.0


class Late(Struct, frozen=True, forbid_unknown_fields=True):
    """A run starts within `after` seconds of its due time; None leaves that to the schedule's grace, else a minute."""

    after: Annotated[float, Meta(ge=0, le=_TEN_YEARS)] | None = None


class Reason(StrEnum):
    NOTHING_DUE = "nothing is due"
    IN_TIME = "nothing that is due has waited past its grace"
    LATE = "a run that is due has not started"
    UNKNOWN = "whether a run has started cannot be seen"
    STARTED = "the run has started"


def judge(demand: Late, facts: Dues, now: int, watermark: int) -> Verdict:
    """Each due time for itself. Nothing is late before its grace is over by both clocks, the server's and the writer's, and
    the log is known to be complete up to then.

    Of what was missed while nobody could judge, only the newest due time of each schedule opens an incident.
    """
    overdue: dict[str, list[Due]] = {}
    spells: list[Spell] = []
    again = [due + _allowed(demand, facts, schedule) + 1 for due, schedule in facts.ahead(now)]
    unseen: list[tuple[int, Due]] = []
    for due in facts.standing(now):
        end = due.due + _allowed(demand, facts, due.schedule)
        if due.run is not None and due.run.answered is not None:
            spells.extend(_answered(due, end, min(now, watermark)))
        elif end >= now:
            again.append(end + 1)
        elif watermark < end:
            unseen.append((end, due))
        else:
            overdue.setdefault(due.schedule.id if due.schedule else "", []).append(due)
    spells.extend(_unanswered(demand, facts, overdue, watermark))
    return Verdict(
        _reason(facts, overdue, unseen, again),
        tuple(spells),
        again=min(again, default=None),
        needs=min((end for end, _ in unseen), default=None),
        closed_by=facts.dropped.event if facts.dropped else "",
        until=facts.dropped.at if facts.dropped else None,
        unknown=tuple(str(due.due) for _, due in unseen),
    )


def _allowed(demand: Late, facts: Dues, schedule: Schedule | None) -> int:
    """µs after the due time: the grace, and the jitter that is meant to delay the start."""
    if schedule is None and len(facts.schedules) == 1:
        schedule = facts.schedules[0]
    own = schedule.grace if schedule is not None else None
    grace = next(each for each in (demand.after, own, DEFAULT_GRACE) if each is not None)
    return int((grace + (schedule.jitter if schedule is not None else 0.0)) * 1e6)


def _reason(facts: Dues, overdue: object, unseen: object, again: object) -> str:
    if overdue:
        return Reason.LATE
    if unseen:
        return Reason.UNKNOWN
    if facts.dropped is not None:
        return facts.dropped.reason
    return Reason.IN_TIME if again else Reason.NOTHING_DUE


# --- spells -------------------------------------------------------------------------------------------------------


def _answered(due: Due, end: int, at: int) -> Iterator[Spell]:
    """Of a start that came too late, or of an incident that an end without a start closes; `at` is now by the writer's
    clock.
    """
    run = due.run
    assert run is not None
    assert run.answered is not None
    if run.told or run.answered <= end:
        return
    yield Spell(
        runs=(run.run,),
        since=end,
        cause=run.event,
        until=run.answered,
        closed_by=run.answer,
        end=f"the run was {run.end}" if run.end else Reason.STARTED,
        text=f"the run due {_when(due)} started {spelled((run.answered - due.due) / 1e6)} after it",
        evidence=_evidence(due, end, run.answered),
        due=due.due,
        opens=not run.end and run.answered > at - HOUR,
    )


def _unanswered(demand: Late, facts: Dues, overdue: dict[str, list[Due]], watermark: int) -> Iterator[Spell]:
    for dues in overdue.values():
        for due in dues:
            end = due.due + _allowed(demand, facts, due.schedule)
            yield Spell(
                runs=(due.run.run,) if due.run else (),
                since=end,
                cause=due.run.event if due.run else facts.declared or derived_id(due.due, "late", str(due.due)),
                text=_text(due, end),
                evidence=_evidence(due, end, watermark) | {"missed": len(dues)},
                due=due.due,
                opens=due is dues[-1],
            )


def _text(due: Due, end: int) -> str:
    waits = f"; it waits for {due.run.waits}" if due.run and due.run.waits else ""
    return f"no run has started for {_when(due)}, within {spelled((end - due.due) / 1e6)} of it{waits}"


def _when(due: Due) -> str:
    return shown(due.due, due.schedule.tz if due.schedule else "")


def _evidence(due: Due, end: int, watermark: int) -> dict[str, object]:
    schedule = due.schedule
    return {
        "reference": "due time",
        "due": due.due,
        "zone": (schedule.tz if schedule else "") or "UTC",
        "schedule": schedule.expression if schedule else "",
        "grace": (end - due.due) / 1e6,
        "watermark": watermark,
    }


KIND: Final = Kind("late", Late, Dues, judge, sees=True)
