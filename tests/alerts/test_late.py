"""`late`: what is due starts within its grace, or is told of; and what becomes of it when nothing is owed any more."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from flowtell import events as e
from flowtell import rules
from flowtell.schedules import cron, every, microseconds
from flowtell.store.tables import writers

S = 1_000_000
MINUTE, HOUR = 60 * S, 3600 * S
NAME, LANE = "berlin", {"flow": "nightly", "deployment": "berlin"}


def at(text: str, zone: str = "UTC") -> int:
    return microseconds(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


@pytest.fixture
def night(world):
    """A world shortly before its deployment is due at two o'clock, with fifteen minutes of grace."""
    world.clock.now = at("2026-11-25 01:50")
    world.declares(rules.late("15m"))
    world.passes(0)
    world.clock.advance(1)
    return world


def deploys(world, *schedules, **fields):
    world.appends(e.DeploymentDeclared, **{**LANE, "schedules": schedules or (cron("0 2 * * *"),), **fields})


def goes(world, until: str, step: float = 30.0):
    """Time passes until then."""
    until = at(until)
    while world.clock() < until:
        world.passes(min(step, (until - world.clock()) / 1e6))


def starts(world, due: str, run: str = "r1", **fields):
    world.appends(e.FlowRunStarted, run=run, due=at(due), **{**LANE, **fields})


# --- told, and taken back -----------------------------------------------------------------------------------------


def test_what_is_due_and_has_not_started_is_told_when_its_grace_is_over(night):
    """Not a moment before, though everybody has been silent since two."""
    deploys(night)
    goes(night, "2026-11-25 02:15:00")
    assert night.incidents == []
    night.passes(1)
    (incident,) = night.open
    assert incident.due == at("2026-11-25 02:00")
    assert incident.since == at("2026-11-25 02:15")
    assert incident.reason == "no run has started for 2026-11-25 02:00 UTC, within 15 min of it"
    assert incident.evidence["reference"] == "due time"
    assert incident.evidence["grace"] == 900
    assert incident.key.endswith(f"@{incident.due}")


def test_a_start_in_time_is_told_to_nobody(night):
    """And the day after is another due time."""
    deploys(night)
    goes(night, "2026-11-25 02:14")
    starts(night, "2026-11-25 02:00")
    goes(night, "2026-11-26 01:00", step=1800)
    assert night.incidents == []
    goes(night, "2026-11-26 02:16")
    assert [incident.due for incident in night.open] == [at("2026-11-26 02:00")]


def test_the_start_resolves_it(night):
    """However late it comes."""
    deploys(night)
    goes(night, "2026-11-25 04:00")
    starts(night, "2026-11-25 02:00")
    night.passes()
    assert night.told() == ["opened", "resolved"]
    (incident,) = night.incidents
    assert incident.reason == "the run has started"
    assert incident.resolved == at("2026-11-25 04:00")


def test_the_zone_and_its_changes_of_the_clock_are_followed(world):
    """Half past two does not exist in Berlin on 29 March 2026: it is due at three, and late a quarter of an hour after."""
    world.clock.now = at("2026-03-28 23:00")
    world.declares(rules.late("15m"))
    deploys(world, cron("30 2 * * *", "Europe/Berlin"))
    goes(world, "2026-03-29 01:15", step=60)
    assert world.incidents == []
    goes(world, "2026-03-29 01:16")
    (incident,) = world.open
    assert incident.due == at("2026-03-29 03:00", "Europe/Berlin")
    assert "2026-03-29 03:00 CEST" in incident.reason


@pytest.mark.parametrize(
    ("rule", "schedule", "grace"),
    [(None, None, 60), (None, 300, 300), ("10m", 300, 600), ("0s", 300, 0)],
)
def test_the_rules_grace_goes_before_the_schedules_and_a_minute_is_the_last(night, rule, schedule, grace):
    night.declares(rules.late(rule))
    deploys(night, cron("0 2 * * *", grace=schedule))
    night.clock.now = at("2026-11-25 02:00") + grace * S
    night.passes(0)
    assert night.open == []
    night.passes(2)  # old news was waited for
    night.passes(1)
    assert len(night.open) == 1


def test_a_jitter_that_is_meant_to_delay_the_start_makes_nobody_late(night):
    deploys(night, cron("0 2 * * *", jitter="20m"))
    goes(night, "2026-11-25 02:35")
    assert night.incidents == []
    goes(night, "2026-11-25 02:36")
    assert len(night.open) == 1


def test_each_due_time_is_an_incident_and_the_first_explains_the_others(night):
    """One page: people know by the first."""
    deploys(night, cron("0 * * * *"))
    goes(night, "2026-11-25 05:00", step=60)
    assert [incident.due for incident in night.open] == [at(f"2026-11-25 0{hour}:00") for hour in (2, 3, 4)]
    first, *others = night.open
    assert {incident.inhibited_by for incident in others} == {first.incident}


