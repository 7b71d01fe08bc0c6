"""What is counted of one flow, task, deployment or measure, as structs that are kept as JSON.

Nothing here depends on the order of events: sums, and the latest of moments. A new field has a default, so that the
rows of the last release are read by this one.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from msgspec import Struct, field

from flowtell.events import END_STATES
from flowtell_exporters.families import DURATION_BUCKETS

OTHER: Final = "other"
"""Stands for a state or an event type that this version has no name for: a label's values stay bounded."""

_SUCCESS: Final = frozenset({"completed", "cached"})
LONGEST: Final = 1e9
"""Seconds; no clock has measured a longer run, and one such duration would spoil a sum for ever."""


class Ends(Struct, omit_defaults=True):
    """How many runs ended in which state."""

    ends: dict[str, int] = field(default_factory=dict)

    def end(self, state: str) -> None:
        try:
            self.ends[state] += 1
        except KeyError:
            known = state if state in END_STATES else OTHER
            self.ends[known] = self.ends.get(known, 0) + 1


class TaskTotals(Ends, omit_defaults=True):
    """Ends, retries, and the seconds of those runs that said how long they took."""

    seconds: float = 0.0
    timed: int = 0
    retries: int = 0

    def finish(self, state: str, duration: float | None) -> None:
        self.end(state)
        if duration is not None and 0 <= duration < LONGEST:
            self.seconds += duration
            self.timed += 1


class RunEnds(Ends, omit_defaults=True):
    """Ends of flow runs, each state there at 0 from the start: a counter born at 1 is invisible to `increase()`."""

    ends: dict[str, int] = field(default_factory=lambda: dict.fromkeys(END_STATES, 0))


class FlowTotals(RunEnds, omit_defaults=True):
    """Ends, durations by bucket, the moments that matter (µs), what runs now, and what was declared last."""

    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BUCKETS) + 1))
    """Runs by the first bound that holds them; the last one is +Inf. Not cumulative."""
    last_success: int = 0
    last_completion: int = 0
    in_progress: dict[str, int] = field(default_factory=dict)
    oldest_start: int = 0
    declared: int = 0
    owner: str = ""
    source: str = ""
    version: str = ""

    def finish(self, state: str, duration: float | None, moment: int) -> None:
        self.end(state)
        self.last_completion = max(self.last_completion, moment)
        if state in _SUCCESS:
            self.last_success = max(self.last_success, moment)
        if duration is not None and 0 <= duration < LONGEST:
            self.seconds += duration
            self.buckets[bisect_left(DURATION_BUCKETS, duration)] += 1

    def declare(self, time: int, version: str, owner: str, source: str) -> None:
        if time >= self.declared:
            self.declared, self.version, self.owner, self.source = time, version, owner, source


class MeasureTotals(Struct, omit_defaults=True):
    """The value stated last by its writers' clocks; None where JSON has no such number."""

    value: float | None = 0.0
    time: int = 0
    id: str = ""

    def state(self, value: float, time: int, id: str) -> None:
        if (time, id) >= (self.time, self.id):
            self.value, self.time, self.id = value, time, id


class OwnTotals(Struct, omit_defaults=True):
    """What the plugin counts of the log itself."""

    events: dict[str, int] = field(default_factory=dict)
    corrections: int = 0
    overflow: dict[str, int] = field(default_factory=dict)
