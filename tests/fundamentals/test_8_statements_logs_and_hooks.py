"""What a run says of itself, and who is told."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from flowtell import emit_event, flow, get_run_logger, measure, task
from flowtell.events import FlowRunFinished, LogRecorded, MeasureRecorded, UserEvent
from flowtell.testing import recorder


def test_a_measure_is_a_number_of_the_run() -> None:
    """With a name and a unit, from wherever in the run it is stated."""

    @task
    def load() -> None:
        measure("rows", 3)
        measure("size", 1.5, unit="MB")

    with recorder() as seen:
        load()
    assert [(one.task, one.name, one.value, one.unit) for one in seen.of(MeasureRecorded)] == [
        ("load", "rows", 3.0, ""),
        ("load", "size", 1.5, "MB"),
    ]


def test_a_measure_never_hurts() -> None:
    """Outside of runs it does nothing; what is no number is left out, with a warning in the run's log."""

    @flow
    def sloppy() -> None:
        measure("rows", None)  # type: ignore[arg-type]
        measure("share", float("nan"))

    measure("rows", 1)
    with recorder() as seen:
        sloppy()
    assert seen.of(MeasureRecorded) == []
    assert [line.level for line in seen.of(LogRecorded)] == ["WARNING", "WARNING"]


def test_an_event_of_ones_own() -> None:
    """Any dotted name that is not flowtell's, with whatever belongs to it."""

    @flow
    def refunds() -> str:
        return emit_event("shop.order.refunded", resource="order/7", payload={"amount": 3})

    with recorder() as seen:
        identifier = refunds()
    [event] = seen.of(UserEvent)
    assert (event.id, event.type, event.flow) == (identifier, "shop.order.refunded", "refunds")
    assert (event.resource, event.payload) == ({"id": "order/7"}, {"amount": 3})
    for taken in ("flow_run.started", "flow_run.mine", "undotted"):
        with pytest.raises(ValueError, match=repr(taken)):
            emit_event(taken)


def test_log_lines_belong_to_their_run() -> None:
    """`get_run_logger` is a logger of the standard library whose lines are kept."""

    @task
    def talks() -> None:
        get_run_logger().warning("only %d rows", 3)

    @flow
    def outer() -> None:
        get_run_logger().info("about to")
        talks()

    with recorder() as seen:
        outer()
    assert [(line.flow, line.task, line.level, line.message) for line in seen.of(LogRecorded)] == [
        ("outer", "", "INFO", "about to"),
        ("outer", "talks", "WARNING", "only 3 rows"),
    ]
    assert seen.of(LogRecorded)[0].file.endswith(".py")


def test_a_line_that_cannot_be_formatted_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept as it was written."""
    monkeypatch.setattr("_pytest.logging.LogCaptureHandler.emit", lambda handler, record: None)  # it raises for such a line

    @flow
    def slips() -> str:
        get_run_logger().info("%d rows", "many")
        return "went on"

    with recorder() as seen:
        assert slips() == "went on"
    assert seen.of(LogRecorded)[0].message == "%d rows"


def test_prints_can_be_log_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """With `log_prints` what the run prints is recorded, and still printed. Nobody else's print is touched."""

    @task
    def step() -> None:
        print("in a task", 1, sep="-")

    @task(log_prints=False)
    def private() -> None:
        print("mine")

    @flow(log_prints=True)
    def chatty() -> None:
        print("in the flow")
        step()
        private()

    before = print
    with recorder() as seen:
        chatty()
        print("outside")
    assert print is before
    assert [(line.task, line.message) for line in seen.of(LogRecorded)] == [("", "in the flow"), ("step", "in a task-1")]
    assert capsys.readouterr().out == "in the flow\nin a task-1\nmine\noutside\n"


def test_hooks_are_told_how_a_run_stands() -> None:
    """Each gets the flow or task, the run and the state."""
    told: list[tuple[str, str, str, str]] = []

    def tell(work: Any, run: Any, state: Any) -> None:
        told.append((work.name, run.kind, str(state), state.message))

    @task(on_running=[tell], on_failure=[tell])
    def broken() -> None:
        raise ValueError("no")

    @flow(on_running=[tell], on_completion=[tell], on_failure=[tell])
    def careful() -> None:
        with pytest.raises(ValueError, match="no"):
            broken()

    careful()
    assert told == [
        ("careful", "flow", "running", ""),
        ("broken", "task", "running", ""),
        ("broken", "task", "failed", "ValueError: no"),
        ("careful", "flow", "completed", ""),
    ]


def test_a_hook_that_raises_changes_nothing() -> None:
    """It leaves a line in the run's log. A hook may be a coroutine function."""
    awaited = []

    def bad(*_: Any) -> None:
        raise RuntimeError("hook trouble")

    async def good(*_: Any) -> None:
        awaited.append(1)

    @flow(on_completion=[bad, good])
    def fine() -> str:
        return "fine"

    with recorder() as seen:
        assert fine() == "fine"
    assert awaited == [1]
    assert seen.of(FlowRunFinished)[0].state == "completed"
    [line] = seen.of(LogRecorded)
    assert (line.level, "hook trouble" in line.message) == ("ERROR", True)


def test_the_standard_loggers_are_left_alone() -> None:
    """Lines of other loggers go where they always went, and are not kept."""

    @flow
    def talks() -> None:
        logging.getLogger("other").warning("not ours")

    with recorder() as seen:
        talks()
    assert seen.of(LogRecorded) == []
