"""A run of a flow: its parameters, its place in the family of runs, and its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import process_time_ns
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flowtell.bus import emit
from flowtell.engine import context
from flowtell.engine.provenance import ATOMS, Origins
from flowtell.engine.runs import Run
from flowtell.engine.scope import OUTSIDE, Scope
from flowtell.engine.trace import trace_of_caller
from flowtell.errors import ParameterError
from flowtell.events import FlowRunFinished, FlowRunRetrying, FlowRunStarted
from flowtell.ids import new_id

if TYPE_CHECKING:
    from flowtell.engine.flows import Flow
    from flowtell.engine.futures import Future
    from flowtell.engine.inputs import Inputs


class FlowRun(Run):
    """One execution of a flow; a child of the run that called it, if one did."""

    kind = "flow"
    retrying_event = FlowRunRetrying
    finished_event = FlowRunFinished

    work: Flow[..., Any]
    parameters: Mapping[str, Any] = MappingProxyType({})
    inputs: Inputs | None
    _name: str = ""
    _refusal: ParameterError | None = None
    _captures_prints: bool = False

    def __init__(self, flow: Flow[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        outer = context.current.get()
        self.id, self._process = new_id(), context.process
        self.work = flow
        self.outer = OUTSIDE if outer is None else outer.scope
        self.function, self.args, self.kwargs = flow.fn, args, kwargs
        self.log_prints = flow.log_prints if flow.log_prints is not None else outer is not None and outer.log_prints
        self.parent_run = self.outer.run
        self.parent_task_run = outer.id if outer is not None and outer.kind == "task" else ""
        self.scope = self._own_scope()
        self.inputs = self._look_at_inputs()
        self.awaited = () if self.inputs is None else self.inputs.futures

    def _own_scope(self) -> Scope:
        outer, flow = self.outer, self.work
        is_root = not outer.run
        return Scope(
            run=self.id,
            flow=flow.name,
            root_run=outer.root_run or outer.run,
            trace=trace_of_caller() or self.id if is_root else outer.trace,
            origins=Origins() if is_root else outer.origins,
            runner=flow.task_runner or outer.runner,
        )

    def _look_at_inputs(self) -> Inputs | None:
        if ATOMS.issuperset(map(type, self.args)) and ATOMS.issuperset(map(type, self.kwargs.values())):
            return None
        from flowtell.engine.inputs import Inputs

        return Inputs(self.work, self.args, self.kwargs, origins=self.scope.origins)

    def cpu_ns(self, now: int) -> int:
        return process_time_ns()

    @property
    def name(self) -> str:
        return self._name or self.work.name

    def call_unlimited(self) -> Any:
        if self._refusal is not None:
            raise self._refusal
        return super().call_unlimited()

    @property
    def unfinished(self) -> Iterable[Future[Any]]:
        """Futures of the tasks submitted inside, which must end before the run may."""
        if self._process is not context.process:  # a forked child that got here: its parent's threads are not in it
            return []
        return [run.future for run in list(self.scope.open.values()) if run.future is not None]

    def settled(self, result: Any) -> Any:
        """The result with what is still a future in it replaced by its value."""
        if type(result) in ATOMS:
            return result
        from flowtell.engine.containers import replace
        from flowtell.engine.futures import Future

        return replace(result, lambda item: item.result() if isinstance(item, Future) else item)

    def _may_retry(self, error: BaseException, end: str) -> bool:
        return error is not self._refusal and super()._may_retry(error, end)

    def _open(self, now: int) -> None:
        from flowtell.engine.declarations import declare_flow

        declare_flow(self.work)
        self._take_parameters()
        if self.work.run_name is not None:
            from flowtell.engine.run_names import run_name

            self._name = run_name(self.work, self.args, self.kwargs)
        if self.log_prints:
            from flowtell.engine.prints import capture_prints

            self._captures_prints = True
            capture_prints()

    def _take_parameters(self) -> None:
        """Check and convert what was passed; a refusal is raised once the run has started, and fails it."""
        if self.inputs is not None:
            self.args, self.kwargs = self.inputs.resolved()
            self.inputs = None
        given = self.work.parameters.named(self.args, self.kwargs)
        try:
            self.args, self.kwargs, self.parameters = self.work.parameters.fit(self.args, self.kwargs)
        except ParameterError as error:
            self._refusal, self.parameters = error, given
        if self.scope.origins:
            for name, value in given.items():
                if (converted := self.parameters.get(name)) is not value:
                    self.scope.origins.hand_on(value, converted)

    def _close(self, state: str, error: BaseException | None, result: Any) -> None:
        """What still runs inside is cancelled: no run outlives the one around it."""
        for run in list(self.scope.open.values()):
            run.cancel()
        self.scope.close()
        if self._captures_prints:
            from flowtell.engine.prints import release_prints

            self._captures_prints = False
            release_prints()

    def _after_end(self) -> None:
        self.args, self.kwargs = (), {}
        if not self.parent_run:
            from flowtell.engine.farewell import say_where_to_look

            say_where_to_look(self)

    def _say_started(self, now: int) -> None:
        from flowtell.engine.capture import captured

        flow = self.work
        emit(
            FlowRunStarted(
                id=new_id(now), time=now, run=self.id, root_run=self.scope.root_run, flow=flow.name, attempt=self.attempt,
                name=self._name, tags=flow.tags, parent_run=self.parent_run, parent_task_run=self.parent_task_run,
                trace=self.scope.trace, parameters=captured(self.parameters), version=flow.version,
            )
        )  # fmt: skip
