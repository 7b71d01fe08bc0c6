"""The tally: events in, totals changed, rows out. It knows no store and no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flowtell.events import TYPES, Event
from flowtell_exporters.ledger import Ledger, Rows
from flowtell_exporters.open_runs import Flow, OpenRuns
from flowtell_exporters.other_counts import AssetCounts, CapacityCounts, IncidentCounts, SourceCounts
from flowtell_exporters.prometheus_settings import Settings
from flowtell_exporters.run_counts import RunCounts
from flowtell_exporters.totals import OTHER


class Tally:
    """Totals of every event taken."""

    def __init__(self, settings: Settings) -> None:
        self._ledger, self._runs = Ledger(settings), OpenRuns()
        self._run_counts = RunCounts(self._ledger, self._runs)
        self._incidents = IncidentCounts(self._ledger)
        others = (AssetCounts(self._ledger, self._runs), CapacityCounts(self._ledger), SourceCounts(self._ledger))
        self._acts: dict[str, Callable[[Any], object]] = {
            **self._run_counts.acts,
            **self._incidents.acts,
            **{name: act for other in others for name, act in other.acts.items()},
            "flow.declared": self._flow_declared,
        }

    def take(self, events: Sequence[Event]) -> None:
        """Count the events, in log order."""
        acts = self._acts
        for event in events:
            act = acts.get(event.type)
            if act is not None:
                act(event)
        self._count_types(events)

    def _flow_declared(self, event: Event) -> None:
        self._run_counts.acts["flow.declared"](event)
        self._incidents.flow_declared(event)

    def _count_types(self, events: Iterable[Event]) -> None:
        own = self._ledger.own
        own.totals.began = own.totals.began or next((event.received for event in events), 0)
        counts = own.totals.events
        for name, number in Counter([event.type for event in events]).items():
            shown = name if name in TYPES else OTHER
            counts[shown] = counts.get(shown, 0) + number
        for metric, subjects in self._ledger.bounded.items():
            own.totals.overflow[metric] = subjects.overflowed  # at 0 too, so that `increase()` sees the first
        self._ledger.touched.add(own)

    def expire(self, now: int) -> None:
        """Let go of what no event has named for long; a flow with a run in progress stays."""
        self._ledger.expire(now, lambda subject: subject.kind == "flow" and self._runs.has_any(subject))

    # --- the rows, and back ---------------------------------------------------------------------------------------

    def changed_totals(self) -> tuple[Rows, Rows]:
        """Rows to insert and rows to update, for what changed since the last call."""
        for subject in self._ledger.touched:
            if subject.kind == "flow":
                self._note_progress(subject)
        return self._ledger.changed()

    def gone_totals(self) -> Rows:
        """Rows to delete since the last call."""
        return self._ledger.gone()

    def changed_runs(self) -> tuple[Rows, Rows]:
        """Rows to delete and then rows to insert, for the open runs that changed since the last call."""
        return self._runs.changes()

    def restore(self, totals: Iterable[Any], open_runs: Iterable[Any], traces: Mapping[str, str | None]) -> None:
        """Take in the rows that an earlier tally gave out, and the traces of the runs. Only on a new one."""
        flows = self._ledger.restore(totals)
        for row in open_runs:
            self._runs.restore(row, flows[row.flow], traces.get(row.run))
        self._run_counts.adopt_settings()
        self._run_counts.note_asking()

    def _note_progress(self, flow: Flow) -> None:
        flow.totals.in_progress, flow.totals.oldest_start = self._runs.by_state(flow), self._runs.oldest_start(flow)
