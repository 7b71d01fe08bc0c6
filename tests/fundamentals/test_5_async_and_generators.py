"""Coroutine functions and generators are flows and tasks like any others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from flowtell import current_run, flow, task
from flowtell.events import FlowRunFinished, TaskRunFinished, TaskRunStarted
from flowtell.testing import recorder


@task
async def double(x: int) -> int:
    await asyncio.sleep(0)
    return 2 * x


def test_an_async_flow_is_awaited() -> None:
    """Calling it gives a coroutine; tasks inside are awaited, one by one or together."""

    @flow
    async def gathered() -> list[int]:
        first = await double(1)
        return [first, *await asyncio.gather(double(2), double(3))]

    with recorder() as seen:
        assert asyncio.run(gathered()) == [2, 4, 6]
    assert {run.flow for run in seen.of(TaskRunStarted)} == {"gathered"}
    assert current_run() is None


def test_submit_and_map_in_an_async_flow() -> None:
    """A future can be awaited or asked for its result; async tasks run on threads with a loop of their own."""

    @flow
    async def fanned() -> tuple[int, int, list[int]]:
        future = double.submit(1)
        return await future, double.submit(2).result(), await double.map([3, 4])

    assert asyncio.run(fanned()) == (2, 4, [6, 8])


def test_a_plain_flow_can_submit_an_async_task() -> None:
    """It needs no loop for that."""

    @flow
    def plain() -> int:
        return double.submit(5).result()

    assert plain() == 10


def test_a_plain_flow_runs_inside_a_running_loop() -> None:
    """As in a notebook's cell: nothing is in its way."""

    @flow
    def plain() -> int:
        return double.submit(5).result()

    async def cell() -> int:
        return plain()

    assert asyncio.run(cell()) == 10


def test_a_cancelled_coroutine_is_a_cancelled_run() -> None:
    """Cancelling the asyncio task around a flow cancels the flow's run and what it awaits."""

    @task
    async def sleeps() -> None:
        await asyncio.sleep(10)

    @flow
    async def long() -> None:
        await sleeps()

    async def main() -> None:
        running = asyncio.create_task(long())  # type: ignore[var-annotated]
        await asyncio.sleep(0.01)
        running.cancel()
        await running

    with recorder() as seen, pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert seen.of(TaskRunFinished)[0].state == "cancelled"
    assert seen.of(FlowRunFinished)[0].state == "cancelled"


def test_a_generator_task_is_one_run() -> None:
    """It starts with the first element and ends after the last."""

    @task
    def pages(count: int) -> Iterator[int]:
        yield from range(count)

    @flow
    def crawl() -> list[int]:
        return [2 * page for page in pages(3)]

    with recorder() as seen:
        assert crawl() == [0, 2, 4]
    assert [run.state for run in seen.of(TaskRunFinished)] == ["completed"]


def test_a_suspended_generator_keeps_its_run_to_itself() -> None:
    """Between two elements the caller is in its own run, and in none outside of runs."""

    @flow
    def counting() -> Iterator[str]:
        for _ in range(2):
            run = current_run()
            assert run is not None
            yield run.flow

    steps = counting()
    assert next(steps) == "counting"
    assert current_run() is None
    assert list(steps) == ["counting"]


def test_a_consumer_may_stop_early() -> None:
    """Who closes a generator has all that was wanted: the run completes."""

    @flow
    def endless() -> Iterator[int]:
        number = 0
        while True:
            number += (yield number) or 1

    with recorder() as seen:
        steps = endless()
        assert (next(steps), steps.send(10)) == (0, 10)  # type: ignore[attr-defined]
        steps.close()  # type: ignore[attr-defined]
    assert seen.of(FlowRunFinished)[0].state == "completed"


def test_an_async_generator_is_one_run() -> None:
    """Its elements can be awaited one by one, its run stays its own."""

    @task
    async def rows() -> AsyncIterator[int]:
        for row in range(3):
            await asyncio.sleep(0)
            assert current_run() is not None
            yield row

    async def consume() -> list[int]:
        found = []
        async for row in rows():
            assert current_run() is None
            found.append(row)
        return found

    with recorder() as seen:
        assert asyncio.run(consume()) == [0, 1, 2]
    assert [run.state for run in seen.of(TaskRunFinished)] == ["completed"]


def test_a_submitted_generator_gives_a_list() -> None:
    """Its elements are collected on the other thread."""

    @task
    def pages() -> Iterator[int]:
        yield from (1, 2)

    @task
    async def rows() -> AsyncIterator[int]:
        yield 3

    @flow
    def crawl() -> tuple[object, object]:
        return pages.submit().result(), rows.submit().result()

    assert crawl() == ([1, 2], [3])
