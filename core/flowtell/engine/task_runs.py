"""A run of a task: where its arguments came from, and its events."""

from __future__ import annotations

from collections.abc import Mapping
from time import time_ns
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flowtell.bus import emit
from flowtell.engine import context
from flowtell.engine.provenance import ATOMS
from flowtell.engine.runs import Run
from flowtell.engine.scope import OUTSIDE
from flowtell.engine.usage import thread_cpu_ns
from flowtell.errors import RunCancelled
from flowtell.events import TaskRunFinished, TaskRunPending, TaskRunRetrying, TaskRunStarted
from flowtell.ids import new_id

if TYPE_CHECKING:
    from flowtell.engine.inputs import Inputs
    from flowtell.engine.lineage import Lineage
    from flowtell.engine.tasks import Task


class TaskRun(Run):
    """One execution of a task, in a flow run or by itself."""

    kind = "task"
    retrying_event = TaskRunRetrying
    finished_event = TaskRunFinished

    work: Task[..., Any]
    map_index: int | None = None
    runner: str = ""
    """What kind of thread it was handed to; empty where it runs in its caller's."""
    lineage: Lineage | None = None
    provides: Mapping[str, str] = MappingProxyType({})
    """The assets that its result is made of."""
    inputs: Inputs | None = None
    _name: str = ""

    def __init__(self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any = None) -> None:
        outer = context.current.get()
        self.id = self.task_run = new_id()
        self.work, self.task, self._process = task, task.name, context.process
        self.scope = self.outer = scope = OUTSIDE if outer is None else outer.scope
        self.function, self.args, self.kwargs = task.fn, args, kwargs
        self.log_prints = task.log_prints if task.log_prints is not None else outer is not None and outer.log_prints
        self.dynamic_key = str(scope.next_number(task.name))
        if (
            not ATOMS.issuperset(map(type, args))
            or wait_for
            or (kwargs and not ATOMS.issuperset(map(type, kwargs.values())))
        ):
            self.inputs = self._look_at_inputs(wait_for)
            self.awaited = self.inputs.futures

    def _look_at_inputs(self, wait_for: Any) -> Inputs:
        from flowtell.engine.inputs import Inputs

        return Inputs(self.work, self.args, self.kwargs, wait_for=wait_for, origins=self.scope.origins)

    def cpu_ns(self, now: int) -> int:
        return thread_cpu_ns(now)

    @property
    def name(self) -> str:
        return self._name or f"{self.work.name}-{self.dynamic_key}"

    def cancel(self) -> None:
        """End as cancelled; whoever waits for it is told."""
        self.end("cancelled")
        if self.future is not None:
            self.future.settle(None, RunCancelled(self.kind, self.name))

    def say_pending(self) -> None:
        """It has been submitted and has to wait."""
        now, scope = time_ns() // 1000, self.outer
        emit(
            TaskRunPending(
                id=new_id(now), time=now, run=scope.run, root_run=scope.root_run, flow=scope.flow, task_run=self.id,
                task=self.work.name, dynamic_key=self.dynamic_key, map_index=self.map_index, tags=self.work.tags,
                runner=self.runner,
            )
        )  # fmt: skip

    def _open(self, now: int) -> None:
        if self.inputs is not None:
            self.args, self.kwargs = self.inputs.resolved()
        if self.work.run_name is not None:
            self._name = self._chosen_name()
        if self.inputs is not None or self.work.touches_assets:
            self._open_lineage()

    def _chosen_name(self) -> str:
        from flowtell.engine.run_names import run_name

        return run_name(self.work, self.args, self.kwargs)

    def _open_lineage(self) -> None:
        from flowtell.engine.lineage import Lineage

        self.lineage = Lineage(self)

    def _close(self, state: str, error: BaseException | None, result: Any) -> None:
        if self.lineage is not None:
            self.provides = self.lineage.end(state, error)
        if type(result) not in ATOMS:
            self.scope.origins.record(result, self)
        if self.inputs is not None or self.future is not None:  # such a run may be remembered; its data is not
            self.args, self.kwargs, self.inputs, self.awaited = (), {}, None, ()

    def _say_started(self, now: int) -> None:
        scope, task, inputs = self.outer, self.work, self.inputs
        emit(
            TaskRunStarted(
                id=new_id(now), time=now, run=scope.run, root_run=scope.root_run, flow=scope.flow, task_run=self.id,
                task=task.name, attempt=self.attempt, dynamic_key=self.dynamic_key, map_index=self.map_index,
                upstream=() if inputs is None else inputs.upstream, name=self._name, tags=task.tags, runner=self.runner,
            )
        )  # fmt: skip
        if self.lineage is not None and self.attempt == 1:
            self.lineage.begin()
