"""The list of runs says what there is, how much of it, and what to do where there is nothing."""

from __future__ import annotations

import pytest

from flowtell.events import FlowRunFinished, FlowRunStarted
from flowtell.ids import new_id
from flowtell_dashboard import neighbours
from flowtell_dashboard.costly import Costly
from flowtell_dashboard.filters import RunFilter
from flowtell_dashboard.overview import FIRST_RUN, SHOWN, layout, read_overview
from flowtell_dashboard.tiles import percent


@pytest.fixture
def overview(house):
    """What the page shows now: `overview(RunFilter(...))`."""
    return lambda wanted=RunFilter(): read_overview(house.store.read, wanted, house.clock())  # noqa: B008  # immutable


def test_runs_come_newest_first_with_their_state_in_words(overview):
    rows = overview().rows
    assert [row["name"] for row in rows] == [f"run-{number}" for number in reversed(range(6))]
    assert {row["word"] for row in rows} == {"Completed", "Cached", "Failed", "Timed out", "Cancelled", "Crashed"}
    assert rows[0] | {"href": ""} == rows[0] | {"href": "", "flow": "nightly", "tasks": 3, "environment": "test"}


def test_tiles_count_and_link_to_what_they_count(house, overview, words):
    """Whoever follows a number finds so many runs."""
    shown = {tile.id: tile for tile in overview().tiles}
    assert [words(tile) for tile in list(shown.values())[:5]] == [
        "Running 0 right now",
        "Late 0 right now",
        "Failed 3 last 24 hours",
        "Success 40 % of 5, last 24 hours",
        "Started 5 last hour",
    ]
    for tile, found in (("running", 0), ("late", 0), ("failed", 3), ("success", 5), ("throughput", 5)):
        wanted = RunFilter.of(shown[f"tile-{tile}"].href.partition("?")[2])
        assert len(overview(wanted).rows) == found


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, "none"), (0, 3, "0 %"), (2, 3, "66.6 %"), (99_999, 100_000, "99.9 %"), (7, 7, "100 %")],
)
def test_a_ratio_is_whole_only_where_all_went_well(part, whole, said):
    assert percent(part, whole) == said


def test_what_neighbours_count_is_shown_and_leads_there(house, words, monkeypatch):
    """Up to as many as their pages list; beyond that it says so."""
    monkeypatch.setattr(neighbours, "open_incidents", lambda _read: 2)
    monkeypatch.setattr(neighbours, "stale_assets", lambda _read: 501)
    two = read_overview(house.store.read, RunFilter(), house.clock()).tiles[-2:]
    assert [(words(tile), tile.href) for tile in two] == [
        ("Open incidents 2 now", "/alerts"),
        ("Stale assets 500+ now", "/assets?only=stale"),
    ]


def test_what_costs_much_takes_a_twentieth_of_the_time():
    """A second's count is good for twenty; what took no time is counted anew."""
    now, counted = [0.0], []

    def count(seconds):
        now[0] += seconds
        counted.append(seconds)
        return len(counted)

    costly = Costly(lambda: now[0])
    assert [costly.of(lambda: count(1.0)) for _ in range(3)] == [1, 1, 1]
    now[0] += 19.9
    assert costly.of(lambda: count(1.0)) == 1
    now[0] += 0.2
    assert [costly.of(lambda: count(0.01)) for _ in range(2)] == [2, 3]


def test_a_run_from_before_yesterday_that_still_runs_is_counted(house, words):
    """Running is now, whenever it began."""
    started = house.clock() - 3 * 86_400_000_000
    house.feed([FlowRunStarted(id=new_id(started), time=started, run=new_id(started), flow="slow")])
    shown = read_overview(house.store.read, RunFilter(since="any", state=("running",)), house.clock())
    assert words(shown.tiles[0]) == "Running 1 right now"
    assert [row["flow"] for row in shown.rows] == ["slow"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (RunFilter(state=("failed", "crashed")), 2),
        (RunFilter(flow="nightly"), 6),
        (RunFilter(flow="other"), 0),
        (RunFilter(environment="test"), 6),
        (RunFilter(text="RUN-3"), 1),
        (RunFilter(text="100%"), 0),
        (RunFilter(since="1h"), 5),
    ],
    ids=lambda value: value.link() if isinstance(value, RunFilter) else str(value),
)
def test_filters_narrow(overview, wanted, found):
    assert len(overview(wanted).rows) == found


