"""How flowtell itself is, said first where it is not well."""

from __future__ import annotations

from typing import Any

from flowtell.events import Failure, SourceDown, SourceProgress, SourceUp
from flowtell.ids import new_id
from flowtell.plugin import PluginStatus
from flowtell.testing import PluginHarness
from flowtell_dashboard.health import Asked, read_health
from flowtell_dashboard.sources import Sources

SECOND = 1_000_000
WELL = PluginStatus(name="metrics", distribution="flowtell-exporters", version="0.1.0", state="running")


def said(words: Any, component: Any) -> str:
    """Its words, with one space between any two."""
    return " ".join(words(component).split())


def asked(house: PluginHarness, plugins: tuple[PluginStatus, ...] = (WELL,), sources: Sources | None = None) -> Asked:
    return Asked(house.store.read, lambda: plugins, (sources or Sources()).all, house.clock)


def test_a_well_house_says_so(house: PluginHarness, words: Any) -> None:
    """With what is kept and for how long."""
    page = read_health(asked(house))
    assert "All is well" in said(words, page.head)
    assert "metrics flowtell-exporters 0.1.0 running" in said(words, page.body)
    assert "Events 30 days" in said(words, page.body)


def test_what_is_not_well_comes_first_with_what_to_do(house: PluginHarness, words: Any) -> None:
    """A breaker that is open, one that is behind, events set aside."""
    broken = PluginStatus(name="lineage", state="broken", last_error="KeyError: day", dead_events=3)
    slow = PluginStatus(name="traces", state="running", lag_events=9000, lag_seconds=300.0)
    head = said(words, read_health(asked(house, (WELL, broken, slow))).head)
    assert head.startswith("3 things to look at")
    assert "Plugin lineage is broken. It failed too often and rests" in head
    assert "KeyError: day" in head
    assert "Plugin traces is behind by 9,000 events, 300 s." in head
    assert "metrics" not in head


def test_sources_say_how_they_are(house: PluginHarness, words: Any) -> None:
    """Down with its reason, up again, and behind."""
    sources, now = Sources(), house.clock()
    named = {"source": "prefect"}
    sources.take([SourceDown(id=new_id(), time=now, error=Failure(type="OSError", message="refused"), **named)])
    assert "Source prefect is down. refused" in said(words, read_health(asked(house, sources=sources)).head)
    sources.take([SourceUp(id=new_id(), time=now + 1, **named)])
    assert "All is well" in said(words, read_health(asked(house, sources=sources)).head)
    sources.take([SourceProgress(id=new_id(), time=now + 2, complete_until=now - 120 * SECOND, **named)])
    assert "Source prefect is behind by 120 s." in said(words, read_health(asked(house, sources=sources)).head)


def test_nothing_on_it_may_take_long(house: PluginHarness, watched: Any) -> None:
    """What is counted stops at a million, whatever the table."""
    read_health(asked(house)._replace(read=watched))
    for statement, plan in watched.asked:
        assert "SCAN events" not in plan or "LIMIT" in statement, (statement, plan)
