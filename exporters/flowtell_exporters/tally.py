"""The tally: events in, totals changed, rows out. It knows no store and no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any, Final

import msgspec
from msgspec import Struct

from flowtell.events import TYPES, Event
from flowtell_exporters.families import DEPLOYMENT_RUNS, FLOW_RUNS, MEASURE, TASK_RUNS
from flowtell_exporters.open_runs import Flow, OpenRuns
from flowtell_exporters.subjects import OVERFLOW_LABEL, Subject, Subjects
from flowtell_exporters.totals import OTHER, FlowTotals, MeasureTotals, OwnTotals, RunEnds, TaskTotals

Rows = list[dict[str, Any]]

_encode: Final = msgspec.json.Encoder().encode
_FLOW_RUN_EVENTS: Final = tuple(name for name in TYPES if name.startswith("flow_run."))


class Limits(Struct, frozen=True):
    """How many label sets of a kind have series of their own; what is beyond counts as `__overflow__`.

    The defaults hold 350 flows of 12 tasks in two environments twice over.
    """

    max_flows: int = 1_500
    """Flows times environments: some 25 series each."""
    max_tasks: int = 18_000
    """Tasks times flows times environments: some 3 series each."""
    max_deployments: int = 1_500
    max_measures: int = 5_000


class Tally:
    """Totals of every event taken. Contrary ends are counted apart, contrary starts open nothing."""

    def __init__(self, limits: Limits) -> None:
        self._ids = count(1)
        self._flows = Subjects("flow", 2, FlowTotals, limits.max_flows, self._new_id)
        self._tasks = Subjects("task", 3, TaskTotals, limits.max_tasks, self._new_id)
        self._deployments = Subjects("deployment", 3, RunEnds, limits.max_deployments, self._new_id)
        self._measures = Subjects("measure", 4, MeasureTotals, limits.max_measures, self._new_id)
        self._own = Subject(0, "own", (), OwnTotals())
        self._bounded: dict[str, Subjects[Any]] = {
            FLOW_RUNS.name: self._flows,
            TASK_RUNS.name: self._tasks,
            DEPLOYMENT_RUNS.name: self._deployments,
            MEASURE.name: self._measures,
        }
        self._runs = OpenRuns()
        self._touched: set[Subject[Any]] = set()
        self._version = 0
        self._acts: dict[str, Callable[[Any], object]] = {
            **dict.fromkeys(_FLOW_RUN_EVENTS, self._flow_run_moved),
            "flow.declared": self._flow_declared,
            "deployment.declared": self._deployment,
            "flow_run.started": self._flow_run_started,
            "flow_run.finished": self._flow_run_finished,
            "flow_run.removed": self._flow_run_closed,
            "task_run.finished": self._task_run_finished,
            "task_run.retrying": self._task_run_retrying,
            "measure.recorded": self._measure_recorded,
        }

    def take(self, events: Sequence[Event]) -> None:
        """Count the events, in log order."""
        acts = self._acts
        for event in events:
            act = acts.get(event.type)
            if act is not None:
                act(event)
        self._count_types(events)

    # --- what an event changes ------------------------------------------------------------------------------------

    def _flow(self, event: Event) -> Flow:
        flow = self._flows[event.flow, event.environment]
        self._touched.add(flow)
        return flow

    def _flow_declared(self, event: Any) -> None:
        flow = self._flow(event)
        if flow.labels[0] != OVERFLOW_LABEL:  # which stands for many flows, each with its own owner
            flow.totals.declare(event.time, event.version, ",".join(event.owners), event.source)

    def _flow_run_started(self, event: Event) -> None:
        if event.run and not event.contrary:
            self._touch(self._runs.start(event, self._flow(event)))

    def _flow_run_moved(self, event: Event) -> None:
        self._touch(self._runs.move(event))

    def _flow_run_finished(self, event: Any) -> None:
        if event.contrary:
            self._own.totals.corrections += 1
            return
        moment = min(event.time, event.received or event.time)  # one clock that is ahead hides no later end
        self._flow(event).totals.finish(event.state, event.duration, moment)
        if event.deployment:
            self._deployment(event).totals.end(event.state)
        self._flow_run_closed(event)

    def _flow_run_closed(self, event: Event) -> None:
        self._touch(self._runs.end(event.run))

    def _touch(self, flow: Flow | None) -> None:
        if flow is not None:
            self._touched.add(flow)

    def _deployment(self, event: Event) -> Subject[RunEnds]:
        deployment = self._deployments[event.flow, event.deployment, event.environment]
        self._touched.add(deployment)
        return deployment

    def _task_run_finished(self, event: Any) -> None:
        if event.contrary:
            self._own.totals.corrections += 1
            return
        task = self._tasks[event.flow, event.task, event.environment]
        task.totals.finish(event.state, event.duration)
        self._touched.add(task)

    def _task_run_retrying(self, event: Event) -> None:
        task = self._tasks[event.flow, event.task, event.environment]
        task.totals.retries += 1
        self._touched.add(task)

    def _measure_recorded(self, event: Any) -> None:
        measure = self._measures[event.flow, event.task, event.environment, event.name]
        measure.totals.state(event.value, event.time, event.id)
        self._touched.add(measure)

    def _count_types(self, events: Iterable[Event]) -> None:
        counts = self._own.totals.events
        for name, number in Counter([event.type for event in events]).items():
            shown = name if name in TYPES else OTHER
            counts[shown] = counts.get(shown, 0) + number
        for metric, subjects in self._bounded.items():
            if subjects.overflowed:
                self._own.totals.overflow[metric] = subjects.overflowed
        self._touched.add(self._own)

    # --- the rows, and back ---------------------------------------------------------------------------------------

    def changed_totals(self) -> tuple[Rows, Rows]:
        """Rows to insert and rows to update, for what changed since the last call."""
        touched, self._touched = self._touched, set()
        self._version += 1
        new = [self._new_row(subject) for subject in touched if not subject.stored]
        version, text = self._version, self._text
        old = [{"key": each.id, "version": version, "data": text(each)} for each in touched if each.stored]
        for subject in touched:
            subject.stored = True
        return new, old

    def changed_runs(self) -> tuple[Rows, Rows]:
        """Rows to delete and then rows to insert, for the open runs that changed since the last call."""
        return self._runs.changes()

    def restore(self, totals: Iterable[Any], open_runs: Iterable[Any]) -> None:
        """Take in the rows that an earlier tally gave out. Only on a new one."""
        highest, flows = 0, {}
        by_kind: dict[str, Subjects[Any]] = {subjects.kind: subjects for subjects in self._bounded.values()}
        for row in totals:
            highest, self._version = max(highest, row.id), max(self._version, row.version)
            if row.kind == self._own.kind:
                self._restore_own(row)
            else:
                flows[row.id] = by_kind[row.kind].restore(row)
        self._ids = count(highest + 1)
        for row in open_runs:
            self._runs.restore(row, flows[row.flow])

    def _restore_own(self, row: Any) -> None:
        self._own.totals, self._own.stored = msgspec.json.decode(row.data, type=OwnTotals), True
        for metric, number in self._own.totals.overflow.items():
            self._bounded[metric].overflowed = number

    def _new_id(self) -> int:
        return next(self._ids)

    def _new_row(self, subject: Subject[Any]) -> dict[str, Any]:
        row = {"id": subject.id, "kind": subject.kind, "labels": _encode(subject.labels).decode()}
        return {**row, "version": self._version, "data": self._text(subject)}

    def _text(self, subject: Subject[Any]) -> str:
        totals = subject.totals
        if subject.kind == "flow":
            totals.in_progress, totals.oldest_start = self._runs.by_state(subject), self._runs.oldest_start(subject)
        return _encode(totals).decode()
