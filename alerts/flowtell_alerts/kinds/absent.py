"""`absent`: an event under a name of one's own comes again in time. Judged by the times at which it came.

One whose time counts from the start of each run is judged by runs, in `awaited`.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from flowtell.decoders import decoder
from flowtell.events import OWN_NAMES, Event, Schedule
from flowtell.ids import derived_id
from flowtell_alerts._coming import KEPT, Coming, Owed, line_of, owed_by, owed_within
from flowtell_alerts._kind import Facts, Item, Kind, moment, spelled
from flowtell_alerts._subject import EVENT, SubjectKey
from flowtell_alerts._verdict import Spell, Verdict

_TEN_YEARS: Final = 10 * 365 * 86_400.0


class Absent(Struct, frozen=True, forbid_unknown_fields=True):
    """See `flowtell.rules.absent`."""

    event: Annotated[str, Meta(min_length=1, max_length=200)]
    within: Annotated[float, Meta(gt=0, le=_TEN_YEARS)] | None = None
    by: Annotated[str, Meta(max_length=200)] = ""
    tz: str = "UTC"
    since: Literal["event"] = "event"

    def __post_init__(self) -> None:
        if (self.within is None) == (not self.by):
            raise ValueError("it has either 'within' or 'by'")
        if self.by:
            line_of(self.by, self.tz)

    @property
    def line(self) -> Schedule:
        return line_of(self.by, self.tz)


class Reason(StrEnum):
    UNHEARD = "nothing is known of it"
    CAME = "it came in time"
    AWAITED = "it never came, and is not due yet"
    ABSENT = "it did not come in time"
    NEVER_CAME = "it never came"


# --- what is known ------------------------------------------------------------------------------------------------


class _Stored(Struct, frozen=True):
    heard: int | None
    came: list[Coming]


_decode: Final = decoder(_Stored)


class Comings(Facts):
    """When an event came, lately, and since when a rule has asked for it. Of no other events anything is known."""

    __slots__ = ("_changed", "came", "heard")
    name = "comings"
    about = EVENT
    wants = (OWN_NAMES,)
    of_named_only = True

    def __init__(self) -> None:
        self.heard: int | None = None
        self.came: list[Coming] = []
        self._changed = False

    @classmethod
    def subjects(cls, event: Event, runs: SubjectKey) -> Iterable[SubjectKey]:
        return (SubjectKey(EVENT, event.type, event.environment),)

    def named(self, since: int) -> None:
        if self.heard is None or since < self.heard:
            self.heard, self._changed = since, True

    def take(self, event: Event, now: int, demands: Sequence[Any]) -> None:
        coming = Coming(moment(event), event.id, event.run)
        if coming not in self.came:
            insort(self.came, coming)
            del self.came[:-KEPT]
            self._changed = True

    def items(self) -> Iterator[Item]:
        if self._changed:
            self._changed = False
            yield "", msgspec.json.encode(_Stored(self.heard, self.came)).decode()

    def load(self, item: str, data: str) -> None:
        stored = _decode(data)
        self.heard, self.came = stored.heard, stored.came


# --- the verdict --------------------------------------------------------------------------------------------------


def judge(demand: Absent, facts: Comings, now: int, watermark: int) -> Verdict:
    """By the time up to which the log is complete: what came and was not reported yet is not missing."""
    last = facts.came[-1] if facts.came else None
    if last is None and facts.heard is None:
        return Verdict(Reason.UNHEARD)
    owed = _owed(demand, facts, watermark)
    if owed is None or not owed.missing:
        return Verdict(
            Reason.CAME if last else Reason.AWAITED,
            needs=owed.due + 1 if owed else None,
            closed_by=last.event if last else "",
            until=last.time if last else None,
        )
    return Verdict(Reason.ABSENT if last else Reason.NEVER_CAME, (_spell(demand, facts, last, owed, watermark),))


def _owed(demand: Absent, facts: Comings, at: int) -> Owed | None:
    heard = facts.heard or 0
    if demand.within is not None:
        return owed_within(facts.came[-1].time if facts.came else heard, int(demand.within * 1e6), at)
    return owed_by(demand.line, facts.came, heard, at)


def _spell(demand: Absent, facts: Comings, last: Coming | None, owed: Owed, watermark: int) -> Spell:
    asked = {"within": demand.within} if demand.within is not None else {"by": demand.by, "zone": demand.tz}
    return Spell(
        since=owed.due,
        cause=last.event if last else derived_id(owed.due, "due"),
        text=_text(demand, last),
        evidence={
            "reference": "when it came last" if last else "when the rule was stated first",
            "came": last.time if last else None,
            "heard": facts.heard,
            "due": owed.due,
            "watermark": watermark,
            **asked,
        },
    )


def _text(demand: Absent, last: Coming | None) -> str:
    asked = f"in {spelled(demand.within)}" if demand.within is not None else f"by its time ({demand.by} {demand.tz})"
    return f"{demand.event} {'did not come' if last else 'never came, and not'} {asked}"


def _names(demand: Absent, runs: SubjectKey) -> Iterable[SubjectKey]:
    return (SubjectKey(EVENT, demand.event, runs.environment),)


def _fits(demand: Absent, subject: SubjectKey) -> bool:
    return demand.event == subject.name


KIND: Final = Kind("absent", Absent, Comings, judge, names=_names, fits=_fits, sees=True)
