"""What the palette is told: runs by id, flows by a part of their name, each with its address."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from flowtell_dashboard.finding import SHOWN, find
from flowtell_dashboard.timeline.index import Index


@pytest.fixture
def index(house):
    return Index(house.store.read)


def test_a_run_is_found_by_the_beginning_of_its_id(house, index):
    run = house.store.read(text("SELECT id FROM runs ORDER BY id LIMIT 1"))[0].id
    found = find(house.store.read, index, run[:24])
    assert [(one.kind, one.href) for one in found] == [("run", f"/runs/{run}")]


def test_flows_that_begin_so_come_first(store, put):
    put({"flow": "an order"}, {"flow": "orders"}, {"flow": "Order book"}, {"flow": "other"})
    index = Index(store.read)
    index.load()
    assert [one.label for one in find(store.read, index, "ORDER")] == ["Order book", "orders", "an order"]


def test_no_more_than_a_handful_and_nothing_for_nothing(store, put):
    put(*({"flow": f"flow {number}"} for number in range(50)))
    index = Index(store.read)
    index.load()
    assert len(find(store.read, index, "flow")) == SHOWN
    assert find(store.read, index, "  ") == find(store.read, index, "%_\x00" * 500) == []


def test_the_route_answers_as_json(client):
    """Whatever is asked."""
    assert client.get("/_find", params={"text": "night"}).json()[0]["href"] == "/flow?name=nightly&environment=test"
    assert client.get("/_find").json() == []
