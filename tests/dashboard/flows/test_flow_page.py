"""One flow over its last runs."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from flowtell.store.tables import runs
from flowtell.testing import PluginHarness
from flowtell_dashboard.flows.flow_page import read_flow_page, wanted
from flowtell_dashboard.flows.history import read_history, read_tasks
from flowtell_dashboard.timeline.index import Index


@pytest.fixture
def flow(house: PluginHarness) -> str:
    return str(house.read(select(runs.c.flow).limit(1))[0].flow)


def test_a_flow_has_its_runs_its_tasks_and_its_facts(house: PluginHarness, flow: str, words: Any) -> None:
    """The oldest run first, as charts are read; the parts of the time add up."""
    page = read_flow_page(house.store.read, Index(house.store.read), (flow, ""), house.clock())
    assert len(page.points["id"]) == len(page.points["duration"]) > 1
    assert page.points["started"] == sorted(page.points["started"])
    assert sum(task["part"] for task in page.tasks) == pytest.approx(1.0)
    assert flow in words(page.head)
    assert page.title == flow


def test_an_unknown_flow_says_so(house: PluginHarness, words: Any) -> None:
    """And leads back."""
    page = read_flow_page(house.store.read, Index(house.store.read), ("nosuch", ""), house.clock())
    assert "No flow of this name has run here" in words(page.head)
    assert page.tasks == []


def test_the_address_may_hold_any_name() -> None:
    """Slashes, markup and nothing at all."""
    assert wanted("?name=a%2Fb%3Cc%3E&environment=prod") == ("a/b<c>", "prod")
    assert wanted("") == wanted(None) == ("", "")
    assert wanted("?name=" + "x" * 500)[0] == "x" * 200


def test_every_query_goes_by_an_index_and_stops(watched: Any, flow: str) -> None:
    """A flow of a million runs costs what one of two hundred does."""
    read_tasks(watched, read_history(watched, flow, ""))
    for said, plan in watched.asked:
        assert "SCAN" not in plan, (said, plan)
        assert "LIMIT" in said
