"""Ctrl-C, exits and cancellation: each ends every run that was open."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from flowtell import current_run, flow, task
from flowtell.events import Event, FlowRunFinished, TaskRunFinished
from flowtell.testing import recorder

Read = Callable[[], list[Event]]


def states(events: list[Event], kind: str) -> dict[str, str]:
    return {event.task or event.flow: event.state for event in events if event.type == f"{kind}.finished"}  # type: ignore[attr-defined]


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Send Ctrl-C once the script has said that it is ready, and again where Python says that it dropped it.

    What is raised inside a finalizer or a callback of a weak reference goes nowhere ("Exception ignored in"), a Ctrl-C
    too: the collector may run one at any moment. A user who sees that nothing happens presses it again.
    """
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    deadline, sent, dropped = time.monotonic() + 20, 0, 0
    while time.monotonic() < deadline:
        if sent <= dropped:
            process.send_signal(signal.SIGINT)
            sent += 1
        try:
            _, errors = process.communicate(timeout=0.5)
        except subprocess.TimeoutExpired as waiting:
            dropped = (waiting.stderr or b"").count(b"Exception ignored in")
        else:
            return process.returncode, errors
    process.kill()
    _, errors = process.communicate()
    pytest.fail(f"goes on after {sent} times Ctrl-C: {errors}")


def test_ctrl_c_cancels_the_run_and_what_is_open_in_it(
    script: Callable[..., subprocess.Popen[str]], journaled: Read
) -> None:
    """The task that it hits, the flows around, the tasks on threads and those still queued; then it is raised again."""
    code, errors = interrupt(
        script("""
        import time
        from flowtell import flow, task, ThreadPoolTaskRunner

        @task
        def here():
            print("ready", flush=True)
            time.sleep(30)

        @task
        def elsewhere():
            time.sleep(30)

        @task
        def queued(): ...

        @task
        def waiting(x): ...

        @flow
        def inner():
            here()

        @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
        def outer():
            slow = elsewhere.submit()
            time.sleep(0.1)
            queued.submit()
            waiting.submit(slow)
            inner()

        outer()
        """)
    )
    events = journaled()
    assert code == -signal.SIGINT or "KeyboardInterrupt" in errors
    assert states(events, "flow_run") == {"outer": "cancelled", "inner": "cancelled"}
    assert states(events, "task_run") == dict.fromkeys(("here", "elsewhere", "queued", "waiting"), "cancelled")


def test_ctrl_c_at_any_moment_leaves_no_run_open(
    script: Callable[..., subprocess.Popen[str]], journaled: Read, rounds: Callable[..., int]
) -> None:
    """Also where it hits the engine itself, which is where a flow of trivial tasks spends its time."""
    for _ in range(rounds(full=10, ci=3)):
        process = script("""
            from flowtell import flow, task

            @task
            def trivial(x):
                return x

            @flow
            def busy():
                for number in range(10**9):
                    trivial(number)
                    if number == 100:
                        print("ready", flush=True)

            busy()
            """)
        interrupt(process)
    events = journaled()
    started = {event.task_run or event.run for event in events if event.type.endswith(".started")}
    finished = {event.task_run or event.run for event in events if event.type.endswith(".finished")}
    assert started - finished == set()


def test_ctrl_c_in_an_async_flow(script: Callable[..., subprocess.Popen[str]], journaled: Read) -> None:
    """`asyncio.run` turns it into a cancellation of what is awaited."""
    interrupt(
        script("""
        import asyncio
        from flowtell import flow, task

        @task
        async def sleeps():
            await asyncio.sleep(30)

        async def ready():
            print("ready", flush=True)

        @flow
        async def naps():
            await asyncio.gather(sleeps(), sleeps(), ready())

        asyncio.run(naps())
        """)
    )
    events = journaled()
    assert states(events, "flow_run") == {"naps": "cancelled"}
    assert [event.state for event in events if event.type == "task_run.finished"] == ["cancelled"] * 2  # type: ignore[attr-defined]


