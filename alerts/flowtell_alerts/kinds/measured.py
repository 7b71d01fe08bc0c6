"""`measured`: a number that runs state is as it should be. Judged by the run that ended well last, and by those before."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from flowtell.decoders import decoder
from flowtell.events import Event, FlowRunFinished, MeasureRecorded
from flowtell.rules import MEASURES_KEPT
from flowtell_alerts._kind import HOUR, Facts, Item, Kind, moment
from flowtell_alerts._sample import usual
from flowtell_alerts._verdict import RUNS_NAMED, Spell, Verdict

_MAX_OPEN: Final = 1_000
"""Open runs of one subject of which numbers are remembered; the oldest give way."""

Fold = Literal["last", "sum", "min", "max"]
Series = tuple[str, str, Fold]
"""Task (empty for all), name, and which of several in one run counts."""


class Measured(Struct, frozen=True, forbid_unknown_fields=True):
    """See `flowtell.rules.measured`."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    below: float | None = None
    above: float | None = None
    outside: Annotated[float, Meta(gt=0)] | None = None
    min_runs: Annotated[int, Meta(ge=1, le=MEASURES_KEPT)] = 20
    task: Annotated[str, Meta(max_length=200)] = ""
    fold: Fold = "last"
    missing: bool = True

    @property
    def series(self) -> Series:
        return self.task, self.name, self.fold


class Reason(StrEnum):
    NO_RUN = "no run has ended well since the rule was stated"
    NEVER_STATED = "no run has stated the number yet"
    AS_IT_SHOULD = "the last number is as it should be"
    TOO_FEW = "too few runs to know what is usual"
    BELOW = "the last number is below its bound"
    ABOVE = "the last number is above its bound"
    OUTSIDE = "the last number is outside its history"
    MISSING = "the last run did not state the number"


_BROKEN: Final = frozenset({Reason.BELOW, Reason.ABOVE, Reason.OUTSIDE, Reason.MISSING})


# --- what is known ------------------------------------------------------------------------------------------------


class Number(Struct, frozen=True, order=True, array_like=True, gc=False):
    """What one run that ended well had stated at its end."""

    time: int
    run: str
    event: str
    """Id of the event that told of its end."""
    value: float | None = None


class _Stored(Struct, frozen=True):
    settled: int
    numbers: list[Number]


_history: Final = decoder(_Stored)
_OPEN: Final = msgspec.json.Decoder(dict[str, tuple[int, float]])
_key: Final = decoder(Series)


class Measures(Facts):
    """Of what the subject's rules name: the numbers of the open runs, and the newest of those that ended well."""

    __slots__ = ("_changed", "_touched", "numbers", "open", "settled")
    name = "measures"
    wants = ("measure.recorded", "flow_run.finished", "flow_run.removed")
    on_demand = True
    heeds_backfill = False

    def __init__(self) -> None:
        self.open: dict[str, dict[str, tuple[int, float]]] = {}
        """By run and series, as JSON: the moment and the number that counts so far."""
        self.numbers: dict[Series, list[Number]] = {}
        self.settled: dict[Series, int] = {}
        """Up to when the numbers were judged: of what was over by then nobody is told again."""
        self._touched: dict[str, bool] = {}
        """Open runs that changed since `items` was asked last, and whether they are stored."""
        self._changed: set[Series] = set()

    def take(self, event: Event, now: int, demands: Sequence[Measured]) -> None:
        match event:
            case MeasureRecorded():
                for series in {demand.series for demand in demands if _is_of(event, demand)}:
                    self._state(event, series)
            case FlowRunFinished():
                self._end(event, {demand.series for demand in demands})
            case _:
                self._close(event.run)
                for series, numbers in self.numbers.items():
                    self._keep(series, [number for number in numbers if number.run != event.run])

    def _state(self, event: MeasureRecorded, series: Series) -> None:
        self._touched.setdefault(event.run, event.run in self.open)
        stated = self.open.setdefault(event.run, {})
        key = msgspec.json.encode(series).decode()
        at = moment(event)
        stated[key] = _folded(series[2], stated.get(key), (at, event.value))
        while len(self.open) > _MAX_OPEN:
            self._close(next(iter(self.open)))

    def _close(self, run: str) -> dict[str, tuple[int, float]]:
        self._touched.setdefault(run, run in self.open)
        return self.open.pop(run, {})

    def _end(self, event: FlowRunFinished, wanted: set[Series]) -> None:
        stated = self._close(event.run)
        for forgotten in self.numbers.keys() - wanted:
            self._keep(forgotten, [])
        if event.state != "completed":  # a cached run measured nothing, and a bad end is the business of `failed`
            return
        for series in wanted:
            _, value = stated.get(msgspec.json.encode(series).decode(), (0, None))
            numbers = list(self.numbers.get(series, ()))
            if all(number.run != event.run for number in numbers):
                insort(numbers, Number(moment(event), event.run, event.id, value))
            self._keep(series, numbers[-MEASURES_KEPT - 1 :])

    def _keep(self, series: Series, numbers: list[Number]) -> None:
        if numbers != self.numbers.get(series):
            self.numbers[series] = numbers
            self._changed.add(series)

    def settle(self, until: int) -> None:
        for series, numbers in self.numbers.items():
            newest = max((number.time for number in numbers if number.time <= until), default=0)
            if newest > self.settled.get(series, 0):
                self.settled[series] = newest
                self._changed.add(series)

    def items(self) -> Iterator[Item]:
        touched, self._touched = self._touched, {}
        for run, is_stored in touched.items():
            if run in self.open:
                yield f"open {run}", msgspec.json.encode(self.open[run]).decode()
            elif is_stored:
                yield f"open {run}", None
        changed, self._changed = self._changed, set()
        for series in changed:
            yield self._history_item(series)

    def _history_item(self, series: Series) -> Item:
        item, numbers = msgspec.json.encode(series).decode(), self.numbers[series]
        if not numbers:
            del self.numbers[series]
            self.settled.pop(series, None)
            return item, None
        return item, msgspec.json.encode(_Stored(self.settled.get(series, 0), numbers)).decode()

    def load(self, item: str, data: str) -> None:
        if item.startswith("open "):
            self.open[item.removeprefix("open ")] = _OPEN.decode(data)
        else:
            series, stored = _key(item), _history(data)
            self.numbers[series], self.settled[series] = stored.numbers, stored.settled


