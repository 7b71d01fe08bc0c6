"""A run of a flow: its parameters, its place in the family of runs, and its events."""

from __future__ import annotations

import os
from _weakref import ref  # what weakref.ref is, without loading weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from time import process_time_ns, time_ns
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flowtell.bus import emit, settings
from flowtell.engine import context
from flowtell.engine.provenance import ATOMS, Origins
from flowtell.engine.runs import Run
from flowtell.engine.scope import BACKFILL, OUTSIDE, Scope
from flowtell.engine.states import State
from flowtell.errors import ParameterError
from flowtell.events import FlowRunFinished, FlowRunPending, FlowRunRetrying, FlowRunStarted, FlowRunWaiting
from flowtell.ids import new_id

if TYPE_CHECKING:
    from flowtell.engine.assignments import Assignment
    from flowtell.engine.flows import Flow
    from flowtell.engine.futures import Future
    from flowtell.engine.inputs import Inputs
    from flowtell.engine.letters import Letters
    from flowtell.events import WaitsOn


class FlowRun(Run):
    """One execution of a flow; a child of the run that called it, if one did."""

    kind = "flow"
    retrying_event: Callable[..., FlowRunRetrying] = FlowRunRetrying
    finished_event: Callable[..., FlowRunFinished] = FlowRunFinished

    work: Flow[..., Any]
    tags: tuple[str, ...]
    parameters: Mapping[str, Any] = MappingProxyType({})
    parent_task_run: str = ""
    _name: str = ""
    _refusal: ParameterError | None = None
    _captures_prints: bool = False
    deployment: str = ""
    due: int | None = None
    cause: str = ""
    parent_span: str = ""
    """Of the caller, where the run joined a trace that is not flowtell's."""
    returned: State | None = None
    """What its function returned, where that was a state."""
    letters: Letters | None = None
    """What it was told at its pauses, once it had one."""

    def __init__(
        self,
        flow: Flow[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        assignment: Assignment | None = None,
        *,
        wait_for: Any = None,
    ) -> None:
        outer = context.current.get()
        self.id, self._process = new_id() if assignment is None else assignment.run, context.process
        self.work, self.tags = flow, flow.tags
        self.outer = OUTSIDE if outer is None else outer.scope
        self.function, self.args, self.kwargs = flow.fn, args, kwargs
        self.log_prints = flow.log_prints if flow.log_prints is not None else outer is not None and outer.log_prints
        self.parent_run = self.outer.run
        if outer is not None and outer.kind == "task":
            self.parent_task_run, self.caller = outer.id, outer
        self.scope = self._own_scope(is_called=assignment is None)
        self.scope.owner = ref(self)
        self.cause = self.outer.cause
        if assignment is not None:
            self._take(assignment)
        self.inputs = self._look_at_inputs(wait_for)
        self.awaited = () if self.inputs is None else self.inputs.futures
        self._look_at_limits()

    def _look_at_limits(self) -> None:
        from flowtell.engine.limiting import admission_for

        self.admission = admission_for(self, self.work.name, self.tags, self.work.concurrency_limit)
        if self.admission is not None:
            self.awaited = (*self.awaited, self.admission)

    def _own_scope(self, *, is_called: bool) -> Scope:
        outer, flow = self.outer, self.work
        is_root = not outer.run
        trace, sampled = self._own_trace(is_called=is_called) if is_root else (outer.trace, outer.sampled)
        return Scope(
            run=self.id,
            flow=flow.name,
            deployment=outer.deployment,
            due=outer.due,
            cause=outer.cause,
            caused_by=outer.caused_by,
            hops=outer.hops,
            root_run=outer.root_run or outer.run,
            trace=trace,
            sampled=sampled,
            origins=Origins() if is_root else outer.origins,
            runner=flow.task_runner or outer.runner,
        )

    def _own_trace(self, *, is_called: bool) -> tuple[str, bool]:
        """The trace of a root run and whether it is kept. What a schedule begins is in nobody's: it would never end."""
        from flowtell.engine.spans import load_if_asked
        from flowtell.trace_context import caller_context, is_kept

        load_if_asked()
        caller = caller_context() if is_called else None
        if caller is None:
            return self.id, is_kept(self.id)
        self.parent_span = caller.span
        return caller.trace, caller.sampled

    def _take(self, assignment: Assignment) -> None:
        """Say in all events which deployment and due time the run answers, and what it is part of."""
        self.deployment, self.due, self.cause = assignment.deployment, assignment.due, assignment.cause
        self.scope.deployment, self.scope.due = assignment.deployment, assignment.due
        self.scope.cause = BACKFILL if assignment.cause == BACKFILL else ""
        self.scope.caused_by, self.scope.hops = assignment.caused_by, assignment.hops
        if (outer := assignment.outer) is not None:
            self.parent_run = outer.run
            self.scope.root_run, self.scope.trace, self.scope.sampled = outer.root_run, outer.trace, outer.sampled
        self.tags = tuple(sorted({*self.work.tags, *assignment.tags}))
        which: dict[str, Any] = {
            "deployment": self.deployment, "due": self.due, "caused_by": assignment.caused_by, "hops": assignment.hops
        }  # fmt: skip
        self.retrying_event = partial(FlowRunRetrying, **which)
        self.finished_event = partial(FlowRunFinished, **which)

    def _look_at_inputs(self, wait_for: Any) -> Inputs | None:
        if not wait_for and ATOMS.issuperset(map(type, self.args)) and ATOMS.issuperset(map(type, self.kwargs.values())):
            return None
        from flowtell.engine.inputs import Inputs

        return Inputs(self.work, self.args, self.kwargs, wait_for=wait_for, origins=self.scope.origins)

    def cpu_ns(self, now: int) -> int:
        return process_time_ns()

    @property
    def name(self) -> str:
        return self._name or self.work.name

    def call_unlimited(self) -> Any:
        if self._refusal is not None:
            raise self._refusal
        if self.admission is not None:
            self.admission.enter()
        if self.attempt == 1 and os.path.isdir(os.path.join(settings().home, "transactions")):
            from flowtell.engine.transaction_recovery import end_what_was_left

            end_what_was_left(self)
        return super().call_unlimited()

    def end(self, state: str, error: BaseException | None = None, result: Any = None) -> None:
        try:
            super().end(state, error, result)
        finally:
            if self.admission is not None and self._process is context.process:
                self.admission.leave()

    def complete(self, result: Any) -> Any:
        """A function that returns a state ends its run so: see `flowtell.states`."""
        if type(result) is not State:
            return super().complete(result)
        self.returned = result
        self.end(str(result), result.error, result.value)
        if result.error is not None:
            raise result.error
        return result.value

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
        self.scope.parameters = self.parameters
        if not self.outer.run:
            self.scope.origins.outside = tuple(one for one in self.parameters.values() if type(one) in ATOMS)
        if self.scope.origins:
            for name, value in given.items():
                if (converted := self.parameters.get(name)) is not value:
                    self.scope.origins.hand_on(value, converted)

    def _close(self, state: str, error: BaseException | None, result: Any) -> None:
        """What still runs inside is cancelled: no run outlives the one around it."""
        for run in list(self.scope.open.values()):
            run.cancel()
        self.scope.close()
        if self.caller is not None and state == "completed":
            self._bring_home(result, self.caller)
        self.caller = None
        if self._captures_prints:
            from flowtell.engine.prints import release_prints

            self._captures_prints = False
            release_prints()

    def _bring_home(self, result: Any, caller: Run) -> None:
        """What its tasks returned comes with its result into the task that called it."""
        from flowtell.engine.task_runs import receive

        for source in self.scope.origins.sources(result):
            receive(caller, source, "object")

    def say_waiting(self, on: tuple[WaitsOn, ...], *, first: bool) -> None:
        from flowtell.engine.declarations import declare_flow

        now, scope = time_ns() // 1000, self.scope
        which: dict[str, Any] = {
            "run": self.id, "root_run": scope.root_run, "flow": scope.flow, "deployment": self.deployment, "due": self.due
        }  # fmt: skip
        if first:
            declare_flow(self.work)
            emit(FlowRunPending(id=new_id(now), time=now, tags=self.tags, parent_run=self.parent_run, **which))
        emit(FlowRunWaiting(id=new_id(now), time=now, reason="limit", on=on, **which))

    def _after_end(self) -> None:
        self.args, self.kwargs = (), {}
        if self.letters is not None:
            self.letters.close()
        if not self.parent_run:
            from flowtell.engine.farewell import say_where_to_look

            say_where_to_look(self)

    def _say_started(self, now: int) -> None:
        from flowtell.engine.capture import captured

        flow = self.work
        emit(
            FlowRunStarted(
                id=new_id(now), time=now, run=self.id, root_run=self.scope.root_run, flow=flow.name, attempt=self.attempt,
                name=self._name, tags=self.tags, parent_run=self.parent_run, parent_task_run=self.parent_task_run,
                trace=self.scope.trace, sampled=self.scope.sampled, parent_span=self.parent_span,
                parameters=captured(self.parameters), version=flow.version, deployment=self.deployment, due=self.due,
                cause=self.cause, caused_by=self.scope.caused_by, hops=self.scope.hops,
            )
        )  # fmt: skip
