"""A page's own line to the server: what it is told, when, and what ends it."""

from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from flowtell.events import FlowRunStarted
from flowtell.ids import new_id
from flowtell.testing import PluginHarness
from flowtell_dashboard.timeline.wire import decode

HOUR = 3_600_000_000
LINE = "/_timeline/live"


def asks(house: PluginHarness, number: int, after: int, **more: str) -> str:
    now = house.clock()
    asked = {"from": str(now - 24 * HOUR), "to": str(now + HOUR), **more}
    return json.dumps({"number": number, "after": after, "asked": asked})


def start(house: PluginHarness, flow: str) -> None:
    house.feed([FlowRunStarted(time=house.clock(), run=new_id(), flow=flow, environment="test")])


def told(line) -> tuple[int, dict]:
    """The number of the question that is answered, and the picture's head."""
    body = line.receive_bytes()
    return int.from_bytes(body[:4], "little"), decode(body[4:])[0]


def test_a_page_is_told_what_happens(client: TestClient, house: PluginHarness) -> None:
    """At once what it has not seen, and then each time the log has moved."""
    with client.websocket_connect(LINE) as line:
        line.send_text(asks(house, 1, -1))
        number, head = told(line)
        assert (number, head["shown"]) == (1, 6)
        start(house, "new")
        number, later = told(line)
        assert (number, later["shown"]) == (1, 7)
        assert later["seq"] > head["seq"]


def test_after_a_break_it_goes_on_where_it_was(client: TestClient, house: PluginHarness) -> None:
    """With the `seq` of what it shows: nothing is told again, and nothing is missed."""
    with client.websocket_connect(LINE) as line:
        line.send_text(asks(house, 1, -1))
        seen = told(line)[1]["seq"]
    start(house, "while it was away")
    with client.websocket_connect(LINE) as line:
        line.send_text(asks(house, 1, seen))
        head = told(line)[1]
        assert head["shown"] == 7
        assert head["seq"] > seen


def test_the_newest_question_counts(client: TestClient, house: PluginHarness) -> None:
    """Whoever moves on is not told of where they were."""
    with client.websocket_connect(LINE) as line:
        line.send_text(asks(house, 1, 10**9))
        line.send_text(asks(house, 2, -1, state="failed"))
        number, head = told(line)
        assert number == 2
        assert head["shown"] == head["failed"] < head["of"]


@pytest.mark.parametrize("message", ["", "[]", '{"asked": 1}', '{"asked": {"from": "x", "to": "y"}}', "x" * 20_000])
def test_a_message_that_no_page_sends_ends_the_line(client: TestClient, message: str) -> None:
    """And nothing else."""
    with client.websocket_connect(LINE) as line:
        line.send_text(message)
        with pytest.raises(WebSocketDisconnect):
            line.receive_bytes()
    assert client.get("/_timeline/seq").json()["seq"] > 0


def test_a_server_that_goes_down_says_so(client: TestClient, house: PluginHarness) -> None:
    """So that the page is not silent until its next question, but looks for the server again."""
    with client.websocket_connect(LINE) as line:
        line.send_text(asks(house, 1, -1))
        told(line)
        house.runner.plugin.close(1.0)
        with pytest.raises(WebSocketDisconnect):
            line.receive_bytes()
