"""A flow is a function whose every call is a run."""

from __future__ import annotations

import pytest

from flowtell import current_run, flow
from flowtell.events import FlowDeclared, FlowRunFinished, FlowRunStarted
from flowtell.testing import recorder


def test_calling_a_flow_runs_its_function() -> None:
    """A flow is called like the function that it decorates, and returns what that returns."""

    @flow
    def add(a: int, b: int = 2) -> int:
        return a + b

    assert add(1) == 3
    assert add(1, b=4) == 5


def test_a_run_is_a_start_and_an_end() -> None:
    """Each call leaves one start and one end, with the time it took and what it cost."""

    @flow
    def nightly() -> str:
        return "done"

    with recorder() as seen:
        nightly()
    [started], [finished] = seen.of(FlowRunStarted), seen.of(FlowRunFinished)
    assert started.flow == "nightly"
    assert finished.run == started.run
    assert finished.state == "completed"
    assert finished.duration is not None
    assert finished.duration > 0
    assert finished.cpu_seconds is not None
    assert finished.peak_memory is not None
    assert finished.peak_memory > 1_000_000  # bytes


def test_an_exception_fails_the_run_and_reaches_the_caller() -> None:
    """The caller gets the very exception; the run keeps its type, message and traceback."""
    trouble = ValueError("no rows")

    @flow
    def broken() -> None:
        raise trouble

    with recorder() as seen, pytest.raises(ValueError, match="no rows") as caught:
        broken()
    [finished] = seen.of(FlowRunFinished)
    assert caught.value is trouble
    assert finished.state == "failed"
    assert finished.error is not None
    assert (finished.error.type, finished.error.message) == ("ValueError", "no rows")
    assert "raise trouble" in finished.error.traceback
    assert "flowtell/engine" not in finished.error.traceback


def test_the_plain_function_stays_at_hand() -> None:
    """`.fn` is the function without a run around it."""

    @flow
    def double(x: int) -> int:
        """Twice x."""
        return 2 * x

    with recorder() as seen:
        assert double.fn(4) == 8
    assert seen.events == []
    assert double.__doc__ == "Twice x."


def test_a_flow_is_told_about_once() -> None:
    """Before its first run, what was said of it is written down: description, tags, owners, where its code is."""

    @flow(tags=["daily"], owners=["data@shop.example"], version="7")
    def orders() -> None:
        """Load the orders."""

    with recorder() as seen:
        orders()
        orders()
    [declared] = seen.of(FlowDeclared)
    assert (declared.flow, declared.description, declared.version) == ("orders", "Load the orders.", "7")
    assert (declared.tags, declared.owners) == (("daily",), ("data@shop.example",))
    assert declared.code is not None
    assert declared.code.file.endswith("test_1_flows.py")


def test_a_run_can_be_named_after_its_parameters() -> None:
    """`flow_run_name` is a format string over the parameters, or a function."""

    @flow(flow_run_name="orders of {day}")
    def by_text(day: str, shop: str = "berlin") -> None: ...

    @flow(flow_run_name=lambda: "from a function")
    def by_function() -> None: ...

    with recorder() as seen:
        by_text("monday")
        by_function()
    assert [started.name for started in seen.of(FlowRunStarted)] == ["orders of monday", "from a function"]


def test_a_flow_knows_its_run() -> None:
    """`current_run()` tells who and when; outside of runs there is none."""

    @flow(tags=["a"])
    def curious(day: str) -> object:
        return current_run()

    with recorder() as seen:
        run = curious("monday")
    [started] = seen.of(FlowRunStarted)
    assert run is not None
    assert current_run() is None
    assert (run.id, run.flow, run.attempt, run.parameters) == (started.run, "curious", 1, {"day": "monday"})  # type: ignore[attr-defined]


def test_options_can_be_changed_later() -> None:
    """`with_options` gives another flow; what is not named stays as it was."""

    @flow(name="base", tags=["a"])
    def base() -> None: ...

    with recorder() as seen:
        base.with_options(name="other")()
    [started] = seen.of(FlowRunStarted)
    assert (started.flow, started.tags) == ("other", ("a",))
    assert base.name == "base"


def test_an_unknown_option_is_refused() -> None:
    """A slip in an option's name is told at once, with the name that was meant."""
    with pytest.raises(TypeError, match="did you mean 'retries'"):
        flow(retrys=3)(lambda: None)  # type: ignore[call-overload]
