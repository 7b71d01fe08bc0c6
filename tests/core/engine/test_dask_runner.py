"""Task bodies on the workers of a real Dask cluster: two processes, a scheduler, and what becomes of a lost one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowtell import (
    Asset,
    DaskTaskRunner,
    current_run,
    flow,
    get_run_logger,
    materialize,
    measure,
    task,
)
from flowtell.errors import CannotCross, DaskMissing, RunTimedOut
from flowtell.events import (
    AssetMaterialized,
    Event,
    FlowRunFinished,
    LogRecorded,
    MeasureRecorded,
    TaskRunFinished,
    TaskRunPending,
    TaskRunRetrying,
    TaskRunStarted,
)
from flowtell.testing import recorder

distributed = pytest.importorskip("distributed", reason="distributed is not installed: pip install 'flowtell[dask]'")

Script = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[DaskTaskRunner]:
    """One for the module, as starting it takes seconds. What it keeps of its own in this process is there beforehand."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as made:
        with distributed.Client(made, set_as_default=False) as client:
            future = client.submit(abs, 1)
            future.add_done_callback(lambda _: None)
            future.result()
        yield DaskTaskRunner(address=made.scheduler_address)


def submitted(runner: DaskTaskRunner, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Its result as a task in a flow whose tasks run there."""
    work = task(**options)(function) if options else task(function)

    @flow(task_runner=runner)
    def around() -> Any:
        return work.submit(*args)

    return around()


def test_what_a_body_says_comes_back_between_start_and_end(cluster: DaskTaskRunner, home: Path) -> None:
    """Its run, log, prints and measures, in the one journal of the flow's process."""

    def body(parent: int) -> Any:
        run = current_run()
        assert run is not None
        get_run_logger().info("read")
        measure("rows", 3)
        print("printed")
        return os.getpid() != parent, run.name, run.flow, run.attempt, run.tags

    with recorder() as seen:
        assert submitted(cluster, body, os.getpid(), log_prints=True, tags=["fine"]) == (
            True, "body-0", "around", 1, ("fine",)
        )  # fmt: skip
    said = ["task_run.pending", "task_run.started", "log.recorded", "measure.recorded", "log.recorded", "task_run.finished"]
    assert [event.type for event in seen.events if event.task_run] == said
    assert {event.runner for event in (*seen.of(TaskRunPending), *seen.of(TaskRunStarted))} == {"dask"}
    (journal,) = home.glob("journals/*.jsonl")
    assert journal.read_bytes().count(b'"log.recorded"') == 2


def test_many_mapped_runs_all_end(cluster: DaskTaskRunner) -> None:
    """More than are at the cluster at a time, in the order of their arguments."""

    @task
    def double(x: int) -> int:
        return 2 * x

    @flow(task_runner=cluster)
    def around() -> list[int]:
        return double.map(range(300)).result()

    with recorder() as seen:
        assert around() == [2 * x for x in range(300)]
    assert len(seen.of(TaskRunStarted)) == len(seen.of(TaskRunFinished)) == 300


def test_failures_retries_and_time_outs_are_as_ever(cluster: DaskTaskRunner) -> None:
    """The exception with its traceback, attempts from here, time-outs there; what cannot cross is named."""

    def fails_once() -> int:
        run = current_run()
        assert run is not None
        if run.attempt == 1:
            raise ValueError("not yet")
        return run.attempt

    with recorder() as seen:
        assert submitted(cluster, fails_once, retries=1) == 2
    (told,) = seen.of(TaskRunRetrying)
    assert told.error is not None
    assert ", in fails_once" in told.error.traceback
    with pytest.raises(RunTimedOut):
        submitted(cluster, lambda: time.sleep(1), timeout_seconds=0.1)
    with pytest.raises(CannotCross, match="Argument 'data'"):
        submitted(cluster, lambda data: data, (line for line in ""))


def test_lineage_goes_through_the_cluster(cluster: DaskTaskRunner) -> None:
    """What is made of what, and what bodies say of it."""

    @materialize("s3://lake/raw")
    def raw() -> dict[str, int]:
        Asset("s3://lake/raw").add_metadata({"rows": 3})
        return {"rows": 3}

    @materialize("s3://lake/clean")
    def clean(data: dict[str, int]) -> None:
        Asset("s3://lake/other").observe()

    @flow(task_runner=cluster)
    def around() -> None:
        clean.submit(raw.submit())

    with recorder() as seen:
        around()
    first, second = seen.of(AssetMaterialized)
    assert first.metadata == {"rows": 3}
    assert {one.asset for one in second.upstream} == {"s3://lake/raw", "s3://lake/other"}


def test_a_cancelled_flow_interrupts_bodies_and_takes_back_what_waits(cluster: DaskTaskRunner, tmp_path: Path) -> None:
    """Bodies see a Ctrl-C at their next step in Python, and what they log of their clean-up is kept."""

    def loops() -> None:
        try:
            measure("begun", 1)
            (tmp_path / str(os.getpid())).touch()
            while True:
                time.sleep(0.01)
        finally:
            get_run_logger().info("cleaned up")

    work = task(loops)

    @flow(task_runner=cluster)
    def around(started: Any) -> None:
        for _ in range(4):
            work.submit()
        started()
        raise KeyboardInterrupt

    with recorder() as seen:

        def two_run() -> None:
            until = time.monotonic() + 30
            while (len(list(tmp_path.iterdir())) < 2 or len(seen.of(TaskRunStarted)) < 2) and time.monotonic() < until:
                time.sleep(0.01)

        with pytest.raises(KeyboardInterrupt):
            around(two_run)
    assert [end.state for end in seen.of(TaskRunFinished)] == ["cancelled"] * 4
    assert [event.message for event in seen.of(LogRecorded)] == ["cleaned up"] * 2
    assert [event.value for event in seen.of(MeasureRecorded)] == [1, 1]


@pytest.mark.slow
def test_a_lost_worker_is_an_attempt_and_the_run_goes_on(tmp_path: Path) -> None:
    """Dask begins it again on another worker; that uses up no retry of the task's."""
    flag = tmp_path / "killed"

    def body() -> int:
        if not flag.exists():
            flag.touch()
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGKILL)
        return 1

    own = DaskTaskRunner(cluster_kwargs={"n_workers": 2, "threads_per_worker": 1})
    with recorder() as seen:
        assert submitted(own, body) == 1
    assert [event.attempt for event in seen.of(TaskRunStarted)] == [1, 2]
    (told,) = seen.of(TaskRunRetrying)
    assert told.error is not None
    assert "was lost while it ran task 'body'. Another has begun it again." in told.error.message
    (end,) = seen.of(TaskRunFinished)
    assert (end.state, end.attempts) == ("completed", 2)


@pytest.mark.slow
def test_workers_that_know_a_server_write_journals_that_ship(
    script: Script, journaled: Callable[[], list[Event]], home: Path
) -> None:
    """By `FLOWTELL_URL` in their environment: what a body says is another writer's, and nothing of it comes back."""
    process = script(
        """
        from flowtell import DaskTaskRunner, flow, get_run_logger, task

        @task
        def says():
            get_run_logger().info("from there")

        @flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 1, "threads_per_worker": 1}))
        def around():
            says.submit()

        if __name__ == "__main__":
            around()
        """,
        FLOWTELL_URL="http://127.0.0.1:9",
        FLOWTELL_SHIPPING__EXIT_SECONDS="0.1",
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    events = journaled()
    assert [event.message for event in events if isinstance(event, LogRecorded)] == ["from there"]
    assert [event.state for event in events if isinstance(event, FlowRunFinished)] == ["completed"]
    assert len(list(home.glob("journals/*.jsonl"))) == 2


def test_dask_is_asked_for_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first submitted task fails with what to install."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DaskMissing, match=r"pip install \"flowtell\[dask\]\""):
        submitted(DaskTaskRunner(), abs, 1)
