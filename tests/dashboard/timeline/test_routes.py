"""What the page asks by itself, over HTTP, as a server mounts it."""

from __future__ import annotations

from sqlalchemy import select
from starlette.testclient import TestClient

from flowtell.events import FlowRunStarted
from flowtell.ids import new_id
from flowtell.store.tables import runs
from flowtell.testing import PluginHarness
from flowtell_dashboard.timeline.wire import decode

HOUR = 3_600_000_000


def window(house: PluginHarness, hours: int = 24, **more: str) -> dict[str, str]:
    now = house.clock()
    return {"from": str(now - hours * HOUR), "to": str(now + HOUR), **more}


def test_the_picture_of_a_real_history(client: TestClient, house: PluginHarness) -> None:
    """Six runs that ended in different ways, each with a bar or in a column."""
    answer = client.get("/_timeline/blocks", params=window(house))
    head, arrays = decode(answer.content)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert head["shown"] == head["of"] == 6
    assert len(head["runs"]) + int(arrays["columnBegun"].sum()) == 6


def test_a_run_that_starts_is_in_the_next_picture(client: TestClient, house: PluginHarness) -> None:
    """The plugin's events bring it, not a reload of the table."""
    before, _ = decode(client.get("/_timeline/blocks", params=window(house)).content)
    house.feed([FlowRunStarted(time=house.clock(), run=new_id(), flow="new", environment="test")])
    after, _ = decode(client.get("/_timeline/blocks", params=window(house)).content)
    assert after["seq"] > before["seq"]
    assert (before["shown"], after["shown"]) == (6, 7)
    assert ["new", "test", 1, 0, 1] in after["lanes"]


def test_a_run_has_a_label_and_an_unknown_one_says_so(client: TestClient, house: PluginHarness) -> None:
    """By id; no parameter value and no message of an error is in it."""
    run = house.read(select(runs.c.id))[0].id
    label = client.get("/_timeline/run", params={"id": run}).json()
    assert label["id"] == run
    assert set(label) >= {"flow", "word", "started", "duration"}
    missing = client.get("/_timeline/run", params={"id": "f" * 32})
    assert "f" * 32 in missing.json()["missing"]


def test_a_question_that_makes_no_sense_is_refused(client: TestClient, house: PluginHarness) -> None:
    """With a sentence, and never with a trace."""
    for wrong in (
        {},
        {"from": "1", "to": "1"},
        {"from": "x", "to": "5"},
        window(house, width="-1"),
        {"from": "9" * 30, "to": "1"},
    ):
        answer = client.get("/_timeline/blocks", params=wrong)
        assert answer.status_code == 400
        assert "must be" in answer.json()["error"]


def test_what_is_too_large_is_made_smaller(client: TestClient, house: PluginHarness) -> None:
    """Widths and numbers of lanes are bounded, so that nobody can ask for a gigabyte."""
    answer = client.get("/_timeline/blocks", params=window(house, width="99999999", lanes="99999", margin="9999"))
    head, _ = decode(answer.content)
    assert head["width"] <= 8000 * 5
