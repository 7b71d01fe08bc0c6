"""The future of a submitted task run: done once its run has ended, whoever waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from flowtell.engine.states import State

if TYPE_CHECKING:
    import asyncio

    from flowtell.engine.task_runs import TaskRun

T = TypeVar("T")


class Future(Generic[T]):
    """What `.submit` returns. Pass it to other tasks, ask it for its result, or await it."""

    __slots__ = ("__weakref__", "_callbacks", "_ended", "_lock", "_value", "exception", "run")

    any_made: ClassVar[bool] = False
    """Whether this process has made one: where it has not, no argument need be searched."""

    def __init__(self, run: TaskRun) -> None:
        Future.any_made = True
        self.run = run
        self.exception: BaseException | None = None
        self._value: Any = None
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<Future of {self.run.name}: {self.state}>"

    @property
    def task_run_id(self) -> str:
        return self.run.id

    @property
    def state(self) -> State:
        """How the task run stands; once it has ended, with its result."""
        return State(self.run.state, self.exception, self._value)

    def done(self) -> bool:
        return self._ended.is_set()

    def wait(self, timeout: float | None = None) -> Future[T]:
        """Wait until the run has ended, or for `timeout` seconds."""
        if not self._ended.is_set():
            from flowtell.engine.task_runners import waiting

            with waiting():
                self._ended.wait(timeout)
        return self

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> T:
        """What the task returned.

        Raises:
            TimeoutError: not ended within `timeout` seconds.
            Exception: the very object that the task raised, unless `raise_on_failure` is off: then it is returned.
        """
        if not self.wait(timeout).done():
            raise TimeoutError(f"task run {self.run.name} has not ended within {timeout:g} s")
        if self.exception is not None and raise_on_failure:
            raise self.exception
        if self.run.provides or self.run.is_incomplete:
            _note_receipt(self.run)
        return self.outcome  # type: ignore[no-any-return]

    @property
    def outcome(self) -> Any:
        """The result, or the exception in its place."""
        return self._value if self.exception is None else self.exception

    def __await__(self) -> Generator[Any, Any, T]:
        yield from self.ended().__await__()
        return self.result()

    async def ended(self) -> None:
        """Wait without holding up the loop."""
        import asyncio

        loop, reached = asyncio.get_running_loop(), asyncio.Event()
        self.when_done(lambda: _wake(loop, reached))
        await reached.wait()

    def add_done_callback(self, fn: Callable[[Future[T]], Any]) -> None:
        """Call `fn` with the future when the run has ended, on the thread that ends it; now, if it has."""
        self.when_done(lambda: fn(self))

    def when_done(self, callback: Callable[[], Any]) -> None:
        """As `add_done_callback`, without the future."""
        with self._lock:
            if not self._ended.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def settle(self, value: Any, exception: BaseException | None = None) -> None:
        """The run has ended: for whoever runs it. Only the first call counts."""
        with self._lock:
            if self._ended.is_set():
                return
            self._value, self.exception = value, exception
            self._ended.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


class FutureList(list[Future[T]]):
    """What `.map` returns: the futures in the order of their arguments."""

    def wait(self, timeout: float | None = None) -> FutureList[T]:
        """Wait until all have ended, or for `timeout` seconds in all."""
        from time import monotonic

        until = None if timeout is None else monotonic() + timeout
        for future in self:
            future.wait(None if until is None else max(until - monotonic(), 0.0))
        return self

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[T]:
        """All results; the first failure in order is raised."""
        self.wait(timeout)
        return [future.result(0 if timeout is not None else None, raise_on_failure) for future in self]

    def __await__(self) -> Generator[Any, Any, list[T]]:
        for future in self:
            yield from future.ended().__await__()
        return self.result()


def _note_receipt(source: TaskRun) -> None:
    """Whoever asks for a result in a task's body has what it is made of come in."""
    from flowtell.engine.context import current
    from flowtell.engine.task_runs import receive

    run = current.get()
    if run is not None:
        receive(run, source, "future")


def _wake(loop: asyncio.AbstractEventLoop, reached: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(reached.set)
    except RuntimeError:  # the loop has been closed: nobody waits any more
        pass