def test_it_says_how_many_of_how_many(overview):
    assert overview().summary == "6 of 6 runs, last 30 days, newest first"
    assert overview(RunFilter(state=("failed",))).summary == "1 of 6 runs that match, last 30 days, newest first"


def test_all_runs_are_reached_page_by_page_once_each(house, words):
    """Nobody is skipped where a page ends, not even among runs of one moment."""
    moment = house.clock()
    house.feed([FlowRunStarted(id=new_id(moment), time=moment, run=new_id(moment), flow="many") for _ in range(250)])
    wanted, seen, pages = RunFilter(flow="many"), [], 0
    while wanted is not None:
        shown = read_overview(house.store.read, wanted, moment)
        seen += [row["id"] for row in shown.rows]
        older = [link for link in shown.pages if words(link) == "Older →"]
        wanted = RunFilter.of(older[0].href.partition("?")[2]) if older else None
        pages += 1
    assert (len(seen), len(set(seen)), pages) == (250, 250, -(-250 // SHOWN))
    assert words(shown.pages) == "← Newest"


def test_the_choices_are_what_is_there_and_what_is_chosen(overview):
    shown = overview(RunFilter(flow="gone"))
    assert shown.flows == ["gone", "nightly"]
    assert shown.environments == ["test"]


def test_an_empty_store_says_what_to_type(empty, words):
    """And what it says to type is a flow."""
    shown = read_overview(empty.store.read, RunFilter(), empty.clock())
    assert "python hello.py" in words(shown.instead)
    assert FIRST_RUN in words(shown.instead)
    compile(FIRST_RUN, "hello.py", "exec")


def test_filters_that_leave_nothing_offer_the_way_back(overview, words):
    assert "Show all runs" in words(overview(RunFilter(text="nothing like it")).instead)
    assert overview().instead is None


def test_a_window_without_runs_offers_a_longer_one(house, words):
    house.clock.advance(40 * 86_400)
    shown = read_overview(house.store.read, RunFilter(), house.clock())
    assert "Look at any time" in words(shown.instead)


def test_every_query_is_bounded_and_walks_an_index(house, watched):
    """A limit or a bound in time on each; none reads the table of runs from end to end or sorts it."""
    for wanted in (RunFilter(), RunFilter(flow="nightly", state=("failed",), since="any"), RunFilter(text="x")):
        read_overview(watched, wanted, house.clock())
    assert len(watched.asked) >= 15
    for said, plan in watched.asked:
        assert any(bound in said for bound in ("LIMIT", "runs.started >=", "runs.id IN", "cursors.plugin =")), said
        assert "SCAN runs" not in plan.replace("SCAN runs USING", ""), plan
        assert "ORDER BY" not in plan, plan


def test_what_is_not_installed_or_switched_off_has_no_tile(house, monkeypatch):
    """The dashboard needs none of its neighbours."""

    def missing(_read):
        raise ModuleNotFoundError("flowtell_alerts")

    monkeypatch.setattr(neighbours, "open_incidents", missing)
    monkeypatch.setattr(neighbours, "stale_assets", lambda _read: 3)
    found = neighbours.Neighbours().figures(house.store.read)
    assert found == [neighbours.Figure("stale", "Stale assets", 3, "/assets?only=stale")]


def test_every_control_has_a_label(words):
    shown = str(layout())
    for label in ("Search", "State", "Flow", "Environment", "Started"):
        assert f"label='{label}'" in shown


def test_text_from_outside_stays_text(empty):
    """Markup in names goes to the browser as a string of a row, which React escapes."""
    evil = "<img src=x onerror=alert(1)>"
    moment = empty.clock()
    run = new_id(moment)
    started = FlowRunStarted(id=new_id(moment), time=moment, run=run, flow=evil, name=evil)
    empty.feed([started, FlowRunFinished(id=new_id(moment), time=moment, run=run, flow=evil)])
    shown = read_overview(empty.store.read, RunFilter(), moment)
    assert shown.rows[0]["flow"] == evil