def test_several_schedules_are_judged_each_for_itself(night):
    """That the hourly one is answered says nothing of the nightly one."""
    deploys(night, cron("0 2 * * *", id="night"), cron("30 * * * *", id="half"))
    goes(night, "2026-11-25 02:31")
    starts(night, "2026-11-25 02:30", "half past")
    goes(night, "2026-11-25 03:00")
    assert [incident.due for incident in night.open] == [at("2026-11-25 02:00")]


# --- nothing is owed any more -------------------------------------------------------------------------------------


def drops(world, how: str) -> None:
    match how:
        case "paused":
            deploys(world, paused=True)
        case "inactive":
            deploys(world, cron("0 2 * * *", active=False))
        case "changed":
            deploys(world, cron("0 5 * * *"))
        case "removed":
            world.appends(e.DeploymentRemoved, **LANE)
        case "skipped" | "cancelled":
            world.appends(e.FlowRunFinished, run="r1", due=at("2026-11-25 02:00"), state=how, **LANE)
        case "run removed":
            world.appends(e.FlowRunRemoved, run="r1", **LANE)
        case "later start":
            world.clock.now = at("2026-11-26 02:00")
            starts(world, "2026-11-26 02:00", "r2")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("paused", "the deployment is paused"),
        ("inactive", "the schedule has changed"),
        ("changed", "the schedule has changed"),
        ("removed", "the deployment is removed"),
        ("skipped", "the run was skipped"),
        ("cancelled", "the run was cancelled"),
        ("later start", "nothing that is due has waited past its grace"),
    ],
)
def test_what_is_owed_no_more_is_resolved_and_says_why(night, how, reason):
    deploys(night)
    goes(night, "2026-11-25 02:20")
    assert len(night.open) == 1
    drops(night, how)
    night.passes(3)
    assert night.open == []
    assert night.incidents[0].reason == reason


@pytest.mark.parametrize("how", ["paused", "inactive", "changed", "removed", "skipped", "cancelled"])
def test_what_is_owed_no_more_before_its_grace_is_over_is_told_to_nobody(night, how):
    deploys(night)
    goes(night, "2026-11-25 02:10")
    drops(night, how)
    goes(night, "2026-11-25 04:50", step=60)
    assert night.incidents == []


def test_a_deployment_that_is_resumed_owes_what_comes_after(night):
    """No storm for what was due while it was paused."""
    deploys(night, cron("*/5 * * * *"), paused=True)
    goes(night, "2026-11-25 06:01", step=300)
    deploys(night, cron("*/5 * * * *"))
    goes(night, "2026-11-25 06:19", step=60)
    assert night.incidents == []
    goes(night, "2026-11-25 06:21", step=10)
    assert [incident.due for incident in night.open] == [at("2026-11-25 06:05")]


@pytest.mark.parametrize(
    ("policy", "owed"),
    [("none", []), ("latest", ["04"]), ("all", ["02", "03", "04"]), ("all 90m", ["04"]), ("latest 10m", [])],
)
def test_a_process_that_serves_again_owes_what_its_catch_up_policy_answers(night, policy, owed):
    """What it leaves out it will never start: that is resolved at once."""
    hourly = cron("0 * * * *", catch_up=policy)
    deploys(night, hourly)
    goes(night, "2026-11-25 04:40", step=60)
    assert len(night.open) == 3
    deploys(night, hourly)
    night.passes(3)
    assert [incident.due for incident in night.open] == [at(f"2026-11-25 {hour}:00") for hour in owed]


# --- by a source --------------------------------------------------------------------------------------------------


def announces(world, due: str, run: str = "p1", kind=e.FlowRunScheduled, **fields):
    world.appends(kind, run=run, due=at(due), source="prefect", **{**LANE, **fields})


def test_a_source_says_itself_what_is_due(night):
    """Its schedulers read a line at a change of the clock otherwise than we do: its word counts, not our reading."""
    announces(night, "2026-11-25 02:05")
    deploys(night, cron("0 2 * * *"), source="prefect")
    goes(night, "2026-11-25 03:00")
    assert [(incident.due, incident.runs) for incident in night.open] == [(at("2026-11-25 02:05"), ("p1",))]


def test_a_run_that_a_source_moves_is_due_at_its_new_time(night):
    announces(night, "2026-11-25 02:05")
    goes(night, "2026-11-25 02:10")
    announces(night, "2026-11-25 02:30")
    goes(night, "2026-11-25 02:45")
    assert night.incidents == []
    goes(night, "2026-11-25 02:46")
    assert [incident.due for incident in night.open] == [at("2026-11-25 02:30")]


