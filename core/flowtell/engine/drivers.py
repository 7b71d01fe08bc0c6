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

from flowtell.engine.context import current
from flowtell.engine.flow_runs import FlowRun

if TYPE_CHECKING:
    from flowtell.engine.runs import Run


def call(run: Run) -> Any:
    """Run a plain function, here and now."""
    outer = current.get()
    while True:
        try:
            if run.delay:
                time.sleep(run.delay)
            for future in run.awaited:
                future.wait()
            current.set(run.begin())
            result = run.call()
            if isinstance(run, FlowRun):
                for future in run.unfinished:
                    future.wait()
                result = run.settled(result)
        except BaseException as error:
            if not run.again(error):
                raise
        else:
            return run.complete(result)
        finally:
            current.set(outer)


async def call_async(run: Run) -> Any:
    """Run a coroutine function on the loop that awaits it."""
    import asyncio

    outer = current.get()
    while True:
        try:
            if run.delay:
                await asyncio.sleep(run.delay)
            for future in run.awaited:
                await future.ended()
            current.set(run.begin())
            async with run.deadline():
                result = await run.function(*run.args, **run.kwargs)
            if isinstance(run, FlowRun):
                for future in run.unfinished:
                    await future.ended()
                result = run.settled(result)
        except BaseException as error:
            if not run.again(error):
                raise
        else:
            return run.complete(result)
        finally:
            current.set(outer)


def iterate(run: Run) -> Generator[Any, Any, Any]:
    """Run a generator function, each step in a context of its own: a suspended run is not its consumer's."""
    context = copy_context()
    while True:
        try:
            if run.delay:
                time.sleep(run.delay)
            for future in run.awaited:
                future.wait()
            context.run(current.set, run.begin())
            result = yield from _Steps(context, run)
            if isinstance(run, FlowRun):
                for future in run.unfinished:
                    future.wait()
        except BaseException as error:
            if not run.again(error):
                raise
        else:
            return run.complete(result)


async def iterate_async(run: Run) -> AsyncGenerator[Any, Any]:
    """Run an async generator function, each step in a context of its own."""
    import asyncio

    context = copy_context()
    while True:
        try:
            if run.delay:
                await asyncio.sleep(run.delay)
            for future in run.awaited:
                await future.ended()
            context.run(current.set, run.begin())
            steps = context.run(run.function, *run.args, **run.kwargs)
            step = steps.asend(None)
            while True:
                try:
                    async with run.deadline():
                        value = await _Step(context, step)
                except StopAsyncIteration:
                    break
                try:
                    step = steps.asend((yield value))
                except GeneratorExit:
                    await _Step(context, steps.aclose())
                    raise
                except BaseException as thrown:
                    step = steps.athrow(thrown)
            if isinstance(run, FlowRun):
                for future in run.unfinished:
                    await future.ended()
        except BaseException as error:
            if not run.again(error):
                raise
        else:
            run.complete(None)
            return


class _Steps(Generator[Any, Any, Any]):
    """A run's generator whose every step is taken inside `context`."""

    def __init__(self, context: Context, run: Run) -> None:
        self._enter = context.run
        self._run = run
        self._generator = context.run(run.function, *run.args, **run.kwargs)

    def send(self, value: Any) -> Any:
        return self._enter(self._run.within_time, self._generator.send, value)

    def throw(self, *error: Any) -> Any:
        return self._enter(self._run.within_time, self._generator.throw, *error)


class _Step:
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
                except BaseException as thrown:
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

    return asyncio.run(call_async(run) if colour == "async" else _collect(run))


async def _collect(run: Run) -> list[Any]:
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
