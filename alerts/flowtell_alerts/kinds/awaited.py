"""`absent` with `since="start"`: each run of a flow writes an event within a span of its start. Judged by runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from flowtell.decoders import decoder
from flowtell.events import OWN_NAMES, Event, FlowRunFinished, FlowRunStarted, UserEvent
from flowtell_alerts._kind import Facts, Item, Kind, moment, spelled
from flowtell_alerts._verdict import RUNS_NAMED, Spell, Verdict

_TEN_YEARS: Final = 10 * 365 * 86_400.0


class Awaited(Struct, frozen=True, forbid_unknown_fields=True):
    """See `flowtell.rules.absent`."""

    event: Annotated[str, Meta(min_length=1, max_length=200)]
    within: Annotated[float, Meta(gt=0, le=_TEN_YEARS)]
    since: Literal["start"]


class Reason(StrEnum):
    IN_TIME = "no run is past its time without it"
    ABSENT = "a run has not written it in time"
    ENDED_WITHOUT = "the last run ended well without it"


# --- what is known ------------------------------------------------------------------------------------------------


class Stretch(Struct, frozen=True, array_like=True, gc=False):
    """A run that is open, or the last one that ended well, with the names that are asked for and that it has written."""

    run: str
    started: int
    event: str
    """Id of the event that told of its start, or of its end."""
    wrote: tuple[str, ...] = ()
    ended: int = 0


_decode: Final = decoder(Stretch)
_LAST: Final = "last"


class Stretches(Facts):
    """The open runs of a flow and what they wrote of what its rules name."""

    __slots__ = ("_touched", "last", "open")
    name = "stretches"
    wants = ("flow_run.started", "flow_run.finished", "flow_run.removed", OWN_NAMES)
    on_demand = True
    heeds_backfill = False

    def __init__(self) -> None:
        self.open: dict[str, Stretch] = {}
        self.last: Stretch | None = None
        self._touched: dict[str, bool] = {}
        """Rows that changed since `items` was asked last, and whether they are stored."""

    def take(self, event: Event, now: int, demands: Sequence[Awaited]) -> None:
        match event:
            case FlowRunStarted():
                if demands:
                    self._start(event)
            case FlowRunFinished():
                self._end(event, bool(demands))
            case UserEvent():
                if event.run in self.open and any(demand.event == event.type for demand in demands):
                    self._wrote(event.run, event.type)
            case _:
                self._pop(event.run)

    def _start(self, event: FlowRunStarted) -> None:
        known = self.open.get(event.run)
        if known is None or moment(event) < known.started:
            self._touch(event.run)
            self.open[event.run] = Stretch(event.run, moment(event), event.id, known.wrote if known else ())

    def _wrote(self, run: str, name: str) -> None:
        stretch = self.open[run]
        if name not in stretch.wrote:
            self._touch(run)
            self.open[run] = replace(stretch, wrote=(*stretch.wrote, name))

    def _end(self, event: FlowRunFinished, is_asked: bool) -> None:
        stretch, ended = self._pop(event.run), moment(event)
        if stretch and is_asked and event.state == "completed" and (self.last is None or ended >= self.last.ended):
            self._touched.setdefault(_LAST, self.last is not None)
            self.last = replace(stretch, event=event.id, ended=ended)

    def _pop(self, run: str) -> Stretch | None:
        self._touch(run)
        return self.open.pop(run, None)

    def _touch(self, run: str) -> None:
        self._touched.setdefault(run, run in self.open)

    def items(self) -> Iterator[Item]:
        touched, self._touched = self._touched, {}
        for item, is_stored in touched.items():
            stretch = self.last if item == _LAST else self.open.get(item)
            if stretch is not None:
                yield item, msgspec.json.encode(stretch).decode()
            elif is_stored:
                yield item, None

    def load(self, item: str, data: str) -> None:
        if item == _LAST:
            self.last = _decode(data)
        else:
            self.open[item] = _decode(data)


# --- the verdict --------------------------------------------------------------------------------------------------


def judge(demand: Awaited, facts: Stretches, now: int, watermark: int) -> Verdict:
    """A run that failed or was cancelled before owes nothing any more; one that ended well without it does until
    the next.
    """
    within = int(demand.within * 1e6)
    owing = [stretch for stretch in facts.open.values() if demand.event not in stretch.wrote]
    past = [stretch for stretch in owing if watermark > stretch.started + within]
    coming = [stretch.started + within + 1 for stretch in owing if watermark <= stretch.started + within]
    last = facts.last if facts.last and demand.event not in facts.last.wrote else None
    reason = Reason.ABSENT if past else Reason.ENDED_WITHOUT if last else Reason.IN_TIME
    spells = (_spell(demand, past, last, watermark),) if past or last else ()
    return Verdict(reason, spells, needs=min(coming, default=None))


def _spell(demand: Awaited, past: Sequence[Stretch], last: Stretch | None, watermark: int) -> Spell:
    found = sorted([*past, *([last] if last else [])], key=lambda stretch: (stretch.started, stretch.run))
    first = found[0]
    return Spell(
        runs=tuple(stretch.run for stretch in found[-RUNS_NAMED:]),
        since=first.ended or first.started + int(demand.within * 1e6),
        cause=first.event,
        text=_text(demand, len(past)),
        evidence=_evidence(demand, first, len(found), watermark),
    )


def _evidence(demand: Awaited, first: Stretch, count: int, watermark: int) -> dict[str, Any]:
    asked = {"reference": "the start of the run", "within": demand.within, "event": demand.event}
    return {**asked, "started": first.started, "count": count, "watermark": watermark}


def _text(demand: Awaited, past: int) -> str:
    if not past:
        return f"the last run ended well without {demand.event}"
    who = "a run has" if past == 1 else f"{past} runs have"
    return f"{who} not written {demand.event} within {spelled(demand.within)} of the start"


KIND: Final = Kind("absent", Awaited, Stretches, judge, sees=True)
