"""What fails is tried again, what takes too long is ended."""

from __future__ import annotations

import asyncio
import signal
import threading
import time

import pytest

from flowtell import exponential_backoff, flow, task
from flowtell.errors import RunTimedOut
from flowtell.events import (
    FlowRunFinished,
    FlowRunRetrying,
    FlowRunStarted,
    TaskRunFinished,
    TaskRunRetrying,
    TaskRunStarted,
)
from flowtell.testing import recorder


def test_a_failed_task_is_tried_again() -> None:
    """`retries` counts what comes after the first attempt; every attempt starts, the run ends once."""
    attempts = []

    @task(retries=2)
    def flaky() -> str:
        attempts.append(1)
        if len(attempts) < 3:
            raise ConnectionError(f"attempt {len(attempts)}")
        return "got it"

    with recorder() as seen:
        assert flaky() == "got it"
    assert [run.attempt for run in seen.of(TaskRunStarted)] == [1, 2, 3]
    assert [(run.attempt, run.error and run.error.message) for run in seen.of(TaskRunRetrying)] == [
        (1, "attempt 1"),
        (2, "attempt 2"),
    ]
    [finished] = seen.of(TaskRunFinished)
    assert (finished.state, finished.attempts) == ("completed", 3)


def test_the_last_failure_is_the_runs() -> None:
    """When all attempts fail, the last exception reaches the caller."""
    attempts = []

    @task(retries=1)
    def hopeless() -> None:
        attempts.append(1)
        raise ValueError(f"attempt {len(attempts)}")

    with recorder() as seen, pytest.raises(ValueError, match="attempt 2"):
        hopeless()
    [finished] = seen.of(TaskRunFinished)
    assert (finished.state, finished.attempts) == ("failed", 2)


def test_a_flow_is_retried_as_a_whole() -> None:
    """A flow's second attempt has the same run."""
    attempts = []

    @flow(retries=1)
    def whole() -> int:
        attempts.append(1)
        return 1 // (len(attempts) - 1)

    with recorder() as seen:
        assert whole() == 1
    assert len({run.run for run in seen.of(FlowRunStarted)}) == 1
    assert [run.attempt for run in seen.of(FlowRunRetrying)] == [1]
    assert seen.of(FlowRunFinished)[0].attempts == 2


def test_delays() -> None:
    """One number for all, a list with one for each, or a function of how many there are; the last holds on."""

    def delays_of(**options: object) -> list[float]:
        @task(retries=3, **options)  # type: ignore[call-overload,untyped-decorator]
        def hopeless() -> None:
            raise ValueError("no")

        with recorder() as seen, pytest.raises(ValueError, match="no"):
            hopeless()
        return [run.delay for run in seen.of(TaskRunRetrying)]

    assert delays_of(retry_delay_seconds=0.001) == [0.001, 0.001, 0.001]
    assert delays_of(retry_delay_seconds=[0.001, 0.002]) == [0.001, 0.002, 0.002]
    assert delays_of(retry_delay_seconds=exponential_backoff(0.001)) == [0.001, 0.002, 0.004]
    jittered = delays_of(retry_delay_seconds=0.001, retry_jitter_factor=1)
    assert all(0.001 <= delay <= 0.002 for delay in jittered)
    assert len(set(jittered)) == 3


def test_a_condition_decides_whether_to_go_on() -> None:
    """`retry_condition_fn` sees the task, the run and the state; a false answer ends the run."""

    def worth_it(_task: object, run: object, state: object) -> bool:
        return isinstance(state.error, ConnectionError)  # type: ignore[attr-defined]

    attempts = []

    @task(retries=5, retry_condition_fn=worth_it)
    def picky() -> None:
        attempts.append(1)
        raise ConnectionError if len(attempts) == 1 else KeyError("wrong key")

    with pytest.raises(KeyError):
        picky()
    assert len(attempts) == 2


def test_a_plain_function_is_interrupted() -> None:
    """In the main thread a function that takes too long is interrupted, and SIGALRM is given back."""
    before = signal.getsignal(signal.SIGALRM)

    @task(timeout_seconds=0.05)
    def slow() -> None:
        time.sleep(10)

    began = time.monotonic()
    with recorder() as seen, pytest.raises(RunTimedOut, match=r"Task 'slow' ran longer than its 0.05 s"):
        slow()
    assert time.monotonic() - began < 5
    assert seen.of(TaskRunFinished)[0].state == "timed_out"
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_coroutine_is_cancelled() -> None:
    """What is awaited too long is cancelled; a `TimeoutError` of its own is an ordinary failure."""

    @task(timeout_seconds=0.05)
    async def slow() -> None:
        await asyncio.sleep(10)

    @task(timeout_seconds=5)
    async def own() -> None:
        raise TimeoutError("my own")

    with recorder() as seen:
        with pytest.raises(RunTimedOut):
            asyncio.run(slow())
        with pytest.raises(TimeoutError, match="my own"):
            asyncio.run(own())
    assert [run.state for run in seen.of(TaskRunFinished)] == ["timed_out", "failed"]


def test_a_thread_is_left_behind(capfd: pytest.CaptureFixture[str]) -> None:
    """In another thread the run ends on time although the function goes on; a warning names it."""
    gate = threading.Event()

    @task(timeout_seconds=0.05)
    def stuck() -> None:
        gate.wait(20)

    @flow
    def goes_on() -> str:
        future = stuck.submit().wait(10)
        return str(future.state)

    began = time.monotonic()
    assert goes_on() == "timed_out"
    assert time.monotonic() - began < 5
    gate.set()
    assert "Task 'stuck' has timed out and its thread goes on" in capfd.readouterr().err


def test_time_is_up_for_what_is_inside_too() -> None:
    """A flow's time-out cancels the task that it is in, which is not tried again."""

    @task(retries=3, timeout_seconds=10)
    def slow() -> None:
        try:
            time.sleep(10)
        except Exception:  # noqa: BLE001  # the widest handler that users write
            pytest.fail("a handler for exceptions has seen the time-out")

    @flow(timeout_seconds=0.5)
    def impatient() -> None:
        slow()

    with recorder() as seen, pytest.raises(RunTimedOut, match="Flow 'impatient'"):
        impatient()
    assert [run.state for run in seen.of(TaskRunFinished)] == ["cancelled"]
    assert [run.state for run in seen.of(FlowRunFinished)] == ["timed_out"]


def test_each_attempt_has_the_whole_time() -> None:
    """A time-out is a failure like others: it is tried again."""
    attempts = []

    @task(retries=1, timeout_seconds=0.2)
    def second_is_quick() -> str:
        attempts.append(1)
        time.sleep(5 if len(attempts) == 1 else 0)
        return "quick"

    assert second_is_quick() == "quick"
