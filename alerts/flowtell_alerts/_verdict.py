"""Does a rule hold? A pure function of what is known, the rule, and the moment it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from flowtell_alerts._facts import HOUR, End, FlowFacts, RunSpan
from flowtell_alerts._rules import Failed, Rule, TooLong

RUNS_NAMED: Final = 20
"""Runs that one incident lists: the newest."""

END_ON_ITS_WAY: Final = 2_000_000
"""µs that a run may overrun its bound before that is told: its end may be written and not yet be in the log."""


class Reason(StrEnum):
    """Why a rule holds or does not."""

    NOT_UNDERSTOOD = "not understood"
    NO_RUN = "no run has ended"
    ENDED_WELL = "the last run ended well"
    TOO_FEW = "fewer bad ends in a row than it takes"
    ENDED_BADLY = "runs ended badly"
    IN_TIME = "no run is past its bound"
    PAST_BOUND = "a run is past its bound"


BROKEN: Final = frozenset({Reason.ENDED_BADLY, Reason.PAST_BOUND})


class Spell(Struct, frozen=True, kw_only=True):
    """A stretch of time in which the rule did not hold."""

    runs: tuple[str, ...]
    since: int
    cause: str
    """Id of the event that began it."""
    until: int | None = None
    """None while it lasts."""
    closed_by: str = ""
    text: str
    evidence: dict[str, Any]


class Verdict(Struct, frozen=True):
    """Whether the rule holds now, and the spells in which it did not since it was last judged, in order."""

    reason: Reason
    spells: tuple[Spell, ...] = ()
    again: int | None = None
    """When to judge next though no event came."""
    closed_by: str = ""
    until: int | None = None

    @property
    def holds(self) -> bool:
        return self.reason not in BROKEN


def judge(rule: Rule, facts: FlowFacts, now: int) -> Verdict:
    """The verdict on `rule` at `now`. A spell that was over an hour before is not told of."""
    match rule.demand:
        case Failed(consecutive):
            return _judge_failed(consecutive, facts, now)
        case TooLong(bound):
            return _judge_too_long(int(bound * 1e6), facts, now)
        case None:
            return Verdict(Reason.NOT_UNDERSTOOD)


# --- failed -------------------------------------------------------------------------------------------------------


def _judge_failed(consecutive: int, facts: FlowFacts, now: int) -> Verdict:
    streaks = list(_streaks(facts.ends))
    spells = [_failed_spell(bad, good, consecutive) for bad, good in streaks if len(bad) >= consecutive]
    latest = streaks[-1][0] if streaks and streaks[-1][1] is None else []
    good = _last_good(facts)
    return Verdict(
        _failed_reason(len(latest), consecutive, good),
        tuple(spell for spell in spells if spell.until is None or spell.until > now - HOUR),
        closed_by=good.event if good else "",
        until=good.time if good else None,
    )


def _streaks(ends: list[End]) -> Iterator[tuple[list[End], End | None]]:
    """Bad ends in a row, each with the good one that closed them; the last has none."""
    bad: list[End] = []
    for end in ends:
        if not end.good:
            bad.append(end)
        elif bad:
            yield bad, end
            bad = []
    if bad:
        yield bad, None


def _last_good(facts: FlowFacts) -> End | None:
    return next((end for end in reversed(facts.ends) if end.good), facts.last_good)


def _failed_reason(latest: int, consecutive: int, good: End | None) -> Reason:
    if latest >= consecutive:
        return Reason.ENDED_BADLY
    if latest:
        return Reason.TOO_FEW
    return Reason.ENDED_WELL if good else Reason.NO_RUN


def _failed_spell(bad: list[End], good: End | None, consecutive: int) -> Spell:
    decisive = bad[consecutive - 1]
    return Spell(
        runs=tuple(end.run for end in bad[-RUNS_NAMED:]),
        since=decisive.time,
        cause=decisive.event,
        until=good.time if good else None,
        closed_by=good.event if good else "",
        text=_failed_text(bad),
        evidence={"count": len(bad), "states": dict(Counter(end.state for end in bad)), "error": bad[-1].error},
    )


def _failed_text(bad: list[End]) -> str:
    last = bad[-1]
    how = last.state.replace("_", " ") + (f" ({last.error})" if last.error and last.state != "crashed" else "")
    return f"the last run {how}" if len(bad) == 1 else f"{len(bad)} runs in a row ended badly, the last {how}"


# --- too long -----------------------------------------------------------------------------------------------------


def _judge_too_long(bound: int, facts: FlowFacts, now: int) -> Verdict:
    """All runs past their bound at one time are one spell: it lasts until none is."""
    deadline = bound + END_ON_ITS_WAY
    open_ones = [span for span in facts.spans.values() if span.ended is None]
    late = [span for span in open_ones if now - span.started > deadline]
    soon = [span.started + deadline + 1 for span in open_ones if now - span.started <= deadline]
    overran = [span for span in facts.spans.values() if _overran(span, bound, now)]
    return Verdict(
        Reason.PAST_BOUND if late else Reason.IN_TIME,
        (_too_long_spell(late, overran, bound),) if late or overran else (),
        again=min(soon, default=None),
    )


def _overran(span: RunSpan, bound: int, now: int) -> bool:
    return span.ended is not None and span.ended - span.started > bound and span.ended > now - HOUR


def _too_long_spell(late: list[RunSpan], overran: list[RunSpan], bound: int) -> Spell:
    spans = sorted(late + overran, key=lambda span: (span.started, span.run))
    first = spans[0]
    last = max(overran, key=lambda span: (span.ended or 0, span.run)) if not late else None
    return Spell(
        runs=tuple(span.run for span in spans[-RUNS_NAMED:]),
        since=first.started + bound,
        cause=first.event,
        until=last.ended if last else None,
        closed_by=last.end_event if last else "",
        text=_too_long_text(len(spans), bound),
        evidence={"count": len(spans), "bound": bound / 1e6, "started": first.started},
    )


def _too_long_text(count: int, bound: int) -> str:
    who = "a run takes" if count == 1 else f"{count} runs take"
    return f"{who} longer than {_span(bound / 1e6)}"


def _span(seconds: float) -> str:
    """Such as `90 s`, `30 min` or `1.5 h`."""
    for name, size in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * size or seconds == size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.3g} s"
