"""A run of a task: where its arguments came from, and its events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import time_ns
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from flowtell.bus import emit
from flowtell.engine import context
from flowtell.engine.provenance import ATOMS
from flowtell.engine.runs import Run
from flowtell.engine.scope import OUTSIDE
from flowtell.engine.usage import thread_cpu_ns
from flowtell.errors import RunCancelled
from flowtell.events import TaskRunFinished, TaskRunPending, TaskRunRetrying, TaskRunStarted, TaskRunWaiting
from flowtell.ids import new_id

if TYPE_CHECKING:
    from flowtell.engine.futures import Future
    from flowtell.engine.inputs import Inputs
    from flowtell.engine.lineage import Lineage
    from flowtell.engine.tasks import Task
    from flowtell.events import UpstreamAsset, WaitsOn


class TaskRun(Run):
    """One execution of a task, in a flow run or by itself."""

    kind = "task"
    retrying_event = TaskRunRetrying
    finished_event: Callable[..., TaskRunFinished] = TaskRunFinished

    work: Task[..., Any]
    map_index: int | None = None
    runner: str = ""
    """What kind of thread it was handed to; empty where it runs in its caller's."""
    lineage: Lineage | None = None
    provides: Mapping[str, UpstreamAsset] = MappingProxyType({})
    """The assets that its result is made of, by key."""
    is_incomplete: bool = False
    """Whether its result may be made of more than `provides`."""
    keeps: ClassVar[bool] = False
    """Whether its result is kept, with what it told of assets."""
    is_known: bool = False
    """Whether its result is known, and its body need not run."""
    written: tuple[Any, ...] | None = None
    """Values that stand in the code that called it, see `unfollowed`; None where nothing had brought assets by then."""
    _name: str = ""

    def __init__(self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any = None) -> None:
        outer = context.current.get()
        self.id = self.task_run = new_id()
        self.work, self.task, self._process = task, task.name, context.process
        self.scope = self.outer = scope = OUTSIDE if outer is None else outer.scope
        self.function, self.args, self.kwargs = task.fn, args, kwargs
        self.log_prints = task.log_prints if task.log_prints is not None else outer is not None and outer.log_prints
        self.dynamic_key = str(scope.next_number(task.name))
        if outer is not None and outer.kind == "task":
            self.caller = outer
        if scope.origins.bring:
            self.written = _written_by_caller()
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

    @property
    def upstream_futures(self) -> list[Future[Any]]:
        """What must have ended before it can run."""
        return [] if self.inputs is None else list(self.inputs.futures)

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

    def say_waiting(self, on: tuple[WaitsOn, ...], *, first: bool, reason: str = "limit") -> None:
        if first and self.future is None:  # what was submitted has said so
            self.say_pending()
        now, scope = time_ns() // 1000, self.outer
        emit(
            TaskRunWaiting(
                id=new_id(now), time=now, run=scope.run, root_run=scope.root_run, flow=scope.flow, task_run=self.id,
                task=self.work.name, reason=reason, on=on,
            )
        )  # fmt: skip

    def open_early(self) -> None:
        """Have ready what its body is given, before an attempt begins.

        Raises:
            UpstreamFailed: something that it was to be given did not end well.
        """
        if self.attempt == 0:
            self._open(time_ns() // 1000)

    def _open(self, now: int) -> None:
        if self.inputs is not None:
            self.args, self.kwargs = self.inputs.resolved()
        if self.work.readies_itself:
            self._ready()
        if self.inputs is not None or self.work.touches_assets or self.written is not None:
            self.open_lineage()

    def _ready(self) -> None:
        if self.work.run_name is not None and not self._name:
            from flowtell.engine.run_names import run_name

            self._name = run_name(self.work, self.args, self.kwargs)
        if self.work.log_prints and not self.is_elsewhere:
            from flowtell.engine.prints import recording_prints

            self.function = recording_prints(self.function, self.work.colour)

    def open_lineage(self) -> Lineage:
        """Its lineage, whose inputs are looked at when it is first asked for."""
        if self.lineage is None:
            from flowtell.engine.lineage import Lineage

            self.lineage = Lineage(self)
        return self.lineage

    def given(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments as they were passed, futures among them."""
        return (self.args, self.kwargs) if self.inputs is None else self.inputs.given

    def hand_out(self, value: Any) -> None:
        """What comes from a run that goes on comes from what that makes and reads all the same."""
        if self.lineage is not None:
            self.provides, self.is_incomplete = self.lineage.provides(), self.lineage.hands_on_unfollowed()
            self._leave_traces(value)

    def _leave_traces(self, value: Any) -> None:
        origins = self.scope.origins
        if self.provides:
            origins.note(value)
        if type(value) not in ATOMS:
            origins.record(value, self)

    def _close(self, state: str, error: BaseException | None, result: Any) -> None:
        if state == "completed" and self.scope.origins.bring and type(result) not in ATOMS:
            for source in self.scope.origins.sources(result):
                if source is not self:  # it came in by some other way than an argument, and goes out again
                    receive(self, source, "object")
        if self.lineage is not None or self.received or self.reads:
            lineage = self.open_lineage()
            self.provides = lineage.end(state, error, result)
            self.is_incomplete = lineage.hands_on_unfollowed()
        if state in ("completed", "cached"):
            self._leave_traces(result)
            if self.caller is not None and self.future is None:
                receive(self.caller, self, "object")
        self.caller = self.written = None
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
        if self.attempt > 1:
            self.received, self.received_unfollowed, self.reads = None, (), None
        if self.lineage is not None:
            self.lineage.begin() if self.attempt == 1 else self.lineage.begin_again()


def receive(run: Run, source: TaskRun, evidence: str) -> None:
    """The result of `source` has come into the body of `run`, without being an argument."""
    if not (source.provides or source.is_incomplete) or run.kind != "task":
        return
    from flowtell.engine.lineage import handed_on

    come = {key: handed_on(one, evidence) for key, one in source.provides.items()}
    run.received = {**come, **(run.received or {})}
    if source.is_incomplete and source.lineage is not None:
        inner = tuple(f"{source.work.name}.{argument}" for argument in source.lineage.incomplete())
        run.received_unfollowed = tuple(dict.fromkeys((*run.received_unfollowed, *inner)))


def _written_by_caller() -> tuple[Any, ...]:
    from flowtell.engine.unfollowed import written_by_caller

    return written_by_caller()


class TaggedTaskRun(TaskRun):
    """Of a task with tags, each of which may be limited; a run of any other task does not pay for looking."""

    def __init__(self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any = None) -> None:
        super().__init__(task, args, kwargs, wait_for)
        from flowtell.engine.limiting import admission_for

        self.admission = admission_for(self, "", task.tags)
        if self.admission is not None:
            self.awaited = (*self.awaited, self.admission)

    def call_unlimited(self) -> Any:
        if self.admission is not None:
            self.admission.enter()
        return super().call_unlimited()

    def end(self, state: str, error: BaseException | None = None, result: Any = None) -> None:
        try:
            super().end(state, error, result)
        finally:
            if self.admission is not None and self._process is context.process:
                self.admission.leave()
