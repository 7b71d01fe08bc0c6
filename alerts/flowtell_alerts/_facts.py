"""What is known about one flow in one environment: its rules, how its runs ended, and which of them are open.

A pure fold: the same events in any order give the same facts, and taking one twice changes nothing. Moments are the
writer's, but never later than the log took the event: a clock that runs ahead cannot silence a rule for a year.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

from msgspec import Struct

from flowtell.events import Event, FlowDeclared, FlowRunFinished, FlowRunStarted, RuleData
from flowtell_alerts._rules import MAX_CONSECUTIVE, Rule, TooLong, understand

HOUR: Final = 3_600_000_000
"""What was over more than this many µs before it is looked at is history, and opens no incident."""

MAX_RULES: Final = 100
"""Rules of one flow that are heeded; the rest is left out, and logged."""

GOOD: Final = frozenset({"completed", "cached"})
BAD: Final = frozenset({"failed", "timed_out", "crashed"})

_MAX_ENDS: Final = 2 * MAX_CONSECUTIVE
_MAX_TEXT: Final = 200


class End(Struct, frozen=True, order=True, array_like=True):
    """One run's end, good or bad. Ordered by time."""

    time: int
    run: str
    event: str
    state: str
    error: str = ""
    """Type of the exception; its message may hold secrets and stays out."""

    @property
    def good(self) -> bool:
        return self.state in GOOD


class RunSpan(Struct, frozen=True):
    """A run that is open, or one that overran a rule's bound and ended a moment ago."""

    run: str
    started: int
    event: str
    """Id of the event that told of its start."""
    ended: int | None = None
    end_event: str = ""


class FlowFacts:
    """Mutable; belongs to the evaluator's thread."""

    def __init__(self, flow: str, environment: str) -> None:
        self.flow, self.environment = flow, environment
        self.declared = 0
        self.declaration = ""
        """Id of the event that declared the flow last."""
        self.owners: tuple[str, ...] = ()
        self.rules: dict[str, Rule] = {}
        self.ends: list[End] = []
        """Ends in order of time, of which the good ones close what is before them."""
        self.last_good: End | None = None
        """The newest end whose past is settled: an end before it that comes late changes nothing."""
        self.spans: dict[str, RunSpan] = {}
        self.touched: set[str] = set()
        """Runs whose span changed since somebody emptied this."""

    # --- events ---------------------------------------------------------------------------------------------------

    def declare(self, event: FlowDeclared) -> bool:
        """Take the rules of the newest declaration. False for an older one that came late."""
        if moment(event) < self.declared:
            return False
        self.declared, self.declaration = moment(event), event.id
        self.owners = tuple(owner[:_MAX_TEXT] for owner in event.owners[:20])
        self.take_rules(event.rules[:MAX_RULES])
        return True

    def take_rules(self, rules: tuple[RuleData, ...]) -> None:
        understood = [understand(self.flow, self.environment, rule) for rule in rules]
        self.rules = {rule.key: rule for rule in understood}

    def start(self, event: FlowRunStarted) -> None:
        """The earliest claim of a run's start counts."""
        known = self.spans.get(event.run)
        if known is None or (known.ended is None and moment(event) < known.started):
            self.spans[event.run] = RunSpan(event.run, moment(event), event.id)
            self.touched.add(event.run)

    def finish(self, event: FlowRunFinished, now: int) -> None:
        """The run is over. Remember how, if that is good or bad, and whether it overran while nobody looked."""
        span = self._closed(event)
        if span is not None and self._overran(span) and not _is_history(span.ended, now):
            self.spans[event.run] = span
        if event.state in GOOD or event.state in BAD:
            error = event.error.type[:_MAX_TEXT] if event.error else ""
            self._add(End(moment(event), event.run, event.id, event.state, error))

    def remove(self, run: str) -> None:
        """The run is gone from its source: it is neither open nor did it end well or badly."""
        self.spans.pop(run, None)
        self.touched.add(run)
        self.ends = [end for end in self.ends if end.run != run]

    def _closed(self, event: FlowRunFinished) -> RunSpan | None:
        open_span, ended = self.spans.pop(event.run, None), moment(event)
        self.touched.add(event.run)
        if event.duration is not None:  # of the writer's monotonic clock, so better than a difference of moments
            started = ended - int(event.duration * 1_000_000)
        elif open_span is not None:
            started = open_span.started
        else:
            return None
        cause = open_span.event if open_span else event.id
        return RunSpan(event.run, started, cause, ended, event.id)

    def _overran(self, span: RunSpan) -> bool:
        assert span.ended is not None
        took = (span.ended - span.started) / 1e6
        bounds = [rule.demand.bound for rule in self.rules.values() if isinstance(rule.demand, TooLong)]
        return any(took > bound for bound in bounds)

    def _add(self, end: End) -> None:
        if self.last_good is not None and end.time <= self.last_good.time:
            return
        if all(known.run != end.run for known in self.ends):
            insort(self.ends, end)
        if len(self.ends) > _MAX_ENDS:
            self.settle(end.time)
            del self.ends[:-_MAX_ENDS]

    # --- what is over ---------------------------------------------------------------------------------------------

    def settle(self, until: int) -> bool:
        """Forget what was over by `until`: bad ends that a good one closed, runs that ended. Whether any was."""
        closing = [place for place, end in enumerate(self.ends) if end.good and end.time <= until]
        over = [span.run for span in self.spans.values() if span.ended is not None and span.ended <= until]
        for run in over:
            del self.spans[run]
        self.touched.update(over)
        if closing:
            self.last_good = self.ends[closing[-1]]
            self.ends = [end for end in self.ends if end.time > self.last_good.time]
        return bool(closing or over)

    def forget_history(self, now: int) -> None:
        """Settle what was over an hour ago."""
        if self.ends or self.spans:
            self.settle(now - HOUR)


def moment(event: Event) -> int:
    """When it happened by its writer's clock, but no later than the log took it."""
    return min(event.time, event.received) if event.received else event.time


def _is_history(ended: int | None, now: int) -> bool:
    return ended is not None and ended <= now - HOUR
