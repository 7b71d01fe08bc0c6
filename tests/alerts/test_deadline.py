"""`deadline`: by a time of day a run of that day has ended well; and what becomes of it when a run does something else."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from flowtell import events as e
from flowtell import rules
from flowtell.schedules import microseconds

BERLIN = "Europe/Berlin"
LANE = {"flow": "nightly", "deployment": "berlin"}


def at(text: str, zone: str = BERLIN) -> int:
    return microseconds(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


def goes(world, until: str, step: float = 900.0) -> None:
    until = at(until)
    while world.clock() < until:
        world.passes(min(step, (until - world.clock()) / 1e6))


def starts(world, run: str, due: str = "", **fields):
    due_at = at(due) if due else None
    world.appends(e.FlowRunStarted, run=run, due=due_at, **{**LANE, **fields})


def ends(world, run: str, state: str = "completed", **fields):
    world.appends(e.FlowRunFinished, run=run, state=state, **{**LANE, **fields})


@pytest.fixture
def week(world):
    """Monday evening, and a deployment that ran well at two this morning."""
    world.clock.now = at("2026-11-23 02:00")
    world.declares(rules.deadline("06:30", tz=BERLIN))
    world.appends(e.DeploymentDeclared, **LANE)
    starts(world, "monday", "2026-11-23 02:00")
    goes(world, "2026-11-23 03:00")
    ends(world, "monday")
    goes(world, "2026-11-23 20:00")
    assert world.incidents == []
    return world


def test_a_day_without_a_run_is_missed_at_its_deadline_and_not_before(week):
    goes(week, "2026-11-24 06:30")
    assert week.incidents == []
    week.passes(1)
    (incident,) = week.open
    assert incident.due == at("2026-11-24 06:30")
    assert incident.reason == "no run of the day had ended well by 2026-11-24 06:30 CET; none has started"
    assert incident.evidence["zone"] == BERLIN


@pytest.mark.parametrize("due", ["2026-11-23 22:00", "2026-11-24 02:00", "2026-11-24 06:30"])
def test_a_run_of_the_day_that_ends_well_in_time_meets_it(week, due):
    """The day of a deadline ends with it: that of ten in the evening is for half past six of the next morning."""
    week.clock.now = min(at(due), at("2026-11-24 06:00"))
    starts(week, "tuesday", due)
    goes(week, "2026-11-24 06:20")
    ends(week, "tuesday")
    goes(week, "2026-11-24 12:00")
    assert week.incidents == []


def test_a_run_that_ends_after_the_deadline_resolves_it(week):
    """Told that it was running still."""
    goes(week, "2026-11-24 02:00")
    starts(week, "tuesday", "2026-11-24 02:00")
    goes(week, "2026-11-24 07:00")
    assert week.open[0].reason.endswith("the last one was running still")
    assert week.open[0].runs == ("tuesday",)
    ends(week, "tuesday")
    week.passes()
    assert week.told() == ["opened", "resolved"]
    assert week.incidents[0].reason == "a run has ended well"


@pytest.mark.parametrize("state", ["failed", "timed_out", "crashed", "cancelled", "skipped"])
def test_a_run_that_does_not_end_well_meets_nothing(week, state):
    """Before the deadline that is none of its business; at the deadline it says so, and it stays until one ends well."""
    goes(week, "2026-11-24 02:00")
    starts(week, "tuesday", "2026-11-24 02:00")
    goes(week, "2026-11-24 03:00")
    ends(week, "tuesday", state)
    goes(week, "2026-11-24 06:30")
    assert week.incidents == []
    goes(week, "2026-11-24 09:00")
    assert state.replace("_", " ") in week.open[0].reason
    starts(week, "again", "2026-11-24 02:00", cause="manual")
    goes(week, "2026-11-24 10:00")
    assert len(week.open) == 1
    ends(week, "again")
    week.passes()
    assert week.open == []


def test_a_retry_is_the_same_run(week):
    """Its end counts, and no attempt before it."""
    goes(week, "2026-11-24 02:00")
    starts(week, "tuesday", "2026-11-24 02:00")
    week.appends(e.FlowRunRetrying, run="tuesday", **LANE)
    starts(week, "tuesday", "2026-11-24 02:00", attempt=2)
    goes(week, "2026-11-24 06:00")
    ends(week, "tuesday")
    goes(week, "2026-11-24 08:00")
    assert week.incidents == []


def test_a_back_fill_is_of_another_day(week):
    """Even one that ends a minute before the deadline."""
    goes(week, "2026-11-24 06:00")
    starts(week, "old", "2026-11-20 02:00", cause="backfill")
    ends(week, "old")
    goes(week, "2026-11-24 06:31")
    assert len(week.open) == 1


def test_a_run_by_hand_counts_by_its_start(week):
    """It has no due time."""
    goes(week, "2026-11-24 06:00")
    starts(week, "by hand")
    ends(week, "by hand")
    goes(week, "2026-11-24 12:00")
    assert week.incidents == []


def test_runs_of_no_deployment_owe_nothing_where_there_are_deployments(week):
    """Somebody tried the flow once: nobody expects that each morning."""
    week.appends(e.FlowRunStarted, run="tried", flow="nightly")
    week.appends(e.FlowRunFinished, run="tried", flow="nightly")
    goes(week, "2026-11-25 12:00")
    assert {incident.deployment for incident in week.open} == {"berlin"}


def test_a_paused_deployment_owes_nothing(week):
    """What is open is resolved, and the first whole day after it is resumed is judged again."""
    goes(week, "2026-11-24 07:00")
    week.appends(e.DeploymentDeclared, paused=True, **LANE)
    goes(week, "2026-11-25 20:00")
    assert week.told() == ["opened", "resolved"]
    assert week.incidents[0].reason == "the deployment is paused"
    week.appends(e.DeploymentDeclared, **LANE)
    goes(week, "2026-11-26 12:00")
    assert week.open == []
    goes(week, "2026-11-27 07:00")
    assert [incident.due for incident in week.open] == [at("2026-11-27 06:30")]


def test_a_deployment_that_is_removed_owes_nothing(week):
    goes(week, "2026-11-24 07:00")
    week.appends(e.DeploymentRemoved, **LANE)
    goes(week, "2026-11-26 07:00")
    assert week.open == []
    assert len(week.incidents) == 1


def test_days_of_the_week(world):
    """Nothing is asked of a Saturday; Monday's run is of Sunday half past six to Monday half past six."""
    world.clock.now = at("2026-11-20 02:00")
    world.declares(rules.deadline("06:30", tz=BERLIN, days="mon-fri"))
    starts(world, "wed", "2026-11-18 02:00")
    starts(world, "friday", "2026-11-20 02:00")
    ends(world, "friday")
    goes(world, "2026-11-21 12:00")
    starts(world, "saturday", "2026-11-21 12:00")
    ends(world, "saturday")
    goes(world, "2026-11-23 06:30")
    assert world.incidents == []
    goes(world, "2026-11-23 07:00")
    assert len(world.open) == 1


