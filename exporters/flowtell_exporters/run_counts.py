"""What events of runs change: ends, durations, delays, retries, runs in progress and measures."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, Final

from flowtell.events import TYPES, Event
from flowtell_exporters.exemplars import Exemplar, exemplar_of
from flowtell_exporters.histogram import Histogram
from flowtell_exporters.ledger import Ledger
from flowtell_exporters.open_runs import Flow, OpenRuns
from flowtell_exporters.subjects import Subject
from flowtell_exporters.totals import DeploymentTotals, TaskTotals

ASKS: Final = "task-histograms"
"""The tag by which a flow asks for histograms of its tasks' durations."""

_FLOW_RUN_EVENTS: Final = tuple(name for name in TYPES if name.startswith("flow_run."))


class RunCounts:
    """Contrary ends are counted apart, contrary starts open nothing."""

    def __init__(self, ledger: Ledger, runs: OpenRuns) -> None:
        self._ledger, self._runs, self._own = ledger, runs, ledger.own
        self._flows, self._tasks, self._touched = ledger.flows, ledger.tasks, ledger.touched
        self._patterns = ledger.settings.task_histograms
        self._asking = False
        """Whether any flow may have task histograms: else nothing is looked up for a task run."""
        self.acts: dict[str, Callable[[Any], object]] = {
            **dict.fromkeys(_FLOW_RUN_EVENTS, self._moved),
            "flow.declared": self._declared,
            "deployment.declared": self._deployment_declared,
            "deployment.removed": self._deployment_removed,
            "flow_run.started": self._started,
            "flow_run.finished": self._finished,
            "flow_run.removed": self._closed,
            "task_run.finished": self._task_finished,
            "task_run.retrying": self._task_retrying,
            "measure.recorded": self._measured,
        }
        self.note_asking()

    # --- flows ----------------------------------------------------------------------------------------------------

    def _flow(self, event: Event) -> Flow:
        flow = self._flows[event.flow, event.environment]
        flow.totals.seen = event.received
        self._touched.add(flow)
        return flow

    def _declared(self, event: Any) -> None:
        flow = self._flow(event)
        if not flow.is_overflow:  # which stands for many flows, each with its own owner
            flow.totals.declare(event, task_histograms=ASKS in event.tags)
            self._asking |= flow.totals.task_histograms

    def _started(self, event: Any) -> None:
        if not event.run or event.contrary:
            return
        self._answer(event)
        is_first = event.run not in self._runs
        flow = self._flow(event)
        self._touch(self._runs.start(event, flow))
        if is_first and event.attempt == 1 and event.due is not None:
            delay = max(event.time - event.due, 0) / 1e6
            flow.totals.start_late(delay, self._exemplar(event))

    def _moved(self, event: Event) -> None:
        self._answer(event)
        self._touch(self._runs.move(event))

    def _finished(self, event: Any) -> None:
        if event.contrary:
            self._own.totals.corrections += 1
            return
        moment = min(event.time, event.received or event.time)  # one clock that is ahead hides no later end
        exemplar = self._exemplar(event)
        self._flow(event).totals.finish(event.state, event.duration, moment, exemplar)
        if event.deployment:
            self._deployment(event).totals.end_with(event.state, exemplar)
            self._answer(event)
        self._closed(event)

    def _closed(self, event: Event) -> None:
        self._touch(self._runs.end(event.run))

    def _touch(self, flow: Flow | None) -> None:
        if flow is not None:
            self._touched.add(flow)

    def _exemplar(self, event: Event) -> Exemplar | None:
        return exemplar_of(event, self._runs.trace_of(event.run))

    def _answer(self, event: Event) -> None:
        """A run that is known of answers its due time, whatever becomes of it."""
        if event.due is not None and event.deployment:
            deployment = self._deployment(event)
            if not deployment.is_overflow:
                deployment.totals.answer(event.due)

    def _deployment_declared(self, event: Event) -> None:
        deployment = self._deployment(event)
        if not deployment.is_overflow:
            deployment.totals.declare(event)

    def _deployment_removed(self, event: Event) -> None:
        deployment = self._ledger.deployments.known(event.flow, event.deployment, event.environment)
        if deployment is not None:
            deployment.totals.retire()
            self._touched.add(deployment)

    def _deployment(self, event: Event) -> Subject[DeploymentTotals]:
        deployment = self._ledger.deployments[event.flow, event.deployment, event.environment]
        deployment.totals.seen = event.received
        self._touched.add(deployment)
        return deployment

    # --- tasks and measures ---------------------------------------------------------------------------------------

    def _task_finished(self, event: Any) -> None:
        if event.contrary:
            self._own.totals.corrections += 1
            return
        task = self._tasks[event.flow, event.task, event.environment]
        totals = task.totals
        totals.seen = event.received
        if self._asking and totals.histogram is None and self._asks(event.flow, event.environment):
            self._give_histogram(totals)
        totals.finish(event.state, event.duration)
        if event.state not in _WELL:
            totals.remember(event.state, self._exemplar(event))
        self._touched.add(task)

    def _task_retrying(self, event: Event) -> None:
        task = self._tasks[event.flow, event.task, event.environment]
        task.totals.retries += 1
        task.totals.seen = event.received
        self._touched.add(task)

    def _measured(self, event: Any) -> None:
        measure = self._ledger.measures[event.flow, event.task, event.environment, event.name]
        measure.totals.state(event.value, event.time, event.id)
        measure.totals.seen = event.received
        self._touched.add(measure)

    # --- histograms of tasks --------------------------------------------------------------------------------------

    def note_asking(self) -> None:
        """Find out anew whether any flow asks."""
        self._asking = bool(self._patterns) or any(flow.totals.task_histograms for flow in self._flows.values())

    def _asks(self, flow: str, environment: str) -> bool:
        declared = self._flows.known(flow, environment)
        asked = declared is not None and declared.totals.task_histograms
        return asked or any(fnmatchcase(flow, pattern) for pattern in self._patterns)

    def _give_histogram(self, totals: TaskTotals) -> None:
        totals.histogram = Histogram(bounds=self._ledger.settings.duration_buckets)
        self._own.totals.task_histograms = True

    def adopt_settings(self) -> None:
        """Count what was restored by the buckets of today, and no task by buckets that nobody asks for any more."""
        settings = self._ledger.settings
        for flow in self._flows.values():
            if flow.totals.adopt(settings.duration_buckets, settings.delay_buckets):
                self._touched.add(flow)
        for task in self._tasks.values():
            self._adopt_task(task)
        has = any(task.totals.histogram is not None for task in self._tasks.values())
        if has != self._own.totals.task_histograms:
            self._own.totals.task_histograms = has
            self._touched.add(self._own)

    def _adopt_task(self, task: Subject[TaskTotals]) -> None:
        totals = task.totals
        if totals.histogram is None:
            return
        if not self._asks(task.labels[0], task.labels[2]):
            totals.histogram = None
            self._touched.add(task)
        elif totals.histogram.adopt(self._ledger.settings.duration_buckets):
            totals.seconds, totals.timed = 0.0, 0
            self._touched.add(task)


_WELL: Final = frozenset({"completed", "cached", "skipped", "cancelled"})