def test_a_run_that_a_source_removes_is_owed_no_more(night):
    announces(night, "2026-11-25 02:05")
    goes(night, "2026-11-25 02:30")
    night.appends(e.FlowRunRemoved, run="p1", source="prefect", **LANE)
    night.passes()
    assert night.open == []
    assert night.incidents[0].reason == "the run was removed"


def test_a_run_that_waits_is_late_all_the_same_and_says_what_for(night):
    """As its own word for it is no start."""
    announces(night, "2026-11-25 02:05")
    announces(night, "2026-11-25 02:05", kind=e.FlowRunWaiting, reason="limit")
    goes(night, "2026-11-25 02:30")
    assert night.open[0].reason.endswith("it waits for limit")


def test_the_start_may_come_before_the_word_that_it_was_due(night):
    """Two processes wrote them, and any order may occur."""
    deploys(night)
    night.clock.now = at("2026-11-25 02:00")
    starts(night, "2026-11-25 02:00")
    night.passes()
    night.appends(e.FlowRunScheduled, run="r1", due=at("2026-11-25 02:00"), at=at("2026-11-25 02:00"), **LANE)
    goes(night, "2026-11-25 04:00", step=120)
    assert night.incidents == []


def test_a_check_in_that_does_not_come_is_late(night):
    """Declared with its schedule, announced by nobody."""
    deploys(night, every("1h"), source="ping")
    goes(night, "2026-11-25 02:16")
    assert [incident.due for incident in night.open] == [at("2026-11-25 02:00")]
    goes(night, "2026-11-25 03:05")
    starts(night, "2026-11-25 03:00", source="ping")
    night.passes()
    assert night.open == []


@pytest.mark.parametrize("cause", ["backfill", "manual"])
def test_a_run_for_a_due_time_of_the_past_is_not_late(night, cause):
    """A back-fill, or one more run for what was answered: nobody was waiting for it."""
    deploys(night)
    night.clock.now = at("2026-11-25 02:00")
    starts(night, "2026-11-25 02:00")
    goes(night, "2026-11-25 02:40", step=120)
    starts(night, "2026-11-25 02:00", "again", cause=cause)
    starts(night, "2026-11-20 02:00", "of old", cause=cause)
    goes(night, "2026-11-25 05:00", step=120)
    assert night.incidents == []


def test_a_run_by_hand_without_a_due_time_answers_none(night):
    """Nobody can tell which it was meant for."""
    deploys(night)
    goes(night, "2026-11-25 02:05")
    night.appends(e.FlowRunStarted, run="by hand", **LANE)
    goes(night, "2026-11-25 02:16")
    assert len(night.open) == 1


# --- restarts and gaps --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", range(12))
def test_a_restart_at_any_moment_forgets_and_repeats_nothing(night, when):
    """The plugin dies after the n-th moment and comes back."""
    deploys(night)
    moments = ("02:00", "02:05", "02:14", "02:15", "02:16", "02:17", "02:30", "02:31", "02:40", "02:41", "03:00", "03:10")
    for place, moment in enumerate(moments):
        goes(night, f"2026-11-25 {moment}", step=60)
        if moment == "02:30":
            starts(night, "2026-11-25 02:00")
        if place == when:
            night.restarts()
    assert night.told() == ["opened", "resolved"]


def test_a_day_without_this_server_is_no_storm(night):
    """Of 288 due times that nobody answered the newest is told; the rest is history."""
    deploys(night, cron("*/5 * * * *"))
    night.passes()
    night.clock.now = at("2026-11-26 02:03")
    night.restarts()
    night.passes()
    night.passes()
    assert [incident.due for incident in night.incidents] == [at("2026-11-26 01:45")]


def test_what_ran_while_this_server_was_down_is_judged_by_the_facts(night):
    """Its journals are read when it is back: in time is in time."""
    deploys(night, cron("*/5 * * * *"))
    night.passes()
    begins = at("2026-11-25 01:55")
    night.clock.now = at("2026-11-25 12:02")
    for due in range(begins, night.clock(), 5 * MINUTE):
        night.appends(e.FlowRunStarted, at=due + S, run=f"run {due}", due=due, **LANE)
    night.restarts()
    night.passes()
    night.passes()
    assert night.incidents == []


# --- sight --------------------------------------------------------------------------------------------------------