def _is_of(event: MeasureRecorded, demand: Measured) -> bool:
    return event.name == demand.name and demand.task in ("", event.task)


def _folded(fold: Fold, known: tuple[int, float] | None, new: tuple[int, float]) -> tuple[int, float]:
    if known is None:
        return new
    match fold:
        case "last":
            return max(known, new)
        case "sum":
            return new[0], known[1] + new[1]
        case "min":
            return new[0], min(known[1], new[1])
        case "max":
            return new[0], max(known[1], new[1])


# --- the verdict --------------------------------------------------------------------------------------------------


class _Found(Struct, frozen=True):
    """What is to be said of one number."""

    number: Number
    reason: Reason
    text: str = ""
    evidence: dict[str, Any] = {}


def judge(demand: Measured, facts: Measures, now: int, watermark: int) -> Verdict:
    """Each number by those before it. A spell that was over an hour before, or was told of, is not told of."""
    numbers = facts.numbers.get(demand.series, [])
    if not numbers:
        return Verdict(Reason.NO_RUN)
    found = _found_since(max(facts.settled.get(demand.series, 0), now - HOUR), demand, numbers)
    last = found[-1]
    return Verdict(last.reason, tuple(_spells(found)), closed_by=last.number.event, until=last.number.time)


def _found_since(settled: int, demand: Measured, numbers: Sequence[Number]) -> list[_Found]:
    """Of the newest numbers, back to one that was as it should be and of which nothing is to be told any more."""
    found: list[_Found] = []
    for place in reversed(range(len(numbers))):
        found.append(_found(demand, numbers, place))
        if found[-1].reason not in _BROKEN and numbers[place].time <= settled:
            break
    return found[::-1]


def _found(demand: Measured, numbers: Sequence[Number], place: int) -> _Found:
    number = numbers[place]
    before = [known.value for known in numbers[:place] if known.value is not None]
    if number.value is None:
        return _missing(demand, number, before)
    if demand.below is not None and number.value < demand.below:
        return _past(demand, number, Reason.BELOW, "below", demand.below)
    if demand.above is not None and number.value > demand.above:
        return _past(demand, number, Reason.ABOVE, "above", demand.above)
    if demand.outside is None:
        return _Found(number, Reason.AS_IT_SHOULD)
    if len(before) < demand.min_runs:
        return _Found(number, Reason.TOO_FEW)
    return _against_history(demand, number, before)


def _missing(demand: Measured, number: Number, before: Sequence[float]) -> _Found:
    if not before:
        return _Found(number, Reason.NEVER_STATED)
    if not demand.missing:
        return _Found(number, Reason.AS_IT_SHOULD)
    text = f"the last run ended well without stating {_what(demand)}, which was {before[-1]:g} before"
    return _Found(number, Reason.MISSING, text, {**_evidence(demand, number), "before": before[-1]})


def _past(demand: Measured, number: Number, reason: Reason, side: str, bound: float) -> _Found:
    text = f"{_what(demand)} is {number.value:g}, {side} {bound:g}"
    return _Found(number, reason, text, {**_evidence(demand, number), "bound": bound})


def _against_history(demand: Measured, number: Number, before: Sequence[float]) -> _Found:
    middle, deviation = usual(before)
    assert number.value is not None
    assert demand.outside is not None
    room = demand.outside * deviation
    if abs(number.value - middle) <= room:
        return _Found(number, Reason.AS_IT_SHOULD)
    usually = f"{middle - room:g} to {middle + room:g} is usual for the last {len(before)} runs"
    evidence = {"median": middle, "deviation": deviation, "room": room, "count": len(before)}
    text = f"{_what(demand)} is {number.value:g}, where {usually}"
    return _Found(number, Reason.OUTSIDE, text, {**_evidence(demand, number), **evidence})


def _what(demand: Measured) -> str:
    name = demand.name if demand.fold == "last" else f"the {demand.fold} of {demand.name}"
    return f"{name} of {demand.task}" if demand.task else name


def _evidence(demand: Measured, number: Number) -> dict[str, Any]:
    reference = "the last run that ended well"
    return {"reference": reference, "measure": demand.name, "task": demand.task, "value": number.value}


def _spells(found: Sequence[_Found]) -> Iterator[Spell]:
    """Odd numbers in a row, each row with the first one after it that was as it should be."""
    odd: list[_Found] = []
    for each in found:
        if each.reason in _BROKEN:
            odd.append(each)
        elif odd:
            yield _spell(odd, each.number)
            odd = []
    if odd:
        yield _spell(odd, None)


def _spell(odd: Sequence[_Found], closing: Number | None) -> Spell:
    first, last = odd[0].number, odd[-1]
    return Spell(
        runs=tuple(each.number.run for each in odd[-RUNS_NAMED:]),
        since=first.time,
        cause=first.event,
        until=closing.time if closing else None,
        closed_by=closing.event if closing else "",
        text=last.text,
        evidence={**last.evidence, "runs": len(odd)},
    )


KIND: Final = Kind("measured", Measured, Measures, judge)
