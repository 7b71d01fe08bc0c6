"""`too_long`: a run ends within a bound of its start. Judged by the runs that are open, and by those that overran."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from flowtell.decoders import decoder
from flowtell.events import Event, FlowRunFinished, FlowRunPaused, FlowRunResumed, FlowRunStarted
from flowtell.rules import DURATIONS_KEPT
from flowtell_alerts._kind import BACKFILL, HOUR, Facts, Item, Kind, moment, spelled
from flowtell_alerts._past import PastRun
from flowtell_alerts._sample import Sample, learned_bound
from flowtell_alerts._verdict import RUNS_NAMED, Spell, Verdict

END_ON_ITS_WAY: Final = 2_000_000
"""µs that a run may overrun its bound before that is told: its end may be written and not yet be in the log."""

_TEN_YEARS: Final = 10 * 365 * 86_400.0


class TooLong(Struct, frozen=True, forbid_unknown_fields=True):
    """A run ends within `bound` seconds of its start, or within what is learned. See `flowtell.rules.too_long`."""

    bound: Annotated[float, Meta(ge=0, le=_TEN_YEARS)] | None = None
    quantile: Annotated[float, Meta(ge=0.5, le=0.99)] | None = None
    factor: Annotated[float, Meta(ge=1, le=100)] = 1.5
    min_runs: Annotated[int, Meta(ge=5, le=DURATIONS_KEPT)] = 20

    def __post_init__(self) -> None:
        if (self.bound is None) == (self.quantile is None):
            raise ValueError("it has either a 'bound' or a 'quantile'")


class Reason(StrEnum):
    IN_TIME = "no run is past its bound"
    PAST_BOUND = "a run is past its bound"
    TOO_FEW = "too few runs to learn from"


# --- what is known ------------------------------------------------------------------------------------------------


class RunSpan(Struct, frozen=True, gc=False):
    """A run that is open, or one that overran a rule's bound and ended a moment ago."""

    run: str
    started: int
    event: str
    """Id of the event that told of its start."""
    ended: int | None = None
    end_event: str = ""
    paused: int = 0
    """µs that it was paused, but for the pause that lasts."""
    paused_since: int | None = None
    backfill: bool = False

    def took(self, now: int) -> int:
        """µs that it has run by `now`, or until its end."""
        until = min(self.ended or now, self.paused_since or now)
        return until - self.started - self.paused


_decode: Final = decoder(RunSpan)
_PAIRS: Final = msgspec.json.Decoder(list[tuple[int, float]])
_DURATIONS: Final = "durations"
_NEVER: Final = 2**63


class Spans(Facts):
    """The runs that are open, and those that overran within the last hour."""

    __slots__ = ("_bounds", "_touched", "durations", "spans")
    name = "spans"
    wants = ("flow_run.started", "flow_run.paused", "flow_run.resumed", "flow_run.finished", "flow_run.removed")

    def __init__(self) -> None:
        self.spans: dict[str, RunSpan] = {}
        self._touched: dict[str, bool] = {}
        """Runs that changed since `items` was asked last, and whether they are stored: most come and go between."""
        self.durations: Sample | None = None
        """Seconds that the newest completed runs took, where a rule learns from them."""
        self._bounds: dict[TooLong, int | None] = {}
        """What was learned from the durations as they are."""

    def take(self, event: Event, now: int, demands: Sequence[TooLong] = ()) -> None:
        match event:
            case FlowRunStarted():
                self._start(event)
            case FlowRunFinished():
                self._finish(event, now, demands)
            case FlowRunPaused() | FlowRunResumed():
                self._pause(event)
            case _:
                self._touch(event.run)
                self.spans.pop(event.run, None)

    def _start(self, event: FlowRunStarted) -> None:
        """The earliest claim of a run's start counts."""
        known = self.spans.get(event.run)
        if known is None or (known.ended is None and moment(event) < known.started):
            self._touch(event.run)
            self.spans[event.run] = RunSpan(event.run, moment(event), event.id, backfill=event.cause == BACKFILL)

    def _pause(self, event: FlowRunPaused | FlowRunResumed) -> None:
        """While a run is paused its clock stands still."""
        span, at = self.spans.get(event.run), moment(event)
        if span is None or span.ended is not None:
            return
        if isinstance(event, FlowRunPaused):
            changed = replace(span, paused_since=at if span.paused_since is None else span.paused_since)
        elif span.paused_since is not None:
            changed = replace(span, paused=span.paused + max(at - span.paused_since, 0), paused_since=None)
        else:
            return
        self._touch(event.run)
        self.spans[event.run] = changed

    def _finish(self, event: FlowRunFinished, now: int, demands: Sequence[TooLong]) -> None:
        """The run is over; it stays for an hour if it overran while nobody looked."""
        self._touch(event.run)
        span = _closed(self.spans.pop(event.run, None), event)
        bounds = [bound for bound in map(self.bound_of, demands) if bound is not None]
        if span is not None:
            if span.took(now) > min(bounds, default=_NEVER) and (span.ended or 0) > now - HOUR:
                self.spans[event.run] = span
            if event.state == "completed" and not span.backfill:
                self._learn(span, any(demand.quantile is not None for demand in demands))

    def _learn(self, span: RunSpan, is_asked: bool) -> None:
        if not is_asked and self.durations is None:
            return
        self._touched[_DURATIONS] = True
        self._bounds.clear()
        if not is_asked:
            self.durations = None
            return
        self.durations = self.durations if self.durations is not None else Sample(DURATIONS_KEPT)
        assert span.ended is not None
        self.durations.add(span.ended, round(span.took(span.ended) / 1e6, 3))

    def lacks(self, demands: Sequence[TooLong]) -> bool:
        return self.durations is None and any(demand.quantile is not None for demand in demands)

    def recall(self, past: Sequence[PastRun], demands: Sequence[TooLong]) -> None:
        """Of those that were paused nobody knows any more for how long: they teach the time that it took in all."""
        taught = [(run.ended, round(run.seconds, 3)) for run in past if run.state == "completed" and not run.is_backfill]
        self.durations = Sample(DURATIONS_KEPT, taught)
        self._bounds.clear()
        self._touched[_DURATIONS] = True

    def bound_of(self, demand: TooLong) -> int | None:
        """µs that a run may take; None where too few have taught it."""
        if demand.bound is not None:
            return int(demand.bound * 1e6)
        if demand not in self._bounds:
            learned = learned_bound(
                self.durations or (), share=demand.quantile or 1.0, factor=demand.factor, least=demand.min_runs
            )
            self._bounds[demand] = None if learned is None else int(learned * 1e6)
        return self._bounds[demand]

    def _touch(self, run: str) -> None:
        self._touched.setdefault(run, run in self.spans)

    def settle(self, until: int) -> None:
        """Forget runs that ended."""
        for run in [span.run for span in self.spans.values() if span.ended is not None and span.ended <= until]:
            self._touch(run)
            del self.spans[run]

    def open_runs(self) -> Iterable[str]:
        return [span.run for span in self.spans.values() if span.ended is None]

    def backfills(self) -> Iterable[str]:
        return [span.run for span in self.spans.values() if span.backfill and span.ended is None]

    def items(self) -> Iterator[Item]:
        touched, self._touched = self._touched, {}
        if touched.pop(_DURATIONS, False):
            yield _DURATIONS, msgspec.json.encode(self.durations.pairs).decode() if self.durations is not None else None
        for run, is_stored in touched.items():
            if run in self.spans:
                yield run, msgspec.json.encode(self.spans[run]).decode()
            elif is_stored:
                yield run, None

    def load(self, item: str, data: str) -> None:
        if item == _DURATIONS:
            self.durations = Sample(DURATIONS_KEPT, _PAIRS.decode(data))
        else:
            self.spans[item] = _decode(data)