def test_what_cannot_be_seen_is_unknown_and_one_incident_says_so(night):
    """Journals are not read for half an hour: nobody is called late, and then judged by what was written."""
    night.declares(rules.late("1m"), rules.blind("5m"))
    deploys(night)
    goes(night, "2026-11-25 01:59")
    stood = night.clock()
    night.harness.runner.read_until = lambda: stood
    goes(night, "2026-11-25 02:03:50", step=1)
    assert night.incidents == []
    (verdict,) = (rule.verdict for rule in night.rules if rule.rule.kind == "late" and rule.deployment)
    assert verdict == "whether a run has started cannot be seen"
    goes(night, "2026-11-25 02:30", step=2)
    (blind,) = night.open
    assert (blind.rule.kind, blind.subject.kind, blind.subject.name) == ("blind", "source", "server")
    starts(night, "2026-11-25 02:00", at=at("2026-11-25 02:00:30"))
    night.harness.runner.read_until = night.clock
    goes(night, "2026-11-25 02:31", step=1)
    assert night.open == []
    assert len(night.incidents) == 1


def test_what_was_late_while_nobody_could_see_is_told_when_sight_returns(night):
    night.declares(rules.late("1m"))
    deploys(night)
    goes(night, "2026-11-25 01:59")
    stood = night.clock()
    night.harness.runner.read_until = lambda: stood
    goes(night, "2026-11-25 02:10", step=2)
    assert [incident.rule.kind for incident in night.open] == ["blind"]
    night.harness.runner.read_until = night.clock
    goes(night, "2026-11-25 02:10:02", step=1)
    assert [incident.rule.kind for incident in night.open] == ["late"]


def test_a_source_that_falls_silent_is_one_incident_however_many_deployments_it_feeds(night):
    """Told five minutes after its last word, as `late` needs it and nobody stated another bound."""
    for number in range(5):
        fields = {"flow": "nightly", "deployment": f"d{number}", "source": "prefect"}
        night.appends(e.FlowRunScheduled, run=f"p{number}", due=at("2026-11-25 02:00"), **fields)
    night.appends(e.SourceProgress, source="prefect", complete_until=night.clock())
    goes(night, "2026-11-25 01:54")
    night.appends(e.SourceDown, source="prefect", error=e.Failure(type="ConnectError", message="secret"))
    goes(night, "2026-11-25 03:00", step=5)
    (incident,) = night.open
    assert (incident.subject.kind, incident.subject.name) == ("source", "prefect")
    assert "ConnectError" in incident.reason
    assert "secret" not in incident.reason
    night.appends(e.SourceProgress, source="prefect", complete_until=night.clock())
    night.passes(3)
    assert {incident.rule.kind for incident in night.open} == {"late"}
    assert len(night.open) == 5


def test_a_blind_rule_that_is_off_leaves_it_at_unknown(night, tmp_path):
    night.declares(rules.late("1m"), e.RuleData(kind="blind", arguments={"off": True}))
    deploys(night)
    stood = night.clock()
    night.harness.runner.read_until = lambda: stood
    goes(night, "2026-11-25 03:00", step=5)
    assert night.incidents == []


@pytest.mark.parametrize("behind", [3600, 90, 0, -90, -3600])
def test_a_writers_wrong_clock_makes_nobody_late_early(night, behind):
    """A machine elsewhere starts its run by its own clock: in time is a minute of grace by both clocks."""
    night.declares(rules.late("1m"))
    deploys(night)
    due = at("2026-11-25 02:00")
    ship(night, behind)
    end = due + MINUTE + max(behind, 0) * S
    while night.clock() < end:
        ship(night, behind)
        night.passes(min(15, (end - night.clock()) / 1e6))
        assert night.incidents == []
    for _ in range(8):
        ship(night, behind)
        night.passes(1)
    assert len(night.open) == 1


def ship(world, behind: float) -> None:
    """The writer's row as it is where its journal is shipped, and something was heard of it this moment."""
    facts = {"shipper": "agent", "machine": "far", "last_sign": world.clock(), "skew": behind}
    with world.harness.store.write() as transaction:
        transaction.connection.execute(update(writers).where(writers.c.kind == "journal").values(facts))


def test_a_machine_that_is_lost_is_blind_and_not_late(night):
    """Nobody knows whether it runs what is due."""
    night.declares(rules.late("1m"))
    deploys(night)
    ship(night, 0)
    last = night.clock()
    night.passes(2)
    with night.harness.store.write() as transaction:
        gone = {"ended": last + MINUTE, "last_sign": last}
        transaction.connection.execute(update(writers).where(writers.c.kind == "journal").values(gone))
    goes(night, "2026-11-25 02:30", step=5)
    assert [(incident.rule.kind, incident.subject.name) for incident in night.open] == [("blind", "far")]
    with night.harness.store.write() as transaction:
        transaction.connection.execute(update(writers).where(writers.c.kind == "journal").values(last_sign=last + MINUTE))
    goes(night, "2026-11-25 02:30:05", step=1)
    assert [incident.rule.kind for incident in night.open] == ["late"]
