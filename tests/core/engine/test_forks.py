"""Flows that fork, spawn and use multiprocessing: the run stays its first process's."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flowtell.events import Event

Read = Callable[[], list[Event]]
Script = Callable[..., "subprocess.Popen[str]"]


def finished(events: list[Event], kind: str) -> list[tuple[str, str]]:
    return [(event.task or event.flow, event.state) for event in events if event.type == f"{kind}.finished"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("leave", ["os._exit(0)", "sys.exit(3)", "return 'child'", "raise ValueError"])
def test_a_forked_child_ends_no_run_of_its_parent(script: Script, journaled: Read, leave: str) -> None:
    """However the child leaves, the parent's flow and task end once, as they do in the parent."""
    process = script(f"""
        import os, sys, time
        from flowtell import flow, task, measure

        @task
        def forks():
            if os.fork() == 0:
                measure("child", 1)
                {leave}
            os.wait()
            return "parent"

        @flow
        def outer():
            return forks()

        outer()
        """)
    process.communicate(timeout=20)
    events = journaled()
    assert finished(events, "task_run") == [("forks", "completed")]
    assert finished(events, "flow_run") == [("outer", "completed")]
    [measured] = [event for event in events if event.type == "measure.recorded"]
    assert measured.run == next(event.run for event in events if event.type == "flow_run.started")


def test_a_child_runs_tasks_in_its_parents_run(script: Script, journaled: Read, home: Path) -> None:
    """In a journal of its own, with threads of its own."""
    process = script("""
        import multiprocessing
        from flowtell import flow, task

        @task
        def double(x):
            return 2 * x

        def work(x):
            assert double.map([x, x]).result(timeout=10) == [2 * x, 2 * x]
            return double(x)

        @flow
        def outer():
            double.submit(0).wait()
            with multiprocessing.get_context("fork").Pool(2) as pool:
                return pool.map(work, [1, 2])

        assert outer() == [2, 4]
        """)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    events = journaled()
    assert {event.run for event in events if event.type == "task_run.started"} == {
        event.run for event in events if event.type == "flow_run.started"
    }
    assert finished(events, "flow_run") == [("outer", "completed")]
    assert len(finished(events, "task_run")) == 7
    assert len(list(home.glob("journals/*.jsonl"))) >= 2


def test_a_spawned_child_has_runs_of_its_own(script: Script, journaled: Read) -> None:
    """Nothing of the parent's run comes along: its tasks stand by themselves."""
    process = script("""
        import multiprocessing
        from flowtell import flow, task

        @task
        def double(x):
            return 2 * x

        @flow
        def outer():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                return pool.map(double, [1, 2])

        if __name__ == "__main__":
            assert outer() == [2, 4]
        """)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    events = journaled()
    assert finished(events, "task_run") == [("double", "completed")] * 2
    assert {event.run for event in events if event.type == "task_run.started"} == {""}
