"""Events of flowtell, in the log's order, as OpenLineage events: one START and one end for each run, data with the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from msgspec import Struct
from openlineage.client.event_v2 import DatasetEvent, JobEvent, Run, RunEvent, RunState

from flowtell import events as e
from flowtell.events import Event, FlowDeclared
from flowtell_lineage.jobs import OWN, Job
from flowtell_lineage.openlineage.receiving.runs import SOURCE
from flowtell_lineage.openlineage.sending import datasets, run_facets
from flowtell_lineage.openlineage.sending.words import PRODUCER, STATES, job, moment, uuid
from flowtell_lineage.spelling import in_one_spelling

Sent = RunEvent | JobEvent | DatasetEvent
Names = tuple[str, str]
"""A run's flow and task."""

STARTS: Final = (e.FlowRunStarted, e.TaskRunStarted)
ENDS: Final = (e.FlowRunFinished, e.TaskRunFinished)
TOUCHED: Final = (
    e.AssetMaterializing, e.AssetMaterialized, e.AssetFailed, e.AssetCached, e.AssetObserved, e.AssetChecked,
)  # fmt: skip
WANTED: Final = (*STARTS, *ENDS, *TOUCHED, e.AssetDeclared, e.AssetRemoved, FlowDeclared)


class Step(NamedTuple):
    """What one event of the log leads to."""

    sent: tuple[Sent, ...] = ()
    keep: bool = False
    """Its run needs it again when it ends."""
    forget: str = ""
    """A run whose events are needed no more."""


class Open(Struct):
    """A run that has started and not ended."""

    start: Any
    told: list[Event]


def _nobody(run: str, task_run: str) -> Names | None:
    return None


