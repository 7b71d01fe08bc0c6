"""A bound that is learned from runs, and the clock of a run that is paused."""

from __future__ import annotations

import pytest

from flowtell import events as e
from flowtell.rules import too_long

LEARNED = too_long(quantile=0.95)


@pytest.fixture
def teaches(world):
    """Let runs complete, each in so many seconds."""
    made = iter(range(1_000_000))

    def teach(*seconds, state="completed", cause="", deployment=""):
        for each in seconds:
            run = f"t{next(made)}"
            world.appends(e.FlowRunStarted, run=run, flow="nightly", cause=cause, deployment=deployment)
            world.clock.advance(each)
            world.ends(run, state, deployment=deployment, duration=float(each))
            world.passes(1)

    return teach


def test_it_is_silent_until_enough_have_taught_it(world, teaches):
    """Nineteen runs of a minute say nothing of one of an hour; twenty do."""
    world.declares(LEARNED)
    teaches(*[60] * 19)
    world.starts("long")
    world.passes(3600)
    assert world.told() == []
    assert world.rules[0].verdict == "too few runs to learn from"
    teaches(60)
    world.passes(2)
    assert [incident.runs for incident in world.open] == [("long",)]


def test_the_incident_names_the_bound_and_whence_it_is(world, teaches):
    """Half as much again as 95 % of the last twenty took."""
    world.declares(LEARNED)
    teaches(*[60] * 20)
    world.starts("long")
    world.passes(91)
    assert world.told() == []
    world.passes(2)
    (incident,) = world.open
    assert incident.reason == "a run takes longer than 90 s, 1.5 times what 95% of the last 20 runs took at most"
    assert incident.evidence["bound"] == 90
    assert incident.evidence["learned_from"] == 20


@pytest.mark.parametrize(
    ("state", "cause"), [("cached", ""), ("failed", ""), ("cancelled", ""), ("completed", "backfill")], ids=str
)
def test_who_teaches_nothing(world, teaches, state, cause):
    """A run that came from a cache takes no time, one that failed not its own, and a back-fill is of other days."""
    world.declares(LEARNED)
    teaches(*[60] * 20)
    teaches(*[0.1] * 128, state=state, cause=cause)
    world.starts("usual")
    world.passes(61)
    assert world.told() == []


def test_each_deployment_learns_for_itself(world, teaches):
    """Fifty customers are not one."""
    world.declares(LEARNED)
    teaches(*[60] * 20, deployment="small")
    teaches(*[600] * 20, deployment="large")
    for deployment in ("small", "large"):
        world.appends(e.FlowRunStarted, run=deployment, flow="nightly", deployment=deployment)
    world.passes(300)
    assert [incident.runs for incident in world.open] == [("small",)]


def test_what_was_learned_survives_a_restart(world, teaches):
    """And another factor needs no new lesson."""
    world.declares(LEARNED)
    teaches(*[60] * 20)
    world.restarts()
    world.declares(too_long(quantile=0.95, factor=3))
    world.starts("long")
    world.passes(150)
    assert world.told() == []
    world.passes(40)
    assert world.open[0].evidence["bound"] == 180


def test_only_the_newest_runs_are_kept(world, teaches):
    """128, in one row, and none without such a rule."""
    from sqlalchemy import select

    from flowtell_alerts import tables

    kept = select(tables.facts).where(tables.facts.c.item == "durations")
    teaches(*[1] * 5)
    assert world.harness.read(kept) == []
    world.declares(LEARNED)
    teaches(*[1] * 140)
    (row,) = world.harness.read(kept)
    assert row.data.count("[") == 129
    world.declares()
    teaches(1)
    assert world.harness.read(kept) == []


# --- what ended before the rule was stated ------------------------------------------------------------------------


