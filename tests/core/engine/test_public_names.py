"""The names that users import: frozen here, so that a change of them is a decision."""

from __future__ import annotations

import pytest

import flowtell

NAMES = {
    "absent",
    "Asset",
    "Flow",
    "State",
    "Task",
    "RunInput",
    "Secret",
    "Settings",
    "DaskTaskRunner",
    "ProcessPoolTaskRunner",
    "ThreadPoolTaskRunner",
    "allow_failure",
    "apause_flow_run",
    "bind",
    "blind",
    "budget",
    "concurrency",
    "cron",
    "current_run",
    "deadline",
    "emit_event",
    "every",
    "exponential_backoff",
    "failed",
    "flow",
    "get_run_logger",
    "late",
    "materialize",
    "measure",
    "measured",
    "pause_flow_run",
    "serve",
    "stale",
    "task",
    "task_input_hash",
    "too_long",
    "trace_environment",
    "unmapped",
    "when",
}


def test_these_names_are_public() -> None:
    """Each can be had, has a promise to read, and is listed where an interactive user looks."""
    assert set(flowtell.__all__) - {"__version__"} == NAMES
    assert set(dir(flowtell)) >= NAMES
    assert all(getattr(flowtell, name).__doc__ for name in NAMES)


@pytest.mark.parametrize("name", ["Variable"])
def test_a_name_that_is_not_built_yet_is_absent(name: str) -> None:
    """No stub that fails only when it is called."""
    with pytest.raises(AttributeError, match=f"'flowtell' has no attribute '{name}'"):
        getattr(flowtell, name)
