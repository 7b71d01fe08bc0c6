"""Task bodies in worker processes: what a body finds there, what comes back, and what a killed process does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from flowtell import (
    Asset,
    ProcessPoolTaskRunner,
    current_run,
    emit_event,
    flow,
    get_run_logger,
    materialize,
    measure,
    secrets,
    task,
    task_input_hash,
)
from flowtell.errors import CannotCross, RunTimedOut, WorkerDied
from flowtell.events import (
    AssetMaterialized,
    Event,
    LogRecorded,
    MeasureRecorded,
    TaskRunFinished,
    TaskRunRetrying,
    TaskRunStarted,
)
from flowtell.testing import recorder

Script = Callable[..., "subprocess.Popen[str]"]
POOL = ProcessPoolTaskRunner(max_workers=2)


def submitted(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Its result as a task in a flow whose tasks run in processes."""
    work = task(function, **options) if not options else task(**options)(function)

    @flow(task_runner=POOL)
    def around() -> Any:
        return work.submit(*args)

    return around()


def test_a_body_finds_its_run_and_another_process() -> None:
    """Names, tags, attempt and flow are those of the run that was submitted."""

    def body(parent: int) -> dict[str, Any]:
        run = current_run()
        assert run is not None
        return {"elsewhere": os.getpid() != parent, "run": (run.kind, run.name, run.task, run.flow, run.attempt, run.tags)}

    found = submitted(body, os.getpid(), tags=["fine"], name="look")
    assert found == {"elsewhere": True, "run": ("task", "look-0", "look", "around", 1, ("fine",))}


def test_what_a_body_says_stands_in_the_journal_between_start_and_end(home: Path) -> None:
    """Logs, prints, measures and own events go into the one journal of the flow's process, in the order of their making."""

    def body() -> None:
        get_run_logger().info("read")
        measure("rows", 3)
        emit_event("shop.seen", {"id": "1"})
        print("printed")

    with recorder() as seen:
        submitted(body, log_prints=True)
    (journal,) = home.glob("journals/*.jsonl")
    types = [line.split(b'"')[3].decode() for line in journal.read_bytes().splitlines()]
    said = ["task_run.started", "log.recorded", "measure.recorded", "shop.seen", "log.recorded", "task_run.finished"]
    assert types[types.index("task_run.started") : -1] == said
    assert [event.type for event in seen.events if event.task_run] == said, "who listens in the process hears each once"
    assert {event.runner for event in seen.of(TaskRunStarted)} == {"processes"}
    assert [event.message for event in seen.of(LogRecorded)] == ["read", "printed"]


def test_events_are_heard_once_where_no_journal_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come back to the flow's process, which does with them what it does with its own."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("FLOWTELL_HOME", str(tmp_path / "file"))
    with recorder() as seen:
        submitted(lambda: measure("rows", 3))
    assert [event.value for event in seen.of(MeasureRecorded)] == [3]


def test_every_colour_runs_in_a_process() -> None:
    """Coroutines on a loop of their own; what generators yield comes back as a list."""

    async def waits(x: int) -> int:
        return x

    def yields(x: int) -> Iterator[int]:
        yield from range(x)

    async def yields_later(x: int) -> AsyncIterator[int]:
        for number in range(x):
            yield number

    assert submitted(waits, 2) == 2
    assert submitted(yields, 2) == [0, 1]
    assert submitted(yields_later, 2) == [0, 1]


class Odd(Exception):
    def __init__(self, left: int, right: int) -> None:
        self.left, self.right = left, right
        super().__init__(f"{left} and {right}")


def test_an_exception_comes_back_with_its_attributes_and_traceback() -> None:
    """Whatever arguments its class wants; the event tells where it was raised, without our own frames."""

    def body() -> None:
        raise Odd(1, 2)

    with recorder() as seen, pytest.raises(Exception, match="1 and 2") as caught:
        submitted(body)
    assert (caught.value.left, caught.value.right) == (1, 2)  # type: ignore[attr-defined]
    (end,) = seen.of(TaskRunFinished)
    assert end.state == "failed"
    assert end.error is not None
    assert ", in body" in end.error.traceback
    assert "far_runs" not in end.error.traceback