def test_a_rule_that_is_stated_today_knows_last_month(world, teaches):
    """A daily flow is not silent for twenty days."""
    teaches(*[60] * 30)
    teaches(*[1] * 30, state="failed")
    teaches(*[1] * 30, cause="backfill")
    world.declares(LEARNED)
    world.starts("long")
    world.passes(93)
    (incident,) = world.open
    assert incident.evidence["learned_from"] == 30
    assert incident.evidence["bound"] == 90


def test_what_was_recalled_is_counted_once(world, teaches):
    """Not again by later runs, by a restart, or by a rule that asks for the same."""
    teaches(*[60] * 25)
    world.declares(LEARNED)
    teaches(60)
    world.restarts()
    world.declares(too_long(quantile=0.9))
    teaches(60)
    world.starts("long")
    world.passes(100)
    assert world.open[0].evidence["learned_from"] == 27


def test_each_deployment_recalls_its_own(world, teaches):
    """And each environment."""
    teaches(*[60] * 25, deployment="small")
    teaches(*[600] * 25)
    world.declares(LEARNED)
    world.appends(e.FlowRunStarted, run="long", flow="nightly", deployment="small")
    world.passes(100)
    assert world.open[0].evidence["learned_from"] == 25
    assert world.open[0].runs == ("long",)


def test_a_rule_for_very_many_recalls_of_some_and_learns_of_the_others(world, monkeypatch):
    """The call that takes the rule in has to end in time."""
    from flowtell_alerts import _rulebook

    monkeypatch.setattr(_rulebook, "RECALLS", 2)
    for flow in ("a", "b", "c", "d"):
        for number in range(20):
            run = f"{flow}{number}"
            world.appends(e.FlowRunStarted, run=run, flow=flow)
            world.appends(e.FlowRunFinished, run=run, flow=flow, duration=60.0 + number / 1000)
    world.passes()
    rule = e.RuleData(kind="too_long", arguments=LEARNED.arguments, severity="warning")
    world.appends(e.RuleDeclared, rule=rule)
    for flow in ("a", "b", "c", "d"):
        world.appends(e.FlowRunStarted, run=f"long {flow}", flow=flow)
    world.passes(100)
    world.passes(3)
    assert len(world.open) == 2


# --- pauses -------------------------------------------------------------------------------------------------------


def test_while_a_run_is_paused_its_clock_stands_still(world):
    """Somebody is to answer it; what counts is its own time."""
    world.declares(too_long("1m"))
    world.starts("a")
    world.passes(50)
    world.appends(e.FlowRunPaused, run="a", flow="nightly", key="ok?")
    world.passes(3600)
    world.restarts()
    world.passes(3600)
    assert world.told() == []
    world.appends(e.FlowRunResumed, run="a", flow="nightly", key="ok?")
    world.passes(8)
    assert world.told() == []
    world.passes(6)
    assert [incident.runs for incident in world.open] == [("a",)]


def test_a_run_that_is_paused_past_its_bound_is_no_longer_told_of(world):
    """Nothing of it goes on... but it has overrun already, and stays so."""
    world.declares(too_long("1m"))
    world.starts("a")
    world.passes(63)
    assert len(world.open) == 1
    world.appends(e.FlowRunPaused, run="a", flow="nightly")
    world.passes(60)
    assert len(world.open) == 1
    world.ends("a")
    world.passes(3)
    assert world.open == []


def test_a_pause_is_no_part_of_what_is_learned(world):
    """A run that waited a night for an answer took a minute."""
    world.declares(too_long(quantile=0.95))
    for number in range(20):
        run = f"r{number}"
        world.starts(run)
        world.passes(30)
        world.appends(e.FlowRunPaused, run=run, flow="nightly")
        world.passes(36_000)
        world.appends(e.FlowRunResumed, run=run, flow="nightly")
        world.passes(30)
        world.ends(run, duration=36_060.0)
        world.passes(3)
    world.starts("long")
    world.passes(200)
    assert world.open[0].evidence["bound"] == pytest.approx(91.5, abs=3)
