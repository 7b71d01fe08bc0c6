"""When a number that runs state is told of, over a real log and a clock that stands still."""

from __future__ import annotations

import pytest

from flowtell import events as e
from flowtell.rules import measured

DAY = 86_400.0


@pytest.fixture
def runs(world):
    """Let one run after another end a day apart, each with its number; None states none."""
    made = iter(range(1_000_000))

    def run(*values, state="completed", task="", name="rows", cause="", flow="nightly"):
        for value in values:
            run_id = f"r{next(made)}"
            world.appends(e.FlowRunStarted, run=run_id, flow=flow, cause=cause)
            for each in value if isinstance(value, list) else [value]:
                if each is not None:
                    world.clock.advance(1)
                    world.appends(e.MeasureRecorded, run=run_id, flow=flow, name=name, value=float(each), task=task)
            world.clock.advance(1)
            world.ends(run_id, state, flow)
            world.passes(DAY)
        return run_id

    return run


def test_a_number_below_its_bound(world, runs):
    """One incident from the first such run to the next good one, with the number and the bound."""
    world.declares(measured("rows", below=1000, runbook="https://wiki/rows"))
    runs(2000)
    assert world.told() == []
    low = runs(12)
    (incident,) = world.open
    assert incident.runs == (low,)
    assert incident.reason == "rows is 12, below 1000"
    assert incident.evidence["value"] == 12
    runs(11)
    runs(5000)
    assert world.told() == ["opened", "updated", "resolved"]
    assert world.incidents[0].reason == "the last number is as it should be"


def test_a_number_above_its_bound(world, runs):
    """Cost, say."""
    world.declares(measured("rows", above=10))
    runs(10)
    assert world.told() == []
    runs(10.5)
    assert world.open[0].reason == "rows is 10.5, above 10"


@pytest.mark.parametrize(
    ("fold", "value"), [("last", 3), ("sum", 60), ("min", 3), ("max", 50)], ids=["last", "sum", "min", "max"]
)
def test_which_of_several_in_one_run_counts(world, runs, fold, value):
    """Seven, fifty and three."""
    world.declares(measured("rows", above=0, fold=fold))
    runs([7, 50, 3])
    assert world.open[0].evidence["value"] == value


def test_the_measure_of_one_task(world, runs):
    """What another task states under the same name is none of the rule's business."""
    world.declares(measured("rows", below=10, task="load"))
    runs(5, task="extract")
    assert world.told() == []
    runs(5, task="load")
    assert world.open[0].reason == "rows of load is 5, below 10"


def test_outside_its_own_history(world, runs):
    """Silent with too few runs; then five typical deviations from the median."""
    world.declares(measured("rows", outside=5))
    runs(*[1000, 1010, 990, 1005, 995] * 4)
    assert world.told() == []
    runs(1020)
    assert world.told() == []
    runs(1100)
    (incident,) = world.open
    assert incident.reason.startswith("rows is 1100, where 9")
    assert incident.reason.endswith("is usual for the last 21 runs")
    runs(1000)
    assert world.open == []


def test_with_too_few_runs_nothing_is_outside(world, runs):
    """Nineteen before it."""
    world.declares(measured("rows", outside=5))
    runs(*[1000] * 19, 5)
    assert world.told() == []
    assert world.rules[0].verdict == "too few runs to know what is usual"


def test_odd_numbers_do_not_teach(world, runs):
    """A week of zeros is odd on each of its days; a level that stays is usual in the end."""
    world.declares(measured("rows", outside=5))
    runs(*[1000, 1010, 990, 1005, 995] * 6)
    runs(*[0] * 7)
    assert len(world.open) == 1
    assert world.told() == ["opened"] + ["updated"] * 6
    runs(*[0] * 25)
    assert world.open == []


def test_a_run_without_the_number_is_a_finding_of_its_own(world, runs):
    """Where runs before had it."""
    world.declares(measured("rows", below=1000))
    runs(None)
    assert world.told() == []
    assert world.rules[0].verdict == "no run has stated the number yet"
    runs(2000, None)
    assert world.open[0].reason == "the last run ended well without stating rows, which was 2000 before"
    runs(2000)
    assert world.open == []


def test_a_missing_number_that_may_be_missing(world, runs):
    """As the rule says."""
    world.declares(measured("rows", below=1000, missing=False))
    runs(2000, None)
    assert world.told() == []


@pytest.mark.parametrize("state", ["failed", "crashed", "timed_out", "cancelled", "skipped", "cached"])
def test_a_run_that_did_not_complete_says_nothing(world, runs, state):
    """Neither that its number is odd, nor that it has none, nor that the one before is mended."""
    world.declares(measured("rows", below=1000))
    runs(5)
    runs(2000, state=state)
    runs(None, state=state)
    assert world.told() == ["opened"]


def test_a_back_fill_says_nothing(world, runs):
    """Old days had other numbers."""
    world.declares(measured("rows", below=1000))
    runs(2000)
    runs(5, 6, 7, cause="backfill")
    assert world.told() == []


def test_what_was_odd_and_mended_while_nobody_looked_is_kept_once(world, runs):
    """Opened and resolved, and not told of again after a restart."""
    world.declares(measured("rows", below=1000))
    runs(2000)
    for number, value in enumerate((5, 3000)):
        world.appends(e.MeasureRecorded, run=f"x{number}", flow="nightly", name="rows", value=float(value))
        world.clock.advance(1)
        world.ends(f"x{number}")
    world.passes()
    assert world.told() == ["opened", "resolved"]
    for _ in range(3):
        world.restarts()
        world.passes()
    assert world.told() == ["opened", "resolved"]


def test_a_restart_between_number_and_end_forgets_nothing(world):
    """The number of an open run is kept."""
    world.declares(measured("rows", below=1000))
    world.starts("a")
    world.appends(e.MeasureRecorded, run="a", flow="nightly", name="rows", value=5.0)
    world.passes()
    world.restarts()
    world.ends("a")
    world.passes(3)
    assert world.open[0].evidence["value"] == 5


def test_a_removed_run_states_nothing(world, runs):
    """Its source says that it never was."""
    world.declares(measured("rows", below=1000))
    runs(2000)
    low = runs(5)
    world.appends(e.FlowRunRemoved, run=low, flow="nightly")
    world.passes()
    assert world.told() == ["opened", "resolved"]


def test_history_is_kept_of_what_a_rule_asks_for_alone(world, runs):
    """And forgotten with the rule."""
    world.declares(measured("rows", below=1000))
    runs(2000)
    runs(7, name="other")
    rows = world.harness.read(_measures())
    assert [row.item for row in rows] == ['["","rows","last"]']
    world.declares()
    runs(2000)
    assert world.harness.read(_measures()) == []


def _measures():
    from sqlalchemy import select

    from flowtell_alerts import tables

    return select(tables.facts).where(tables.facts.c.facts == "measures")