def test_code_that_no_other_process_can_import_goes_along(tmp_path: Path) -> None:
    """Of a module that was made of a file somewhere: its tasks, what they call, and the classes of what they return."""
    (tmp_path / "somewhere.py").write_text("""
from flowtell import task
class Thing:
    def __init__(self, x): self.x = x
def helper(x): return Thing(x + 1)
@task
def work(x): return helper(x)
""")
    spec = spec_from_file_location("somewhere", tmp_path / "somewhere.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["somewhere"] = module_from_spec(spec)
    spec.loader.exec_module(module)

    @flow(task_runner=POOL)
    def around() -> Any:
        return module.work.submit(1)

    try:
        assert around().x == 2
    finally:
        del sys.modules["somewhere"]


def test_an_exception_that_cannot_be_pickled_is_told_by_its_type_and_text() -> None:
    """The run fails as it would have."""

    def body() -> None:
        error = ValueError("with a lock")
        error.lock = threading.Lock()  # type: ignore[attr-defined]
        raise error

    with pytest.raises(Exception, match="ValueError: with a lock"):
        submitted(body)


def test_what_cannot_be_pickled_is_named_and_not_tried_again() -> None:
    """The argument by its parameter's name, the result as such; another attempt would fail the same way."""

    def takes(data: int, lock: Any) -> None:
        """Never called."""

    with recorder() as seen, pytest.raises(CannotCross, match=r"Argument 'lock' of task 'takes' .* _thread\.lock"):
        submitted(takes, 1, threading.Lock(), retries=3)
    assert seen.of(TaskRunRetrying) == []
    with pytest.raises(CannotCross, match="The result of task 'gives'"):
        submitted(threading.Lock, name="gives")


def test_retries_and_time_outs_hold() -> None:
    """A body is interrupted in its own process, which takes the next one; attempts are told as ever."""

    def fails_once() -> int:
        run = current_run()
        assert run is not None
        if run.attempt == 1:
            raise ValueError("not yet")
        return run.attempt

    assert submitted(fails_once, retries=1) == 2

    @task(timeout_seconds=0.2)
    def sleeps() -> None:
        time.sleep(60)

    @task
    def pid() -> int:
        return os.getpid()

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def around() -> tuple[int, int, str]:
        first, late = pid.submit().result(), sleeps.submit()
        late.wait()
        assert isinstance(late.result(raise_on_failure=False), RunTimedOut)
        return first, pid.submit().result(), str(late.state)

    first, second, state = around()
    assert (first == second, state) == (True, "timed_out")


def test_a_killed_worker_crashes_its_attempt_and_nothing_else() -> None:
    """Said with the signal; `retries` begins it again, and the pool goes on with a new process."""

    @task
    def dies(always: bool) -> int:
        run = current_run()
        assert run is not None
        if always or run.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return run.attempt

    @flow(task_runner=POOL)
    def around() -> list[int]:
        lost = dies.submit(always=True)
        lost.wait()
        assert isinstance(lost.result(raise_on_failure=False), WorkerDied)
        return dies.with_options(retries=1).map([False] * 4).result()

    with recorder() as seen:
        assert around() == [2] * 4
    ends = seen.of(TaskRunFinished)
    assert sorted((end.state, end.signal) for end in ends) == [("completed", "")] * 4 + [("crashed", "SIGKILL")]
    assert all(event.error and "was killed by SIGKILL" in event.error.message for event in seen.of(TaskRunRetrying))


def test_a_worker_that_is_asked_to_end_crashes_its_attempt_too() -> None:
    """By SIGTERM, as a container that is taken down: the body cleans up, and another process begins again."""

    def body() -> int:
        run = current_run()
        assert run is not None
        if run.attempt == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        return run.attempt

    with recorder() as seen:
        assert submitted(body, retries=1) == 2
    (told,) = seen.of(TaskRunRetrying)
    assert told.error is not None
    assert "was killed by SIGTERM" in told.error.message


def test_runs_inside_a_body_are_told_and_end_with_a_killed_worker() -> None:
    """What is called there runs there; what is submitted there runs on threads there, before the result comes back."""

    @task
    def inner(x: int) -> int:
        return x + 1

    @task
    def outer(x: int) -> list[int]:
        return [inner(x), *inner.map([x, x]).result()]

    @task
    def dies() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @task
    def around_it() -> None:
        dies()

    @flow(task_runner=POOL)
    def around() -> Any:
        around_it.submit().wait()
        return outer.submit(1)

    with recorder() as seen:
        assert around() == [2, 2, 2]
    names = [(event.task, event.dynamic_key) for event in seen.of(TaskRunStarted)]
    assert sorted(key for name, key in names if name == "inner") == ["outer-0.0", "outer-0.1", "outer-0.2"]
    ends = {event.task: event.state for event in seen.of(TaskRunFinished)}
    assert ends == {"inner": "completed", "outer": "completed", "dies": "crashed", "around_it": "crashed"}


def test_secrets_of_either_process_get_into_no_event(home: Path) -> None:
    """What the flow has loaded is taken out of a body's lines, what a body has loaded out of how its run ended."""
    secrets.hide("of-the-flow")

    def body() -> None:
        from flowtell import secrets

        secrets.hide("of-the-body")
        get_run_logger().info("with of-the-flow")
        raise ValueError("with of-the-body")

    try:
        with pytest.raises(Exception, match="with of-the-body"):
            submitted(body)
    finally:
        secrets.forget()
    (journal,) = home.glob("journals/*.jsonl")
    written = journal.read_text()
    assert written.count("with ********") >= 2
    assert "of-the-flow" not in written
    assert "of-the-body" not in written


def test_lineage_goes_through_processes() -> None:
    """Futures carry assets as ever; what a body says of them, and reads, is told with what it makes."""
    read = Asset("s3://lake/other")

    @materialize("s3://lake/raw")
    def raw() -> dict[str, int]:
        Asset("s3://lake/raw").add_metadata({"rows": 3})
        return {"rows": 3}

    @task
    def plain(data: dict[str, int]) -> dict[str, int]:
        read.observe()
        return data

    @materialize("s3://lake/clean")
    def clean(data: dict[str, int]) -> None:
        Asset("s3://lake/clean").materialize(version="7")

    @flow(task_runner=POOL)
    def around() -> None:
        clean.submit(plain.submit(raw.submit()))

    with recorder() as seen:
        around()
    first, second = seen.of(AssetMaterialized)
    assert first.metadata == {"rows": 3}
    assert (second.version, second.unfollowed) == ("7", ())
    assert {one.asset for one in second.upstream} == {"s3://lake/raw", "s3://lake/other"}


def test_cached_results_are_those_of_the_flows_process() -> None:
    """A hit needs no worker."""

    def pid() -> int:
        return os.getpid()

    first = submitted(pid, cache_key_fn=task_input_hash)
    with recorder() as seen:
        assert submitted(pid, cache_key_fn=task_input_hash) == first
    assert [end.state for end in seen.of(TaskRunFinished)] == ["cached"]


WAITING = """
    import os, sys, time
    from pathlib import Path
    from flowtell import ProcessPoolTaskRunner, flow, get_run_logger, task

    @task(retries=3)
    def waits():
        try:
            print(os.getpid(), flush=True)
            time.sleep(60)
        finally:
            get_run_logger().info("cleaned up")

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def around():
        waits.submit()

    if __name__ == "__main__":
        around()
"""


def _is_gone(pid: int) -> bool:
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and b") Z " not in Path(f"/proc/{pid}/stat").read_bytes():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def test_ctrl_c_ends_the_workers_after_their_clean_up(script: Script, journaled: Callable[[], list[Event]]) -> None:
    """Bodies see it as a Ctrl-C of their own; nothing is tried again."""
    process = script(WAITING, FLOWTELL_QUIET="1")
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert _is_gone(worker)
    events = journaled()
    assert [event.state for event in events if isinstance(event, TaskRunFinished)] == ["cancelled"]
    assert [event.message for event in events if isinstance(event, LogRecorded)] == ["cleaned up"]
    assert not any(isinstance(event, TaskRunRetrying) for event in events)


@pytest.mark.slow
def test_cancel_reaches_the_workers(tmp_path: Path, home: Path, journaled: Callable[[], list[Event]]) -> None:
    """`flowtell cancel` of a run that another terminal has begun, as Ctrl-C would."""
    path = tmp_path / "waiting.py"
    path.write_text(textwrap.dedent(WAITING))
    command = str(Path(sys.executable).with_name("flowtell"))
    environment = {**os.environ, "FLOWTELL_HOME": str(home)}
    process = subprocess.Popen([command, "run", f"{path}:around"], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    (run,) = {event.run for event in journaled() if event.run}
    subprocess.run([command, "cancel", run], env=environment, check=True, timeout=60, capture_output=True)
    process.communicate(timeout=20)
    assert _is_gone(worker)
    # from the log: a journal that was read to its end may be gone
    told = subprocess.run([command, "logs", run], env=environment, check=True, timeout=60, capture_output=True, text=True)
    assert "cleaned up" in told.stdout


def test_workers_do_not_outlive_a_killed_flow(script: Script) -> None:
    """Whatever they are at: they notice that nobody is there."""
    process = script(WAITING)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    process.kill()
    process.communicate(timeout=20)
    assert _is_gone(worker)
