"""A task is a step of a flow that is observed by itself."""

from __future__ import annotations

import pytest

from flowtell import current_run, flow, task
from flowtell.events import FlowRunStarted, TaskRunFinished, TaskRunStarted
from flowtell.testing import recorder


@task
def double(x: int) -> int:
    return 2 * x


def test_a_task_runs_where_it_is_called() -> None:
    """Called in a flow, a task runs there and then, and is part of that flow's run."""

    @flow
    def twice() -> int:
        return double(1) + double(2)

    with recorder() as seen:
        assert twice() == 6
    [flow_run] = seen.of(FlowRunStarted)
    assert [(run.flow, run.run, run.task, run.dynamic_key) for run in seen.of(TaskRunStarted)] == [
        ("twice", flow_run.run, "double", "0"),
        ("twice", flow_run.run, "double", "1"),
    ]
    assert [run.state for run in seen.of(TaskRunFinished)] == ["completed", "completed"]


def test_a_task_needs_no_flow() -> None:
    """Outside of flows a task is a run of its own."""
    with recorder() as seen:
        assert double(2) == 4
    [started] = seen.of(TaskRunStarted)
    assert (started.run, started.flow, started.task) == ("", "", "double")


def test_a_task_may_call_tasks() -> None:
    """A task inside a task belongs to the same flow run."""

    @task
    def quadruple(x: int) -> int:
        return double(double(x))

    @flow
    def compute() -> int:
        return quadruple(1)

    with recorder() as seen:
        assert compute() == 4
    assert len({run.run for run in seen.of(TaskRunStarted)}) == 1
    assert [run.task for run in seen.of(TaskRunFinished)] == ["double", "double", "quadruple"]


def test_a_failing_task_fails_its_flow_unless_it_is_caught() -> None:
    """The exception is an ordinary one: catch it, and the flow goes on."""

    @task
    def broken() -> None:
        raise RuntimeError("no")

    @flow
    def careful() -> str:
        try:
            broken()
        except RuntimeError:
            return "went on"
        return "never"

    with recorder() as seen:
        assert careful() == "went on"
    assert [run.state for run in seen.of(TaskRunFinished)] == ["failed"]


def test_a_flow_in_a_flow_is_a_child_run() -> None:
    """A subflow has a run of its own, within the trace of the root."""

    @flow
    def child() -> str:
        return double.fn(1) and "child"

    @task
    def calls_a_flow() -> str:
        return child()

    @flow
    def parent() -> None:
        child()
        calls_a_flow()

    with recorder() as seen:
        parent()
    root, direct, in_task = seen.of(FlowRunStarted)
    [task_run] = seen.of(TaskRunStarted)
    assert (root.root_run, root.trace) == ("", root.run)
    for run in (direct, in_task):
        assert run.run != root.run
        assert (run.parent_run, run.root_run, run.trace) == (root.run, root.run, root.run)
    assert (direct.parent_task_run, in_task.parent_task_run) == ("", task_run.task_run)


def test_a_method_can_be_a_task_or_flow() -> None:
    """Decorated in a class, it is called on the instance."""

    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name

        @task
        def greet(self, who: str) -> str:
            return f"{self.name} greets {who}"

        @flow
        def open(self, hour: int) -> str:
            return f"{self.greet('you')} at {hour}"

    assert Shop("berlin").greet("you") == "berlin greets you"
    with recorder() as seen:
        assert Shop("berlin").open("9") == "berlin greets you at 9"  # type: ignore[arg-type]
    assert seen.of(FlowRunStarted)[0].parameters == {"hour": 9}


def test_a_task_knows_itself() -> None:
    """Inside a task `current_run()` is the task's, afterwards the flow's again."""

    @task(task_run_name="part {n}")
    def part(n: int) -> str:
        run = current_run()
        assert run is not None
        return f"{run.kind} {run.name} of {run.flow}"

    @flow
    def whole() -> tuple[str, str]:
        inner = part(3)
        run = current_run()
        assert run is not None
        return inner, run.kind

    assert whole() == ("task part 3 of whole", "flow")


def test_nothing_but_functions_changes() -> None:
    """Arguments and results are handed through as they are: the same objects."""
    given = [1, 2]

    @task
    def same(x: list[int]) -> list[int]:
        return x

    @flow
    def through(x: list[int]) -> list[int]:
        return same(x)

    assert same(given) is given
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        same()  # type: ignore[call-arg]
