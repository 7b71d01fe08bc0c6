"""The one seam between the colours of functions: how a run's function is called and waited for.

A run knows what happens at its start, after a failed attempt and at its end; a driver calls the function in between.
There is one driver for each kind of function that Python has, and nothing else in the engine knows the difference.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from flowtell.engine.context import current, enter, leave
from flowtell.engine.flow_runs import FlowRun

if TYPE_CHECKING:
    from flowtell.engine.runs import Run


def call(run: Run) -> Any:
    """Run a plain function, here and now."""
    outer = current.get()
    while True:
        try:
            if run.delay or run.awaited:
                _get_ready(run)
            enter(run.begin())
            result = run.call()
            if isinstance(run, FlowRun):
                result = _settled(run, result)
        except BaseException as error:
            if not run.again(error):
                raise
        else:
            return run.complete(result)
        finally:
            leave(run, outer)


async def call_async(run: Run) -> Any:
    """Run a coroutine function on the loop that awaits it."""
    outer = current.get()
    while True:
        try:
            if run.delay or run.awaited:
                await _get_ready_async(run)
            enter(run.begin())
            async with run.deadline():
                result = await run.call_unlimited()
            if isinstance(run, FlowRun):
                result = await _settled_async(run, result)
        except BaseException as error:
            if not run.again(error):
                raise
        else:
            return run.complete(result)
        finally:
            leave(run, outer)


def iterate(run: Run) -> Generator[Any, Any, Any]:
    """Run a generator function, each step in a context of its own: a suspended run is not its consumer's."""
    context = copy_context()
    while True:
        try:
            if run.delay or run.awaited:
                _get_ready(run)
            context.run(enter, run.begin())
            result = yield from _Steps(context, run)
            if isinstance(run, FlowRun):
                result = _settled(run, result)
        except BaseException as error:
            if not run.again(error):
                raise
        else:
            return run.complete(result)


async def iterate_async(run: Run) -> AsyncGenerator[Any, Any]:
    """Run an async generator function, each step in a context of its own."""
    context = copy_context()
    while True:
        try:
            if run.delay or run.awaited:
                await _get_ready_async(run)
            context.run(enter, run.begin())
            steps = _AsyncSteps(context, run)
            while (value := await steps.next()) is not _END:
                run.hand_out(value)
                try:
                    steps.send((yield value))
                except GeneratorExit:
                    await steps.close()
                    raise
                except BaseException as thrown:  # noqa: BLE001  # what the consumer throws in is the function's to handle
                    steps.throw(thrown)
            if isinstance(run, FlowRun):
                await _settled_async(run, None)
        except BaseException as error:
            if not run.again(error):
                raise
        else:
            run.complete(None)
            return


def _get_ready(run: Run) -> None:
    """Wait as long as a retry is delayed, and for the futures that the run was given."""
    if run.delay:  # asked to sleep for no time, the system still lets others go first
        rest(run.delay)
    for future in run.awaited:
        future.wait()


async def _get_ready_async(run: Run) -> None:
    await rest_async(run.delay)
    for future in run.awaited:
        await future.ended()


def rest(seconds: float) -> None:
    """Let the time before a retry pass. In a test's harness a clock is moved in its place."""
    time.sleep(seconds)


async def rest_async(seconds: float) -> None:
    """As `rest`, without holding up the loop."""
    import asyncio

    await asyncio.sleep(seconds)


def _settled(run: FlowRun, result: Any) -> Any:
    """The result once all tasks that the flow run submitted have ended."""
    while futures := run.unfinished:  # a task may have submitted others meanwhile
        for future in futures:
            future.wait()
    return run.settled(result)


async def _settled_async(run: FlowRun, result: Any) -> Any:
    while futures := run.unfinished:
        for future in futures:
            await future.ended()
    return run.settled(result)


class _Steps(Generator[Any, Any, Any]):
    """A run's generator whose every step is taken inside `context`."""

    def __init__(self, context: Context, run: Run) -> None:
        self._enter, self._run = context.run, run
        self._generator = context.run(run.call_unlimited)

    def send(self, value: Any) -> Any:
        return self._handed_out(self._enter(self._run.within_time, self._generator.send, value))

    def throw(self, *error: Any) -> Any:
        return self._handed_out(self._enter(self._run.within_time, self._generator.throw, *error))

    def _handed_out(self, value: Any) -> Any:
        self._run.hand_out(value)
        return value


_END: Any = object()


class _AsyncSteps:
    """As `_Steps`, for a run's async generator; `send` and `throw` prepare the step that `next` takes."""

    def __init__(self, context: Context, run: Run) -> None:
        self._context, self._run = context, run
        self._generator = context.run(run.call_unlimited)
        self.send(None)

    def send(self, value: Any) -> None:
        self._step = self._generator.asend(value)

    def throw(self, error: BaseException) -> None:
        self._step = self._generator.athrow(error)

    async def next(self) -> Any:
        """The next element, or `_END`."""
        try:
            async with self._run.deadline():
                return await _Entered(self._context, self._step)
        except StopAsyncIteration:
            return _END

    async def close(self) -> None:
        await _Entered(self._context, self._generator.aclose())


class _Entered:
    """An awaitable that is driven inside `context`, on whatever loop awaits it."""

    def __init__(self, context: Context, awaitable: Any) -> None:
        self._context, self._awaitable = context, awaitable

    def __await__(self) -> Generator[Any, Any, Any]:
        enter, step = self._context.run, self._awaitable.__await__()
        try:
            wish = enter(step.send, None)
            while True:
                try:
                    answer = yield wish
                except BaseException as thrown:  # noqa: BLE001  # a cancellation, which is the awaited one's to handle
                    wish = enter(step.throw, thrown)
                else:
                    wish = enter(step.send, answer)
        except StopIteration as end:
            return end.value


def run_to_end(run: Run, colour: str) -> Any:
    """Run on a thread that has nothing else to do. What a generator yields comes back as a list."""
    if colour == "sync":
        return call(run)
    if colour == "generator":
        return list(iterate(run))
    import asyncio

    return asyncio.run(call_async(run) if colour == "async" else _collected(run))


async def _collected(run: Run) -> list[Any]:
    return [value async for value in iterate_async(run)]


def colour_of(function: Callable[..., Any]) -> str:
    """`sync`, `async`, `generator` or `async_generator`."""
    if inspect.isasyncgenfunction(function):
        return "async_generator"
    if inspect.iscoroutinefunction(function):
        return "async"
    return "generator" if inspect.isgeneratorfunction(function) else "sync"


DRIVERS: dict[str, Callable[[Run], Any]] = {
    "sync": call,
    "async": call_async,
    "generator": iterate,
    "async_generator": iterate_async,
}
