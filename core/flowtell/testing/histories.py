"""Events as real flows make them, for tests of what consumes events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flowtell import events as e
from flowtell.ids import derived_id
from flowtell.testing.clock import FakeClock

START = FakeClock().now


def example_history(
    runs: int = 6, tasks: int = 3, flow: str = "nightly", environment: str = "test", start: int = START
) -> list[e.Event]:
    """A flow's declaration and runs that end in every state, with retries, a log line, a measure, an asset and a subflow.

    Ids are the same at every call, so that two histories are the same events.
    """
    made: list[e.Event] = [_declared(flow, environment, start)]
    for number in range(runs):
        made += _run(number, tasks, flow, environment, start + number * 60_000_000)
    return made


def _declared(flow: str, environment: str, at: int) -> e.Event:
    rules = (
        e.RuleData(kind="failed", arguments={"consecutive": 1}, severity="error"),
        e.RuleData(kind="too_long", arguments={"bound": 30.0}, severity="warning"),
    )
    return e.FlowDeclared(
        id=derived_id(at, flow, "declared"),
        time=at,
        flow=flow,
        environment=environment,
        version="1",
        owners=("data",),
        rules=rules,
    )


def _run(number: int, tasks: int, flow: str, environment: str, at: int) -> Iterator[e.Event]:
    state = e.END_STATES[number % len(e.END_STATES)]
    run = derived_id(at, flow, str(number))
    common: dict[str, Any] = {"run": run, "flow": flow, "environment": environment}
    new = _numbered(run, at)
    yield e.FlowRunStarted(**new(), **common, name=f"run-{number}", trace=run, parameters={"day": number}, tags=("example",))
    for index in range(tasks):
        yield from _task_run(index, state, run, new, common)
    error = e.Failure(type="ValueError", message="no rows") if state in ("failed", "crashed", "timed_out") else None
    yield e.FlowRunFinished(
        **new(), **common, state=state, duration=12.5 + number, error=error, cpu_seconds=0.25, peak_memory=50_000_000
    )


def _task_run(
    index: int, state: str, run: str, new: Callable[[], dict[str, Any]], common: dict[str, Any]
) -> Iterator[e.Event]:
    mine: dict[str, Any] = {
        **common,
        "task_run": derived_id(START, run, "task", str(index)),
        "task": f"task_{index}",
    }
    yield e.TaskRunStarted(**new(), **mine, dynamic_key=str(index))
    if index == 1:
        yield e.TaskRunRetrying(**new(), **mine, attempt=1, delay=0.5, error=e.Failure(type="TimeoutError"))
        yield e.TaskRunStarted(**new(), **mine, attempt=2, dynamic_key=str(index))
    yield e.LogRecorded(**new(), **mine, level="INFO", message=f"working on {index}")
    yield e.MeasureRecorded(**new(), **mine, name="rows", value=100.0 * index)
    ended = state if index == 0 else "completed"
    upstream = (e.UpstreamAsset(asset="file://raw", evidence="declared"),)
    if ended == "completed":
        yield e.AssetMaterialized(**new(), **mine, asset=f"file://clean/{index}", upstream=upstream, rows=10)
    yield e.TaskRunFinished(**new(), **mine, state=ended, duration=1.5, attempts=2 if index == 1 else 1)


def _numbered(run: str, at: int) -> Callable[[], dict[str, Any]]:
    """Id and time of the next event of a run, a second apart."""
    count = 0

    def following() -> dict[str, Any]:
        nonlocal count
        count += 1
        return {"id": derived_id(at + count, run, str(count)), "time": at + count * 1_000_000}

    return following
