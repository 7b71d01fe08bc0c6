"""Tasks on other threads, and the futures that stand for their results."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest

from flowtell import ThreadPoolTaskRunner, allow_failure, flow, task, unmapped
from flowtell.errors import UpstreamFailed
from flowtell.events import FlowRunFinished, TaskRunFinished, TaskRunPending, TaskRunStarted
from flowtell.testing import recorder


@task
def double(x: int) -> int:
    return 2 * x


@task
def add(x: int, y: int = 0) -> int:
    return x + y


@task
def broken() -> int:
    raise ValueError("no")


def test_submit_runs_beside_the_flow() -> None:
    """`submit` returns a future at once; tasks that wait for each other's rendezvous show that they run together."""
    together = threading.Barrier(2, timeout=10)

    @task
    def meet() -> bool:
        together.wait()
        return True

    @flow
    def both() -> bool:
        one, other = meet.submit(), meet.submit()
        return one.result() and other.result()

    assert both()


def test_a_future_is_an_argument_like_any_other() -> None:
    """A task that is given a future gets its result, wherever it stands, and starts once it is there."""

    @dataclass
    class Pair:
        left: Any
        right: Any

    @task
    def total(values: Any, pair: Any) -> int:
        return sum(values["all"]) + pair.left + pair.right

    @flow
    def summed() -> int:
        one = double.submit(1)
        two = add.submit(one, y=one)
        return total({"all": [one, two, 10]}, Pair(one, two))

    assert summed() == (2 + 4 + 10) + (2 + 4)


def test_futures_carry_where_data_came_from() -> None:
    """Each argument that came from another task run names it."""

    @flow
    def chain() -> int:
        one = double.submit(1)
        return add.submit(one, y=double.submit(2)).result()

    with recorder() as seen:
        chain()
    started = seen.of(TaskRunStarted)
    first, second = sorted((run for run in started if run.task == "double"), key=lambda run: run.dynamic_key)
    [last] = [run for run in started if run.task == "add"]
    assert {(one.argument, one.task_run) for one in last.upstream} == {("x", first.task_run), ("y", second.task_run)}


def test_map_submits_once_for_each_element() -> None:
    """The results come in the order of the elements; `unmapped` and scalars go to all."""

    @task
    def scaled(x: int, factor: int, offsets: list[int]) -> int:
        return x * factor + sum(offsets)

    @flow
    def many() -> list[int]:
        return scaled.map([1, 2, 3], 10, unmapped([1, 1])).result()

    with recorder() as seen:
        assert many() == [12, 22, 32]
    assert sorted(run.map_index for run in seen.of(TaskRunStarted) if run.map_index is not None) == [0, 1, 2]


def test_map_over_the_result_of_a_task() -> None:
    """A future can be mapped over: its result says how many runs there are."""

    @task
    def pages() -> list[int]:
        return [1, 2]

    @flow
    def crawl() -> list[int]:
        return double.map(pages.submit()).result()

    assert crawl() == [2, 4]


def test_lengths_must_agree() -> None:
    """Arguments of different lengths are refused, with the way out."""
    with pytest.raises(ValueError, match=r"different lengths, \[1, 2\]; wrap"):
        add.map([1, 2], [1])


def test_a_task_whose_upstream_failed_is_skipped() -> None:
    """It does not run: its state is `skipped`, and its result raises `UpstreamFailed`."""

    @flow
    def chain() -> None:
        add.submit(broken.submit()).result()

    with recorder() as seen, pytest.raises(UpstreamFailed, match="Task 'add' was skipped") as caught:
        chain()
    assert isinstance(caught.value.__cause__, ValueError)
    assert {run.task: run.state for run in seen.of(TaskRunFinished)} == {"broken": "failed", "add": "skipped"}
    assert "add" not in [run.task for run in seen.of(TaskRunStarted)]


def test_failure_can_be_allowed() -> None:
    """Wrapped in `allow_failure`, a failed future comes in as its exception."""

    @task
    def look(outcome: object) -> str:
        return type(outcome).__name__

    @flow
    def tolerant() -> str:
        return look.submit(allow_failure(broken.submit())).result()

    assert tolerant() == "ValueError"


def test_a_mark_is_taken_off() -> None:
    """The function gets what is inside, also where there was nothing to mark."""
    assert add(allow_failure(1), y=unmapped(2)) == 3  # type: ignore[arg-type]
    assert add.submit(unmapped(1)).result() == 1  # type: ignore[call-overload]


def test_wait_for_orders_runs_without_handing_anything_over() -> None:
    """A task starts only after those in `wait_for` have ended; a failed one of them skips it."""
    order: list[str] = []

    @task
    def slow() -> None:
        time.sleep(0.05)
        order.append("slow")

    @task
    def after() -> None:
        order.append("after")

    @flow
    def ordered() -> None:
        after.submit(wait_for=[slow.submit()])  # type: ignore[call-overload]

    ordered()
    assert order == ["slow", "after"]


def test_a_flow_ends_after_its_tasks() -> None:
    """Nobody asked for the result, and still the task ends before its flow does."""

    @flow
    def hasty() -> None:
        double.submit(1)

    with recorder() as seen:
        hasty()
    assert seen.types.index("task_run.finished") < seen.types.index("flow_run.finished")


def test_a_flow_ends_after_what_its_tasks_submitted() -> None:
    """However deep, and however little anybody asked for it."""

    @task
    def leaf() -> None:
        time.sleep(0.05)

    @task
    def branch() -> None:
        leaf.submit()

    @flow
    def tree() -> None:
        branch.submit()

    with recorder() as seen:
        tree()
    assert {run.task: run.state for run in seen.of(TaskRunFinished)} == {"branch": "completed", "leaf": "completed"}
    assert seen.types[-1] == "flow_run.finished"


def test_a_returned_future_is_its_result() -> None:
    """What a flow returns holds no futures; a failed one among them fails the flow."""

    @flow
    def good() -> Any:
        return {"double": double.submit(4)}

    @flow
    def bad() -> Any:
        return [broken.submit()]

    assert good() == {"double": 8}
    with recorder() as seen, pytest.raises(ValueError, match="no"):
        bad()
    assert seen.of(FlowRunFinished)[0].state == "failed"


def test_a_future_says_how_its_run_stands() -> None:
    """`done`, `state`, `wait` and a bounded `result`."""
    gate = threading.Event()

    @task
    def gated() -> int:
        gate.wait(10)
        return 1

    @flow
    def watched() -> None:
        future = gated.submit()
        assert not future.done()
        with pytest.raises(TimeoutError, match="has not ended within"):
            future.result(timeout=0.01)
        gate.set()
        assert future.wait(10).done()
        assert future.state == "completed"
        failed = broken.submit().wait()
        assert failed.state.is_failed()
        assert failed.state.message == "ValueError: no"

    watched()


def test_the_number_of_threads_is_bounded() -> None:
    """`task_runner` says how many tasks may run at once; the others are pending until there is room."""
    running, most = 0, 0
    lock = threading.Lock()

    @task
    def counted() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
    def bounded() -> None:
        for _ in range(6):
            counted.submit()

    with recorder() as seen:
        bounded()
    assert most == 2
    assert len(seen.of(TaskRunPending)) == 4


def test_tasks_that_wait_for_tasks_do_not_lock_up() -> None:
    """A task may submit tasks and wait for them, even where there is one thread."""

    @task
    def outer(depth: int) -> int:
        return 1 if depth == 0 else 1 + outer.submit(depth - 1).result()

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def deep() -> int:
        return outer.submit(5).result(timeout=20)

    assert deep() == 6
