"""The life of one run: what happens at its start, after a failed attempt and at its end.

The drivers call `begin`, then the function, then `again` or `complete`. All events of flow and task runs are made here
and in the two classes below it, whatever the colour of the function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any, ClassVar

from flowtell.bus import emit
from flowtell.engine import context
from flowtell.engine.results import result_of
from flowtell.engine.states import State, end_of
from flowtell.engine.usage import peak_memory
from flowtell.errors import CannotCross, RunTimedOut, WorkerDied
from flowtell.ids import new_id

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from flowtell.engine.admission import Admission
    from flowtell.engine.futures import Future
    from flowtell.engine.inputs import Inputs
    from flowtell.engine.reuse import Reuse
    from flowtell.engine.scope import Scope
    from flowtell.engine.work import Work
    from flowtell.events import (
        Failure,
        FlowRunFinished,
        FlowRunRetrying,
        TaskRunFinished,
        TaskRunRetrying,
        UpstreamAsset,
        WaitsOn,
    )


class Run:
    """One execution of a flow or task. `scope` is what new runs join that start inside it."""

    kind: ClassVar[str]
    retrying_event: Callable[..., FlowRunRetrying | TaskRunRetrying]
    finished_event: Callable[..., FlowRunFinished | TaskRunFinished]

    id: str
    work: Work[..., Any]
    scope: Scope
    outer: Scope
    """What this run itself has joined."""
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    log_prints: bool

    task_run: str = ""
    task: str = ""
    """Of a task run its id and its task's name, as events carry them."""

    # on the class: a run that has no need of them does not pay for them
    attempt: int = 0
    """The one that runs or ran last; 0 before the first."""
    lost: int = 0
    """Attempts that another worker has begun anew, which use up no retry."""
    delay: float = 0.0
    """Seconds to wait before the next attempt."""
    state: str = "pending"
    started: int = 0
    """When the first attempt began, in µs since the epoch."""
    awaited: Iterable[Future[Any] | Admission | Reuse] = ()
    """Futures that must end before the first attempt; then what lets the run in, where it is under a limit; then what looks
    whether its result is known."""
    admission: Admission | None = None
    inputs: Inputs | None = None
    """Where something among the arguments has to be waited for or followed."""
    future: Future[Any] | None = None
    """Whoever waits for a submitted run waits for this."""
    caller: Run | None = None
    """The task run whose body called this one, until it ends."""
    received: dict[str, UpstreamAsset] | None = None
    """Assets behind what tasks and flows called in the body returned to it, by key."""
    received_unfollowed: tuple[str, ...] = ()
    reads: list[UpstreamAsset] | None = None
    """What the body said that it has read."""
    traced_before: Any = None
    """OpenTelemetry's context around the run, while the run's own is current."""
    is_elsewhere: bool = False
    """Whether its body runs in another process, which keeps to its time."""
    _began: int = 0
    _cpu: int = 0
    _process: object
    """The process that the run belongs to, see `context.process`."""

    # --- what the drivers call

    def begin(self) -> Run:
        """An attempt starts now."""
        self.attempt += 1
        now = time_ns() // 1000
        if self.attempt == 1:
            self.started = now
            self.outer.open[self.id] = self
            self._began = perf_counter_ns()
            self._cpu = self.cpu_ns(self._began)
            if self.work.retries.times:
                _load_what_failing_takes()
            self._open(now)
        self.state = "running"
        self._say_started(now)
        if self.work.hooks:
            self._call_hooks(State("running"))
        return self

    def call(self) -> Any:
        """Call the function, within its time."""
        if self.work.timeout_seconds is None or self.is_elsewhere:
            return self.call_unlimited()
        return self.within_time(self.call_unlimited)

    def call_unlimited(self) -> Any:
        """Call the function; for what only makes a coroutine or generator, whose steps are what takes time."""
        return self.function(*self.args, **self.kwargs)

    def within_time(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call `function`, interrupted or left alone when the attempt's time is up."""
        seconds = self.work.timeout_seconds
        if seconds is None:
            return function(*args)
        from flowtell.engine.timeouts import limited

        return limited(lambda: function(*args), seconds, self._too_long())

    def deadline(self) -> AbstractAsyncContextManager[None]:
        """Around what a coroutine function awaits: cancels it when the attempt's time is up."""
        seconds = self.work.timeout_seconds
        if seconds is None:
            return _NO_DEADLINE
        from flowtell.engine.timeouts import cancelled_after

        return cancelled_after(seconds, self._too_long())

    def again(self, error: BaseException) -> bool:
        """An attempt failed. True when another is to follow after `delay` seconds, else the run has ended."""
        try:
            return self._judge(error)
        except BaseException as interruption:  # a Ctrl-C in the middle of it
            self.end(end_of(interruption, self.work.colour), interruption)
            raise

    def _judge(self, error: BaseException) -> bool:
        end = end_of(error, self.work.colour)
        if (end in ("failed", "timed_out") or isinstance(error, WorkerDied)) and self._may_retry(error, end):
            self.delay = self.work.retries.delay_after(self.attempt)
            self.state = "retrying"
            self._say_retrying(error)
            if self.admission is not None:
                self.admission.leave(for_now=True)
            return True
        self.end(end, error)
        return False

    def complete(self, result: Any) -> Any:
        """The last attempt returned `result`."""
        self.end("completed", None, result)
        return result

    def hand_out(self, value: Any) -> None:
        """A generator's run yields `value` before its end."""

    # --- the end

    def end(self, state: str, error: BaseException | None = None, result: Any = None) -> None:
        """Write how the run ended, once, and only in the process that it began in: a forked child ends without a word."""
        identifier = new_id()
        if self.state in _ENDED or self._process is not context.process:
            return
        self.state = state
        try:
            self._write_end(identifier, state, error, result)
        except BaseException:  # a Ctrl-C in the middle of it: the end is written all the same, as one event
            self._write_end(identifier, state, error, result)
            raise
        self.outer.open.pop(self.id, None)
        if self.work.hooks:
            self._call_hooks(State(state, error))
        self._after_end()

    def leave_open(self) -> None:
        """This process ends, and the run does not: another process begins it again."""
        self._process = object()

    @property
    def seconds(self) -> float:
        """Since the first attempt began."""
        return (perf_counter_ns() - self._began) // 1000 / 1e6 if self.attempt else 0.0

    def _write_end(self, identifier: str, state: str, error: BaseException | None, result: Any) -> None:
        ended = perf_counter_ns()
        ran = self.attempt > 0
        cpu = (self.cpu_ns(ended) - self._cpu) // 1000 / 1e6 if ran else None
        self._close(state, error, result)
        scope = self.scope
        emit(
            self.finished_event(
                id=identifier, time=time_ns() // 1000, run=scope.run, root_run=scope.root_run, flow=scope.flow,
                task_run=self.task_run, task=self.task, state=state,
                error=_told(error) if error is not None and state != "completed" else None,
                duration=(ended - self._began) // 1000 / 1e6 if ran else None, attempts=self.attempt or 1, cpu_seconds=cpu,
                peak_memory=peak_memory(ended), result=None if result is None else result_of(result),
                signal="" if error is None else _signal_behind(error),
            )
        )  # fmt: skip

    def _say_retrying(self, error: BaseException) -> None:
        now, scope = time_ns() // 1000, self.scope
        emit(
            self.retrying_event(
                id=new_id(now), time=now, run=scope.run, root_run=scope.root_run, flow=scope.flow, task_run=self.task_run,
                task=self.task, attempt=self.attempt, delay=self.delay, error=_told(error),
            )
        )  # fmt: skip

    def cancel(self) -> None:
        """End as cancelled because what surrounds it has ended."""
        self.end("cancelled")

    def _may_retry(self, error: BaseException, end: str) -> bool:
        retries = self.work.retries
        if self.attempt - self.lost > retries.times or self.attempt == 0 or isinstance(error, CannotCross):
            return False
        if retries.condition is None:
            return True
        from flowtell.engine.hooks import answer

        return bool(answer(retries.condition, self, State(end, error), default=False))

    def _too_long(self) -> RunTimedOut:
        return RunTimedOut(self.kind, self.work.name, self.work.timeout_seconds or 0.0)

    def _call_hooks(self, state: State) -> None:
        from flowtell.engine.hooks import call_hooks

        call_hooks(self, state)

    def was_lost(self, error: BaseException) -> None:
        """Whoever ran the attempt is gone, and another has begun the next one."""
        if self.has_ended():
            return
        self.lost, self.delay = self.lost + 1, 0.0
        self._say_retrying(error)
        self.attempt += 1
        self._say_started(time_ns() // 1000)

    def has_ended(self) -> bool:
        return self.state in _ENDED

    # --- what flow runs and task runs do differently

    def cpu_ns(self, now: int) -> int:
        """The CPU clock that measures this run, at `now` of `perf_counter_ns`."""
        raise NotImplementedError

    def _open(self, now: int) -> None:
        """Before the first attempt."""

    def _close(self, state: str, error: BaseException | None, result: Any) -> None:
        """Before the end is written."""

    def say_waiting(self, on: tuple[WaitsOn, ...], *, first: bool) -> None:
        """It cannot begin, as others hold what limits it."""
        raise NotImplementedError

    def _after_end(self) -> None:
        """After the end has been written and the hooks were called."""

    def _say_started(self, now: int) -> None:
        raise NotImplementedError

    @property
    def name(self) -> str:
        raise NotImplementedError


def _signal_behind(error: BaseException) -> str:
    """The name of the signal that killed a worker, or became a Ctrl-C's exception, where its handler says so."""
    named = getattr(error, "signal", "") if isinstance(error, KeyboardInterrupt | WorkerDied) else ""
    return named if isinstance(named, str) else ""


def _load_what_failing_takes() -> None:
    """Before an attempt that another may follow: nothing is imported between its failure and the wait for the next one.

    Python drops a Ctrl-C that hits it while a module's lock goes, in a callback of a weak reference ("Exception ignored
    in"), and the run would wait on.
    """
    import traceback  # noqa: F401

    from flowtell.engine import failure, hooks  # noqa: F401


def _told(error: BaseException) -> Failure:
    from flowtell.engine.failure import failure_of

    return failure_of(error)


_NO_DEADLINE: AbstractAsyncContextManager[None] = nullcontext()
_ENDED = frozenset({"completed", "cached", "failed", "timed_out", "cancelled", "crashed", "skipped"})