def test_two_missed_days_are_two_incidents_and_the_first_explains_the_second(week):
    goes(week, "2026-11-25 12:00")
    first, second = week.open
    assert second.inhibited_by == first.incident
    starts(week, "wednesday", "2026-11-25 12:00")
    ends(week, "wednesday")
    week.passes()
    assert week.open == []


@pytest.mark.parametrize("when", ["2026-11-24 01:00", "2026-11-24 06:29", "2026-11-24 06:31", "2026-11-24 08:00"])
def test_a_restart_forgets_and_repeats_nothing(week, when):
    goes(week, when)
    week.restarts()
    goes(week, "2026-11-24 09:00")
    starts(week, "late", "2026-11-24 02:00")
    ends(week, "late")
    week.passes()
    week.restarts()
    week.passes()
    week.passes()
    assert week.told() == ["opened", "resolved"]


def test_a_month_without_this_server_is_one_incident(week):
    """The newest of thirty missed deadlines is told."""
    week.clock.now = at("2026-12-23 12:00")
    week.restarts()
    week.passes()
    week.passes()
    assert [incident.due for incident in week.incidents] == [at("2026-12-23 06:30")]


def test_a_rule_that_is_stated_later_knows_the_runs_before_it(week):
    """From the log's own table: the run of this morning was in time, so nothing is missed."""
    goes(week, "2026-11-24 02:00")
    starts(week, "tuesday", "2026-11-24 02:00")
    ends(week, "tuesday")
    goes(week, "2026-11-24 05:00")
    week.declares(rules.deadline("05:30", tz=BERLIN))
    goes(week, "2026-11-24 12:00")
    assert week.incidents == []


def test_what_cannot_be_seen_is_unknown(week):
    """Until the journals are read on; then it is judged by what they hold."""
    goes(week, "2026-11-24 06:00")
    stood = week.clock()
    week.harness.runner.read_until = lambda: stood
    goes(week, "2026-11-24 06:34", step=5)
    assert [incident.rule.kind for incident in week.open] == ["blind"]
    verdicts = {rule.rule.kind: rule.verdict for rule in week.rules if rule.deployment and rule.rule.kind != "blind"}
    assert verdicts == {"deadline": "whether a run has ended cannot be seen"}
    week.appends(e.FlowRunFinished, run="tuesday", due=at("2026-11-24 02:00"), at=at("2026-11-24 06:00"), **LANE)
    week.harness.runner.read_until = week.clock
    goes(week, "2026-11-24 06:40", step=5)
    assert [incident for incident in week.incidents if incident.rule.kind == "deadline"] == []


@pytest.mark.parametrize("arguments", [{"at": "25:00"}, {"at": "soon"}, {"at": "06:30", "tz": "Mars/Base"}])
def test_a_time_that_there_is_not_is_shown_as_not_understood(world, arguments):
    """A source or an older version may state anything."""
    world.declares(e.RuleData(kind="deadline", arguments=arguments))
    world.starts("r")
    world.passes(3)
    (rule,) = (rule for rule in world.rules if rule.rule.kind == "deadline")
    assert rule.verdict.startswith("not understood")
