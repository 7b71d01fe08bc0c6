"""The life of one run: what happens at its start, after a failed attempt and at its end.

The drivers call `begin`, then the function, then `again` or `complete`. All events of flow and task runs are made here
and in the two classes below it, whatever the colour of the function.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from time import perf_counter_ns, process_time_ns, time_ns
from typing import TYPE_CHECKING, Any, ClassVar

from flowtell.engine.failure import failure_of
from flowtell.engine.results import result_of
from flowtell.engine.states import State, end_of
from flowtell.engine.usage import peak_memory
from flowtell.errors import RunTimedOut

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from flowtell.engine.futures import Future
    from flowtell.engine.scope import Scope
    from flowtell.engine.work import Work


class Run:
    """One execution of a flow or task. `scope` is what new runs join that start inside it."""

    kind: ClassVar[str]
    cpu_clock: ClassVar[Callable[[], int]] = staticmethod(process_time_ns)

    __slots__ = (
        "_began", "_cpu", "_pid", "args", "attempt", "awaited", "delay", "function", "future", "id", "kwargs", "log_prints", "outer",
        "scope", "started", "state", "work",
    )  # fmt: skip

    id: str
    work: Work[..., Any]
    scope: Scope
    outer: Scope
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: Future[Any] | None
    awaited: Iterable[Future[Any]]
    log_prints: bool

    def _prepare(self) -> None:
        self.attempt = 0
        self.delay = 0.0
        self.state = "pending"
        self.started = 0
        self.future = None
        self._pid = os.getpid()

    # --- what the drivers call

    def begin(self) -> Run:
        """An attempt starts now."""
        self.attempt += 1
        now = time_ns() // 1000
        if self.attempt == 1:
            self.started = now
            self.outer.open[self.id] = self
            self._began = perf_counter_ns()
            self._cpu = self.cpu_clock()
            self._open(now)
        self.state = "running"
        self._say_started(now)
        if self.work.hooks:
            self._call_hooks(State("running"))
        return self

    def call(self) -> Any:
        """Call the function, within its time."""
        if self.work.timeout_seconds is None:
            return self.function(*self.args, **self.kwargs)
        return self.within_time(self.function, *self.args, **self.kwargs)

    def within_time(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `function`, interrupted or left alone when the attempt's time is up."""
        seconds = self.work.timeout_seconds
        if seconds is None:
            return function(*args, **kwargs)
        from flowtell.engine.timeouts import limited

        return limited(lambda: function(*args, **kwargs), seconds, self._too_long())

    def deadline(self) -> AbstractAsyncContextManager[Any]:
        """Around what a coroutine function awaits: cancels it when the attempt's time is up."""
        seconds = self.work.timeout_seconds
        if seconds is None:
            return _NO_DEADLINE
        from flowtell.engine.timeouts import cancelled_after

        return cancelled_after(seconds, self._too_long())

    def unfinished(self) -> Iterable[Future[Any]]:
        """Futures that must end before this run may."""
        return ()

    def settled(self, result: Any) -> Any:
        """The result with what is still a future in it replaced by its value."""
        return result

    def again(self, error: BaseException) -> bool:
        """An attempt failed. True when another is to follow after `delay` seconds, else the run has ended."""
        end = end_of(error)
        if end in ("failed", "timed_out") and self._may_retry(error, end):
            self.delay = self.work.retries.delay_after(self.attempt)
            self.state = "retrying"
            self._say_retrying(error)
            return True
        self.end(end, error)
        return False

    def complete(self, result: Any) -> Any:
        """The last attempt returned `result`."""
        self.end("completed", None, result)
        return result

    # --- the end

    def end(self, state: str, error: BaseException | None = None, result: Any = None) -> None:
        """Write how the run ended, once, and only in the process that it began in: a forked child ends without a word."""
        if self.state in _ENDED or self._pid != os.getpid():
            return
        self.state = state
        try:
            self._write_end(state, error, result)
        except BaseException:  # a Ctrl-C in the middle of it: the end is written all the same
            self._write_end(state, error, result)
            raise
        self.outer.open.pop(self.id, None)
        if self.work.hooks:
            self._call_hooks(State(state, error))
        self._after_end()

    @property
    def seconds(self) -> float:
        """Since the first attempt began."""
        return (perf_counter_ns() - self._began) // 1000 / 1e6 if self.attempt else 0.0

    def _write_end(self, state: str, error: BaseException | None, result: Any) -> None:
        began = self.attempt > 0
        duration = self.seconds if began else None
        cpu = (self.cpu_clock() - self._cpu) // 1000 / 1e6 if began else None
        self._close(state, error, result)
        self._say_finished(
            time_ns() // 1000,
            {
                "state": state,
                "error": failure_of(error) if error is not None and state != "completed" else None,
                "duration": duration,
                "attempts": self.attempt or 1,
                "cpu_seconds": cpu,
                "peak_memory": peak_memory(),
                "result": None if result is None else result_of(result),
            },
        )

    def cancel(self) -> None:
        """End as cancelled because what surrounds it has ended."""
        self.end("cancelled")

    def _may_retry(self, error: BaseException, end: str) -> bool:
        retries = self.work.retries
        if self.attempt > retries.count or self.attempt == 0:
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

    # --- what flow runs and task runs do differently

    def _open(self, now: int) -> None:
        """Before the first attempt."""

    def _close(self, state: str, error: BaseException | None, result: Any) -> None:
        """Before the end is written."""

    def _after_end(self) -> None:
        """After the end has been written and the hooks were called."""

    def _say_started(self, now: int) -> None:
        raise NotImplementedError

    def _say_retrying(self, error: BaseException) -> None:
        raise NotImplementedError

    def _say_finished(self, now: int, facts: dict[str, Any]) -> None:
        raise NotImplementedError

    @property
    def name(self) -> str:
        raise NotImplementedError


_NO_DEADLINE: Any = nullcontext()
_ENDED = frozenset({"completed", "failed", "timed_out", "cancelled", "crashed", "skipped"})
