"""What is counted of one flow, task, deployment, asset or other subject, as structs that are kept as JSON.

Nothing here depends on the order of events: sums, and the latest of moments. A new field has a default, so that the
rows of the last release are read by this one.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct, field

from flowtell.events import END_STATES, Schedule
from flowtell_exporters.due_times import MOST_SCHEDULES, first_due
from flowtell_exporters.exemplars import BAD_ENDS, Exemplar, Exemplars, keep
from flowtell_exporters.histogram import Histogram, is_duration

OTHER: Final = "other"
"""Stands for a state or an event type that this version has no name for: a label's values stay bounded."""

SUCCESS: Final = frozenset({"completed", "cached"})
ASSET_STATES: Final = ("materialized", "cached", "failed")
OUTCOMES: Final = ("sent", "failed", "given_up")
MOST_SOURCES: Final = 100
MOST_OPEN: Final = 10_000
"""Open incidents of one kind that are told apart; what is beyond is counted as opened and not as open."""


class Totals(Struct, omit_defaults=True):
    """What all have: when an event last named it, by the server's clock, in µs."""

    seen: int = 0


class Ends(Totals, omit_defaults=True):
    """How many ended in which state, and the run that did so last."""

    ends: dict[str, int] = field(default_factory=dict)
    exemplars: Exemplars = field(default_factory=dict)

    def end(self, state: str) -> str:
        """Count one. The state as it is shown."""
        try:
            self.ends[state] += 1
        except KeyError:
            state = state if state in END_STATES else OTHER
            self.ends[state] = self.ends.get(state, 0) + 1
        return state

    def end_with(self, state: str, exemplar: Exemplar | None) -> None:
        """Count one, and show the run beside the number."""
        keep(self.exemplars, self.end(state), exemplar)


class TaskTotals(Ends, omit_defaults=True):
    """Ends, retries, and the seconds of those runs that said how long they took; by bucket where that is asked for."""

    seconds: float = 0.0
    timed: int = 0
    retries: int = 0
    histogram: Histogram | None = None

    def finish(self, state: str, duration: float | None) -> None:
        self.end(state)
        if is_duration(duration):
            self.seconds += duration
            self.timed += 1
            if self.histogram is not None:
                self.histogram.observe(duration)

    def remember(self, state: str, exemplar: Exemplar | None) -> None:
        """Show the run that ended badly beside its state; of those that went well there are too many."""
        if state in BAD_ENDS:
            keep(self.exemplars, state, exemplar)


class RunEnds(Ends, omit_defaults=True):
    """Ends of flow runs, each state there at 0 from the start: a counter born at 1 is invisible to `increase()`."""

    ends: dict[str, int] = field(default_factory=lambda: dict.fromkeys(END_STATES, 0))


class DeploymentTotals(RunEnds, omit_defaults=True):
    """Ends, and when its schedules want the first run that none has answered (µs)."""

    schedules: tuple[Schedule, ...] = ()
    declared: int = 0
    answered: int = 0
    """The latest due time of its runs."""
    next_due: int = 0

    def declare(self, event: Any) -> None:
        """Take the latest declaration's schedules; what was due before it is up to who serves."""
        if event.time >= self.declared:
            self.declared = event.time
            self.schedules = () if event.paused else event.schedules[:MOST_SCHEDULES]
            self._look_ahead()

    def answer(self, due: int) -> None:
        """A run of this due time is known."""
        if due > self.answered:
            self.answered = due
            self._look_ahead()

    def retire(self) -> None:
        """It is removed: nothing is due any more."""
        self.schedules, self.next_due = (), 0

    def _look_ahead(self) -> None:
        self.next_due = first_due(self.schedules, max(self.declared, self.answered)) if self.schedules else 0