class Emitter:
    """For one thread.

    Args:
        namespace: of the jobs that are flows and tasks of our own.
        received: whether runs that came in as OpenLineage events go out, too.
        look_up: flow and task of a flow run, or of a task run of it, that was not seen to start: one from before a restart.
    """

    def __init__(
        self, *, namespace: str = OWN, received: bool = False, look_up: Callable[[str, str], Names | None] = _nobody
    ) -> None:
        self._namespace, self._received, self._look_up = namespace, received, look_up
        self._open: dict[str, Open] = {}
        self._flows: dict[str, FlowDeclared] = {}

    def remember(self, event: Event) -> None:
        """Take an event that was kept, or what a flow said of itself, without sending anything of it."""
        self.take(event)

    def take(self, event: Event) -> Step:
        """What to send now, and whether to keep the event until its run ends."""
        if event.source == SOURCE and not self._received:
            return Step()
        if isinstance(event, TOUCHED):
            return self._touched(in_one_spelling(event))
        if isinstance(event, STARTS):
            return self._started(event)
        if isinstance(event, ENDS):
            return self._ended(event)
        if isinstance(event, FlowDeclared):
            return self._declared(event)
        if isinstance(event, e.AssetDeclared):
            return Step((self._of_dataset(event, datasets.declared(in_one_spelling(event))),))
        return (
            Step((self._of_dataset(event, datasets.removed(in_one_spelling(event).asset)),)) if _removes(event) else Step()
        )

    # --- runs ---------------------------------------------------------------------------------------------------------

    def _started(self, event: Any) -> Step:
        run = run_of(event)
        if event.contrary or event.attempt > 1 or run in self._open or not run:
            return Step()
        self._open[run] = Open(event, [])
        return Step((self._run_event(event, "START", event),), keep=True)

    def _ended(self, event: Any) -> Step:
        if event.contrary or not run_of(event):
            return Step()
        known = self._open.pop(run_of(event), None)
        if known is not None:
            return Step((self._end(event, known),), forget=run_of(event))
        if event.state == "skipped":  # nothing ran
            return Step()
        start = self._run_event(event, "START", None, event.time - int(1e6 * (event.duration or 0)))
        return Step((start, self._end(event, Open(None, []))))

    def _end(self, event: Any, known: Open) -> RunEvent:
        kind = STATES[event.state]
        told = datasets.gathered(known.told)
        made = self._run_event(event, kind, known.start, sql=_sql(told))
        made.run.facets = {**(made.run.facets or {}), **run_facets.failure(event)}
        made.inputs = datasets.inputs(told)
        made.outputs = datasets.outputs(told, "materialized" if kind == "COMPLETE" else "failed")
        return made

    def _run_event(self, event: Any, kind: str, start: Any, time: int = 0, *, sql: str = "") -> RunEvent:
        facets = run_facets.of_run(event, start)
        if above := self._above(event, start):
            facets["parent"] = above
        return RunEvent(
            eventType=RunState[kind],
            eventTime=moment(time or event.time),
            run=Run(runId=uuid(run_of(event)), facets=facets),
            job=self._job(event, sql),
            producer=PRODUCER,
        )

    def _job(self, event: Event, sql: str = "") -> Any:
        found = self._job_of(event.flow, event.task)
        if event.task_run:
            return run_facets.element(found, "TASK", sql=sql)
        return run_facets.element(found, "FLOW", self._flows.get(event.flow), sql)

    def _job_of(self, flow: str, task: str = "") -> Job:
        return job(flow, task, self._namespace)

    def _above(self, event: Event, start: Any) -> Any:
        """Its parent: of a task run its flow run, of a subflow's run the task run or flow run that called it."""
        flow_run, task_run = (event.run, "") if event.task_run else _caller(start)
        parent = task_run or flow_run
        if not parent:
            return None
        names = (event.flow, "") if event.task_run else self._names(flow_run, task_run)
        root = event.root_run or flow_run
        root_names = names if root == parent else self._names(root)
        return run_facets.parent(parent, self._job_of(*names), root, self._job_of(*root_names))

    def _names(self, run: str, task_run: str = "") -> Names:
        known = self._open.get(task_run or run)
        return (known.start.flow, known.start.task) if known else self._look_up(run, task_run) or ("", "")

    # --- assets and flows ---------------------------------------------------------------------------------------------

    def _touched(self, event: Any) -> Step:
        """With its run's end; by itself where there is none, or where that has gone already."""
        known = self._open.get(run_of(event))
        if known is not None:
            known.told.append(event)
            return Step(keep=True)
        told = datasets.gathered([event])
        if not run_of(event):
            return Step(tuple(self._of_dataset(event, datasets.observed(one)) for one in told if one.asset == event.asset))
        made = self._run_event(event, "OTHER", None, sql=_sql(told))
        made.inputs, made.outputs = datasets.inputs(told), datasets.outputs(told, "")
        return Step((made,))

    def _of_dataset(self, event: Event, dataset: Any) -> DatasetEvent:
        return DatasetEvent(eventTime=moment(event.time), dataset=dataset, producer=PRODUCER)

    def _declared(self, event: FlowDeclared) -> Step:
        """A job's event where a flow says something new of itself."""
        before, self._flows[event.flow] = self._flows.get(event.flow), event
        if before is not None and _said(before) == _said(event):
            return Step()
        element = run_facets.element(self._job_of(event.flow), "FLOW", event)
        return Step((JobEvent(eventTime=moment(event.time), job=element, producer=PRODUCER),))


def run_of(event: Event) -> str:
    return event.task_run or event.run


def _caller(start: Any) -> tuple[str, str]:
    """Flow run and task run that a subflow's run was called by."""
    return getattr(start, "parent_run", ""), getattr(start, "parent_task_run", "")


def _removes(event: Event) -> bool:
    return isinstance(event, e.AssetRemoved)


def _said(flow: FlowDeclared) -> tuple[Any, ...]:
    return flow.description, flow.owners, flow.tags, flow.code, flow.version, flow.commit


def _sql(told: list[datasets.Told]) -> str:
    """A job has one statement: its last."""
    found: Iterator[str] = (one.facts["sql"] for one in reversed(told) if "sql" in one.facts)
    return next(found, "")
