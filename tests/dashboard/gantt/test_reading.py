"""What the picture of one run is made of."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from flowtell import flow, task
from flowtell.errors import RunNotFound
from flowtell.events import Event
from flowtell.store.reading import list_runs
from flowtell.testing import PluginHarness, recorder
from flowtell_dashboard.gantt.reading import percentile, read_gantt


@pytest.fixture
def played(house: PluginHarness) -> Callable[[Callable[[], object]], str]:
    """Run a flow and feed what it emits: `played(flow)` is the run's id."""

    def play(run: Callable[[], object]) -> str:
        with recorder() as record:
            run()
        events: list[Event] = list(record.events)
        house.feed(events)
        return next(
            event.run for event in events if event.type == "flow_run.started" and not getattr(event, "parent_run", "")
        )

    return play


@task
def extract() -> list[int]:
    time.sleep(0.02)
    return [1, 2, 3]


@task
def load(rows: list[int]) -> int:
    return len(rows)


@flow
def publish(count: int) -> None: ...


@flow(name="told in time")
def nightly() -> None:
    publish(load(extract()))


def by_name(data: dict[str, Any], what: str) -> dict[str, Any]:
    return dict(zip(data["name"], data[what], strict=True))


def test_a_run_has_its_tasks_and_subflows_on_its_path(played: Any, house: PluginHarness) -> None:
    """In the order in which they began; the path goes through the data that was handed on."""
    data = read_gantt(house.store.read, played(nightly), house.clock())
    assert data["name"] == ["extract", "load", "publish"]
    assert data["kind"] == ["task", "task", "flow"]
    assert data["path"] == data["id"]
    assert not data["open"]
    assert all(slack < 1_000_000 for slack in data["slack"])


def test_a_task_is_told_slow_by_its_own_history(played: Any, house: PluginHarness) -> None:
    """After a few runs each bar says how many of a hundred earlier ones took no longer."""
    for _ in range(6):
        run = played(nightly)
    data = read_gantt(house.store.read, run, house.clock())
    assert 0 <= by_name(data, "percentile")["extract"] <= 100
    assert by_name(data, "median")["extract"] >= 0.02
    first = list_runs(house.store.read, flow="told in time", limit=10)[-1].id
    assert by_name(read_gantt(house.store.read, first, house.clock()), "percentile")["extract"] is None


def test_percentiles_need_a_history() -> None:
    """Of four earlier ones nothing is said."""
    assert percentile(1.0, [1, 2, 3, 4]) is None
    assert percentile(None, [1, 2, 3, 4, 5]) is None
    assert percentile(3.0, [1, 2, 3, 4, 5]) == 60
    assert percentile(9.0, [1, 2, 3, 4, 5]) == 100


def test_every_query_goes_by_an_index(played: Any, house: PluginHarness, watched: Any) -> None:
    """And has a limit: a run of the flow's past is found without a walk through all runs."""
    read_gantt(watched, played(nightly), house.clock())
    for said, plan in watched.asked:
        assert "SCAN" not in plan, (said, plan)
        assert "LIMIT" in said or "runs.id =" in said


def test_an_unknown_run_is_said_to_be_unknown(client: TestClient, house: PluginHarness) -> None:
    """Over HTTP too, as an answer."""
    with pytest.raises(RunNotFound):
        read_gantt(house.store.read, "e" * 32, house.clock())
    assert "missing" in client.get("/_timeline/tasks", params={"id": "e" * 32}).json()
