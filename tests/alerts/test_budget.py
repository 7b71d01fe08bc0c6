"""When a budget of bad ends is spent, counted in runs, over a real log and a clock that stands still."""

from __future__ import annotations

import pytest

from flowtell import events as e
from flowtell.rules import budget

HOUR = 3_600.0
DAY = 24 * HOUR


@pytest.fixture
def runs(world):
    """Let runs end one after the other, an hour apart: `c` well, `f` badly, `x` cancelled."""
    made = iter(range(1_000_000))
    states = {"c": "completed", "h": "cached", "f": "failed", "k": "crashed", "x": "cancelled", "s": "skipped"}

    def run(ends, seconds=HOUR, cause=""):
        for letter in ends:
            run_id = f"r{next(made)}"
            world.appends(e.FlowRunStarted, run=run_id, flow="nightly", cause=cause)
            world.ends(run_id, states[letter])
            world.passes(seconds)

    return run


def test_a_budget_is_spent_by_bad_ends(world, runs):
    """Two of twenty where one is allowed; the incident says how much is burnt in which window."""
    world.declares(budget(0.95, windows="1d", min_runs=20))
    runs("c" * 19 + "f")
    assert world.told() == []
    runs("cccf")
    (incident,) = world.open
    assert (
        incident.reason
        == "2 of 24 runs in 1 d ended badly: 0.9167 of them ended well where 0.95 should, 1.67 times the budget"
    )
    (window,) = incident.evidence["windows"]
    assert (window["runs"], window["bad"], window["burn"]) == (24, 2, 1.667)
    assert len(incident.runs) == 2


def test_with_too_few_runs_it_is_silent(world, runs):
    """Nineteen bad ones of nineteen."""
    world.declares(budget(0.95, windows="1d", min_runs=20))
    runs("f" * 19, 60)
    assert world.told() == []
    assert world.rules[0].verdict == "too few runs in every window"
    runs("f", 60)
    assert world.told() == ["opened"]


def test_it_resolves_when_the_bad_ends_leave_the_window(world, runs):
    """By time alone: nobody has to run for it."""
    world.declares(budget(0.95, windows="1d", min_runs=5))
    runs("ccccff", 60)
    assert len(world.open) == 1
    world.passes(DAY - 600)
    assert len(world.open) == 1
    world.passes(HOUR)
    world.passes()
    assert world.open == []


def test_it_resolves_when_enough_end_well(world, runs):
    """They thin the bad ones out."""
    world.declares(budget(0.9, windows="7d", min_runs=5))
    runs("ccccf")
    assert len(world.open) == 1
    runs("cccccc")
    assert world.open == []


def test_a_good_run_that_leaves_the_window_opens_nothing(world, runs):
    """The share sinks by that, and nobody has done anything wrong."""
    world.declares(budget(0.9, windows="1d", min_runs=5))
    runs("c" * 10, 60)
    world.passes(12 * HOUR)
    runs("f" + "c" * 8, 60)
    for _ in range(13):
        world.passes(HOUR)
    runs("x")
    assert world.told() == []
    runs("f")
    assert world.told() == ["opened"]


def test_each_window_is_judged_for_itself(world, runs):
    """A day that burns, within a month that does not."""
    world.declares(budget(0.9, windows=["1d", "28d"], min_runs=5))
    runs("c" * 60, 4 * HOUR)
    runs("cfcfc")
    (incident,) = world.open
    spent = {window["window"]: window["burn"] > 1 for window in incident.evidence["windows"]}
    assert spent == {DAY: True, 28 * DAY: False}


def test_a_daily_flow_has_a_budget_too(world, runs):
    """Thirty runs a month, of which three failed."""
    world.declares(budget(0.95, windows="28d", min_runs=20))
    runs("c" * 20 + "f" + "c" * 3, DAY)
    assert world.told() == []
    runs("f", DAY)
    assert len(world.open) == 1


def test_what_was_cancelled_or_back_filled_is_not_counted(world, runs):
    """Neither well nor badly; what came from a cache ended well."""
    world.declares(budget(0.9, windows="1d", min_runs=5))
    runs("c" * 10 + "h", 60)
    runs("xsxs", 60)
    runs("ffff", 60, cause="backfill")
    assert world.told() == []


def test_a_restart_forgets_no_count(world, runs):
    """In the middle of it."""
    world.declares(budget(0.9, windows="1d", min_runs=5))
    runs("ccccf", 60)
    (before,) = world.open
    for _ in range(3):
        world.restarts()
        world.passes()
    assert world.open == [before]
    runs("f", 60)
    assert world.open[0].evidence["windows"][0]["bad"] == 2
    assert world.told() == ["opened", "updated"]


def test_a_budget_that_is_stated_today_counts_last_month(world, runs):
    """With the runs that were bad named; what was cancelled or back-filled was never counted."""
    runs("c" * 18 + "ff" + "xx", HOUR)
    runs("ff", HOUR, cause="backfill")
    world.declares(budget(0.95, windows="28d"))
    world.passes()
    (incident,) = world.open
    assert incident.evidence["windows"][0]["runs"] == 20
    assert incident.evidence["windows"][0]["bad"] == 2
    assert len(incident.runs) == 2
    world.restarts()
    runs("c" * 40, HOUR)
    assert world.told() == ["opened", "resolved"]


def test_no_run_is_counted_twice_where_a_rule_comes_in_the_middle_of_news(world, runs):
    """The log's table of runs is ahead of what the plugin was handed; what comes after the rule it counts itself."""
    runs("c" * 10, 60)
    made = [(f"n{number}", "completed") for number in range(5)]
    for run, state in made:
        world.ends(run, state)
    world.declares(budget(0.5, windows="1d", min_runs=1))
    for number in range(5):
        world.ends(f"later{number}", "failed")
    world.passes(3)
    world.ends("last", "failed")
    world.passes(3)
    assert world.told() == []
    for number in range(6):
        world.ends(f"bad{number}", "failed")
    world.passes(3)
    (window,) = world.open[0].evidence["windows"]
    assert (window["runs"], window["bad"]) == (22, 12)
