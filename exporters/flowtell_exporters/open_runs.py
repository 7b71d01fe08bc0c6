"""The flow runs that have not ended, by flow: what the gauges of runs in progress count."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Final

from flowtell.events import Event
from flowtell.fold import RunFacts
from flowtell_exporters.subjects import Subject
from flowtell_exporters.totals import FlowTotals

Flow = Subject[FlowTotals]
_RESTORED: Final = 1


class OpenRuns:
    """Runs by id, and the runs of each flow. A run whose end comes first is never opened."""

    def __init__(self) -> None:
        self._facts: dict[str, RunFacts] = {}
        self._flow_of: dict[str, Flow] = {}
        self._runs_of: defaultdict[Flow, dict[str, RunFacts]] = defaultdict(dict)
        self._stored: set[str] = set()
        self._touched: set[str] = set()

    def __contains__(self, run: str) -> bool:
        return run in self._facts

    def trace_of(self, run: str) -> str:
        """The trace that an open run named at its start; empty where it named none or is not open."""
        facts = self._facts.get(run)
        return (facts.trace or "") if facts is not None else ""

    def has_any(self, flow: Flow) -> bool:
        return flow in self._runs_of

    def restore(self, row: Any, flow: Flow, trace: str | None) -> None:
        """Take in a run from its row, with the trace that the log's table of runs has for it."""
        facts = self._add(row.run, flow)
        facts.first_seq, facts.state, facts.changed, facts.started = _RESTORED, row.state, row.changed, row.started
        facts.trace = trace
        self._stored.add(row.run)

    def start(self, event: Event, flow: Flow) -> Flow | None:
        """Open the run under `flow` when it is new; else as `move`. The flow whose runs changed; None when none did."""
        if event.run not in self._facts:
            self._add(event.run, flow)
        return self.move(event)

    def move(self, event: Event) -> Flow | None:
        """Take what the event says of an open run. Its flow when that changed something.

        Of a run that is not open it says nothing: what came before its start, or was on its way when it ended.
        """
        facts = self._facts.get(event.run)
        if facts is None:
            return None
        before = facts.first_seq, facts.state, facts.started
        facts.take(event)
        if (facts.first_seq, facts.state, facts.started) == before:
            return None
        self._touched.add(event.run)
        return self._flow_of[event.run]

    def end(self, run: str) -> Flow | None:
        """Let go of a run. Its flow, or None when it was not open."""
        flow = self._flow_of.pop(run, None)
        if flow is not None:
            del self._facts[run]
            of_flow = self._runs_of[flow]
            del of_flow[run]
            if not of_flow:
                del self._runs_of[flow]
            self._touched.add(run)
        return flow

    def by_state(self, flow: Flow) -> dict[str, int]:
        return dict(Counter(facts.state for facts in self._of(flow)))

    def oldest_start(self, flow: Flow) -> int:
        """When the oldest of the flow's open runs started, in µs; 0 while none is open."""
        starts: list[Any] = [facts.started for facts in self._of(flow)]
        return min(starts, default=0)

    def _of(self, flow: Flow) -> Iterable[RunFacts]:
        return self._runs_of[flow].values() if flow in self._runs_of else ()

    def changes(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Rows to delete and then rows to insert, for what changed since the last call."""
        touched, self._touched = self._touched, set()
        gone = [{"key": run} for run in touched & self._stored]
        rows = [self._row(run) for run in touched & self._facts.keys()]
        self._stored = self._stored - touched | {row["run"] for row in rows}
        return gone, rows

    def _add(self, run: str, flow: Flow) -> RunFacts:
        facts = self._facts[run] = self._runs_of[flow][run] = RunFacts(run, run)
        self._flow_of[run] = flow
        return facts

    def _row(self, run: str) -> dict[str, Any]:
        facts, flow = self._facts[run], self._flow_of[run]
        return {"run": run, "flow": flow.id, "state": facts.state, "changed": facts.changed, "started": facts.started}