class FlowTotals(RunEnds, omit_defaults=True):
    """Ends, durations by bucket, the moments that matter (µs), what runs now, and what was declared last."""

    seconds: float = 0.0
    buckets: list[int] = field(default_factory=list)
    """Both as the first release kept the durations; `duration` takes them over."""
    duration: Histogram = field(default_factory=Histogram)
    delay: Histogram = field(default_factory=Histogram)
    last_success: int = 0
    last_completion: int = 0
    in_progress: dict[str, int] = field(default_factory=dict)
    oldest_start: int = 0
    declared: int = 0
    owner: str = ""
    source: str = ""
    version: str = ""
    task_histograms: bool = False
    """Whether the flow asks for them."""

    def __post_init__(self) -> None:
        if self.buckets:
            self.duration = Histogram(self.seconds, self.buckets)
            self.seconds, self.buckets = 0.0, []

    def finish(self, state: str, duration: float | None, moment: int, exemplar: Exemplar | None) -> None:
        self.end_with(state, exemplar)
        self.last_completion = max(self.last_completion, moment)
        if state in SUCCESS:
            self.last_success = max(self.last_success, moment)
        if is_duration(duration):
            self._observe(self.duration, "le", duration, exemplar)

    def start_late(self, delay: float, exemplar: Exemplar | None) -> None:
        """Count how many seconds after its due time a run started."""
        if is_duration(delay):
            self._observe(self.delay, "delay", delay, exemplar)

    def _observe(self, histogram: Histogram, lead: str, seconds: float, exemplar: Exemplar | None) -> None:
        at = histogram.observe(seconds)
        if exemplar is not None:
            keep(self.exemplars, f"{lead}{at}", (*exemplar[:2], seconds, exemplar[3]))

    def declare(self, event: Any, *, task_histograms: bool) -> None:
        """Take the latest declaration's facts."""
        if event.time >= self.declared:
            self.declared, self.version = event.time, event.version
            self.owner, self.source = ",".join(event.owners), event.source
            self.task_histograms = task_histograms

    def adopt(self, duration: tuple[float, ...], delay: tuple[float, ...]) -> bool:
        """Count by these buckets from now on. Whether one of the histograms began anew."""
        anew = {"le": self.duration.adopt(duration), "delay": self.delay.adopt(delay)}
        for lead in [lead for lead, changed in anew.items() if changed]:
            self.exemplars = {key: kept for key, kept in self.exemplars.items() if not key.startswith(lead)}
        return any(anew.values())


class MeasureTotals(Totals, omit_defaults=True):
    """The value stated last by its writers' clocks; None where JSON has no such number."""

    value: float | None = 0.0
    time: int = 0
    id: str = ""

    def state(self, value: float, time: int, id: str) -> None:
        if (time, id) >= (self.time, self.id):
            self.value, self.time, self.id = value, time, id


class CapacityTotals(Totals, omit_defaults=True):
    """What was observed last of a pool, queue, worker or limit."""

    limit: int | None = None
    used: int | None = None
    last_seen: int = 0
    time: int = 0
    id: str = ""

    def observe(self, event: Any) -> None:
        if (event.time, event.id) >= (self.time, self.id):
            self.time, self.id, self.limit, self.used = event.time, event.id, event.limit, event.used
            self.last_seen = max(self.last_seen, event.last_seen or event.time)


class AssetTotals(Ends, omit_defaults=True):
    """Materializations by how they ended, each way there at 0 from the start, and when the last one was."""

    ends: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ASSET_STATES, 0))
    last: int = 0

    def end_materialization(self, state: str, moment: int, exemplar: Exemplar | None) -> None:
        """Count one of `ASSET_STATES`."""
        self.ends[state] += 1
        keep(self.exemplars, state, exemplar)
        if state == "materialized":
            self.last = max(self.last, moment)


class IncidentTotals(Totals, omit_defaults=True):
    """How many incidents of a kind were opened, and which are open."""

    opened: int = 0
    open: list[str] = field(default_factory=list)
    exemplars: Exemplars = field(default_factory=dict)


class NotificationTotals(Totals, omit_defaults=True):
    """Attempts by their outcome, each there at 0 from the start."""

    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))


class OwnTotals(Struct, omit_defaults=True):
    """What the plugin counts of the log itself, and of its own rows."""

    began: int = 0
    """When the log took the first event that is counted here, in µs."""
    events: dict[str, int] = field(default_factory=dict)
    corrections: int = 0
    overflow: dict[str, int] = field(default_factory=dict)
    sources: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By name: when it was last heard of whether it is up (µs), and 1 or 0."""
    expired: int = 0
    """Rows that were deleted: whoever keeps their text looks for them when this has changed."""
    last_id: int = 0
    """The highest that a row ever had: it is never another's."""
    task_histograms: bool = False
    """Whether a task has one, which makes the family's type."""

    def hear(self, source: str, time: int, up: int) -> None:
        if source in self.sources or len(self.sources) < MOST_SOURCES:
            self.sources[source] = max(self.sources.get(source, (0, 0)), (time, up))