def test_an_interrupted_wait_for_a_retry_is_a_cancelled_run(
    script: Callable[..., subprocess.Popen[str]], journaled: Read
) -> None:
    """Between two attempts as well as in one."""
    interrupt(
        script("""
        from flowtell import task

        @task(retries=1, retry_delay_seconds=30)
        def flaky():
            print("ready", flush=True)
            raise ValueError

        flaky()
        """)
    )
    assert states(journaled(), "task_run") == {"flaky": "cancelled"}


def test_nothing_is_imported_between_a_failure_and_the_wait_for_a_retry(
    script: Callable[..., subprocess.Popen[str]],
) -> None:
    """There Python would drop a Ctrl-C, and the run wait on."""
    process = script("""
        import sys
        from types import SimpleNamespace
        from flowtell import flow, task
        from flowtell.engine import drivers

        def fails():
            before.update(sys.modules)
            raise ValueError

        def again(*_):
            return True

        before = set()
        drivers.time = SimpleNamespace(sleep=lambda seconds: print(sorted(set(sys.modules) - before), seconds > 30))
        options = {"retries": 1, "retry_delay_seconds": 30, "retry_jitter_factor": 1, "retry_condition_fn": again}
        for work in (task(**options)(fails), flow(**options)(fails)):
            try:
                work()
            except ValueError:
                pass
        """)
    told, errors = process.communicate(timeout=20)
    assert told == "[] True\n" * 2, errors


def test_an_interrupted_cell_leaves_the_next_one_alone() -> None:
    """As in a notebook, where the process lives on: the run is cancelled, the next one is what it always was."""

    @task
    def interrupted() -> None:
        raise KeyboardInterrupt

    @flow
    def cell(stop: bool) -> str:
        if stop:
            interrupted()
        return "ran"

    with recorder() as seen:
        with pytest.raises(KeyboardInterrupt):
            cell(True)
        assert current_run() is None
        assert cell(False) == "ran"
    assert [run.state for run in seen.of(TaskRunFinished)] == ["cancelled"]
    assert [run.state for run in seen.of(FlowRunFinished)] == ["cancelled", "completed"]


@pytest.mark.parametrize(("code", "state"), [(None, "completed"), (0, "completed"), (1, "failed"), ("trouble", "failed")])
def test_an_exit_ends_the_run_as_it_ends_the_process(code: object, state: str) -> None:
    """`sys.exit()` inside a flow: well with nothing or 0, badly with anything else."""

    @task
    def leaves() -> None:
        raise SystemExit(code)

    @flow
    def outer() -> None:
        leaves()

    with recorder() as seen, pytest.raises(SystemExit):
        outer()
    assert [run.state for run in seen.of(TaskRunFinished)] == [state]
    assert [run.state for run in seen.of(FlowRunFinished)] == [state]


def test_what_tears_a_run_down_has_crashed_it() -> None:
    """An exception that is no `Exception`, and none of the known ones."""

    class Teardown(BaseException):
        pass

    @flow(retries=3)
    def torn() -> None:
        raise Teardown

    with recorder() as seen, pytest.raises(Teardown):
        torn()
    assert [(run.state, run.attempts) for run in seen.of(FlowRunFinished)] == [("crashed", 1)]


def test_a_coroutine_that_is_closed_is_cancelled() -> None:
    """As when a loop goes away under it."""

    @flow
    async def pending() -> None:
        import asyncio

        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        import asyncio

        coroutine = pending()
        asyncio.get_running_loop().call_soon(lambda: None)
        coroutine.send(None)  # type: ignore[attr-defined]
        coroutine.close()  # type: ignore[attr-defined]

    import asyncio

    with recorder() as seen:
        asyncio.run(main())
    assert [run.state for run in seen.of(FlowRunFinished)] == ["cancelled"]


def test_an_abandoned_thread_does_not_delay_exit(script: Callable[..., subprocess.Popen[str]], journaled: Read) -> None:
    """A process with a stuck task ends when its flow does."""
    process = script("""
        import time
        from flowtell import flow, task

        @task(timeout_seconds=0.1)
        def stuck():
            time.sleep(60)

        @flow
        def goes_on():
            stuck.submit().wait()

        goes_on()
        """)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors.count("its thread goes on") == 1
    assert ", 1 thread left behind" in errors
    assert states(journaled(), "task_run") == {"stuck": "timed_out"}