def _closed(span: RunSpan | None, event: FlowRunFinished) -> RunSpan | None:
    ended = moment(event)
    if event.duration is not None:  # of the writer's monotonic clock, so better than a difference of moments
        started = ended - int(event.duration * 1_000_000)
    elif span is not None:
        started = span.started
    else:
        return None
    if span is None:
        return RunSpan(event.run, started, event.id, ended, event.id)
    paused = span.paused + (max(ended - span.paused_since, 0) if span.paused_since is not None else 0)
    return replace(span, started=started, ended=ended, end_event=event.id, paused=paused, paused_since=None)


# --- the verdict --------------------------------------------------------------------------------------------------


def judge(demand: TooLong, facts: Spans, now: int, watermark: int) -> Verdict:
    """A run that was over an hour before is not told of."""
    bound = facts.bound_of(demand)
    if bound is None:
        return Verdict(Reason.TOO_FEW)
    deadline = bound + END_ON_ITS_WAY
    open_ones = [span for span in facts.spans.values() if span.ended is None]
    late = [span for span in open_ones if span.took(now) > deadline]
    running = [span for span in open_ones if span.took(now) <= deadline and span.paused_since is None]
    overran = [span for span in facts.spans.values() if _overran(span, bound, now)]
    return Verdict(
        Reason.PAST_BOUND if late else Reason.IN_TIME,
        (_spell(demand, facts, late, overran),) if late or overran else (),
        again=min((span.started + span.paused + deadline + 1 for span in running), default=None),
    )


def _overran(span: RunSpan, bound: int, now: int) -> bool:
    return span.ended is not None and span.took(now) > bound and span.ended > now - HOUR


def _spell(demand: TooLong, facts: Spans, late: list[RunSpan], overran: list[RunSpan]) -> Spell:
    spans = sorted(late + overran, key=lambda span: (span.started, span.run))
    first, bound = spans[0], facts.bound_of(demand) or 0
    last = max(overran, key=lambda span: (span.ended or 0, span.run)) if not late else None
    return Spell(
        runs=tuple(span.run for span in spans[-RUNS_NAMED:]),
        since=first.started + first.paused + bound,
        cause=first.event,
        until=last.ended if last else None,
        closed_by=last.end_event if last else "",
        text=_text(demand, facts, len(spans)),
        evidence={
            "reference": "the start of the run",
            "count": len(spans),
            "bound": bound / 1e6,
            "started": first.started,
            **_learned(demand, facts),
        },
    )


def _learned(demand: TooLong, facts: Spans) -> dict[str, Any]:
    if demand.quantile is None or facts.durations is None:
        return {}
    return {"quantile": demand.quantile, "factor": demand.factor, "learned_from": len(facts.durations)}


def _text(demand: TooLong, facts: Spans, count: int) -> str:
    who = "a run takes" if count == 1 else f"{count} runs take"
    said = f"{who} longer than {spelled((facts.bound_of(demand) or 0) / 1e6)}"
    learned = _learned(demand, facts)
    if not learned:
        return said
    usual = f"{demand.quantile:.0%} of the last {learned['learned_from']} runs"
    return f"{said}, {demand.factor:g} times what {usual} took at most"


KIND: Final = Kind("too_long", TooLong, Spans, judge)
