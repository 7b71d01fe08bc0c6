"""The log lines of a run, as the page asks for them."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from flowtell.events import FlowRunStarted, LogRecorded
from flowtell.ids import new_id
from flowtell.testing import PluginHarness
from flowtell_dashboard.gantt import logs

LINES = 25


@pytest.fixture
def run(house: PluginHarness) -> str:
    """A run of 25 lines beside another's."""
    moment, run = house.clock(), new_id()
    house.feed([FlowRunStarted(id=new_id(), time=moment, run=run, flow="wordy")])
    house.feed(
        LogRecorded(id=new_id(), time=moment, run=each, flow="wordy", message=f"line {number}")
        for number in range(LINES)
        for each in (run, "f" * 32)
    )
    return run


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "NEWEST", 10)
    monkeypatch.setattr(logs, "A_TIME", 10)


def asked(client: TestClient, run: str, after: str | None = None) -> Any:
    return client.get("/_timeline/logs", params={"run": run} | ({"after": after} if after is not None else {})).json()


def test_the_newest_come_first(client: TestClient, run: str) -> None:
    """A screen of them at once, and that there are more."""
    got = asked(client, run)
    assert got["message"] == [f"line {number}" for number in range(15, 25)]
    assert got["more"]


def test_all_come_in_order_by_parts(client: TestClient, run: str) -> None:
    """Each begins after the last line of the one before; none is another run's."""
    said: list[str] = []
    after = "0"
    while True:
        got = asked(client, run, after)
        said += got["message"]
        if not got["more"]:
            break
        after = str(got["seq"][-1])
    assert said == [f"line {number}" for number in range(LINES)]


def test_a_hand_made_question_is_no_error(client: TestClient, run: str) -> None:
    """What is no number counts as not said; an unknown run has no lines."""
    assert asked(client, run, "soon")["message"][-1] == "line 24"
    assert asked(client, run, "9" * 40)["message"][-1] == "line 24"
    assert asked(client, "nobody")["seq"] == []


def test_lines_are_found_by_an_index(run: str, watched: Any) -> None:
    """However many events the log has."""
    logs.read_lines(watched, run, None)
    logs.read_lines(watched, run, 0)
    for said, plan in watched.asked:
        assert "USING INDEX events_logs" in plan, (said, plan)
        assert "LIMIT" in said
