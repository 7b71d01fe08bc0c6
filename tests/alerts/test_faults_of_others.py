"""Faults that users of Airflow, Prefect, Dagster and Sentry have reported, each by its number, and what happens here.

The reports are those of `apache/airflow`, `PrefectHQ/prefect`, `dagster-io/dagster` and `getsentry/sentry`. What is about
several servers is in `tests/faults`, what is about channels in the tests of those.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from flowtell import events as e
from flowtell import rules
from flowtell.schedules import cron, every, microseconds
from flowtell.store.tables import runs as run_table
from flowtell_alerts import reading, tables

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
LANE = {"flow": "nightly", "deployment": "berlin"}


def at(text: str, zone: str = "UTC") -> int:
    return microseconds(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


@pytest.fixture
def days(world):
    """A world at midnight, whose deployment can be served and whose time can pass."""
    world.clock.now = at("2026-11-25 00:00")
    return Days(world)


class Days:
    def __init__(self, world):
        self.world = world

    def deploys(self, *schedules, **fields):
        self.world.appends(e.DeploymentDeclared, **{**LANE, "schedules": schedules, **fields})

    def goes(self, until: str, step: float = MINUTE):
        while self.world.clock() < at(until):
            self.world.passes(min(step, (at(until) - self.world.clock()) / 1e6))

    def runs(self, run: str, seconds: float, state: str = "completed", due: int | None = None, **fields):
        self.world.appends(e.FlowRunStarted, run=run, due=due, **LANE, **fields)
        self.world.passes(seconds)
        self.world.appends(e.FlowRunFinished, run=run, state=state, duration=seconds, **LANE)
        self.world.passes(1)


# --- Airflow's SLAs -----------------------------------------------------------------------------------------------


def test_airflow_32138_a_healthy_run_is_told_of_to_nobody(world, days):
    """It took two hours of the five that it had, and an SLA miss was sent."""
    world.declares(rules.too_long("5h"), rules.late("15m"), rules.failed(), rules.budget(0.5, min_runs=1))
    days.deploys(cron("5 22 * * *"))
    for day in (25, 26, 27):
        days.goes(f"2026-11-{day} 22:05", HOUR)
        days.runs(f"r{day}", 2 * HOUR, due=at(f"2026-11-{day} 22:05"))
    days.goes("2026-11-28 12:00", HOUR)
    assert world.told() == []


def test_airflow_14050_what_is_missed_is_told(world, days):
    """No miss was recorded and no callback called at all: here one of each kind, across restarts."""
    world.declares(rules.late("15m"), rules.too_long("1h"), rules.failed())
    days.deploys(cron("0 2 * * *"))
    days.goes("2026-11-25 02:20")
    world.restarts()
    world.starts("long")
    world.passes(HOUR + 10)
    world.restarts()
    world.ends("bad", "failed")
    world.passes(3)
    assert sorted(incident.rule.kind for incident in world.open) == ["failed", "late", "too_long"]


def test_airflow_34145_pause_and_resume_storm_nobody(world, days):
    """Every run breaks its bound; paused for six hours and resumed, mails came each minute and could not be stopped."""
    world.declares(rules.too_long("5m"), rules.late("5m"))
    days.deploys(every("20m"))
    for number in range(6):
        days.runs(f"a{number}", 10 * MINUTE, due=world.clock() // 1_200_000_000 * 1_200_000_000)
        world.passes(10 * MINUTE - 1)
    before = world.told().count("opened")
    assert 1 <= before <= 6  # that comes and goes is told less often
    days.deploys(every("20m"), paused=True)
    days.goes("2026-11-25 08:00")
    assert world.told().count("opened") == before
    days.deploys(every("20m"))
    world.passes(1)
    days.runs("b", 10 * MINUTE, due=world.clock() // 1_200_000_000 * 1_200_000_000)
    world.passes(1)
    assert world.told().count("opened") == before + 1
    days.deploys(every("20m"), paused=True)
    world.passes(6 * HOUR)
    assert world.told().count("opened") == before + 1
    assert world.open == []


def test_airflow_50481_and_64710_nobody_is_told_twice(world, days):
    """Two schedulers each recorded the miss: here the store refuses a second open incident of one key."""
    world.declares(rules.failed())
    world.ends("a", "failed")
    world.passes()
    for _ in range(5):
        world.restarts()
        world.passes(5)
    assert world.told() == ["opened"]
    (row,) = world.harness.read(select(tables.incidents))
    again = {**row._mapping, "incident": "f" * 32}
    with pytest.raises(IntegrityError), world.harness.store.write() as transaction:
        transaction.connection.execute(insert(tables.incidents), again)


def test_airflow_12008_time_is_counted_from_the_start_of_the_run(world, days):
    """It was counted from when the run was due, so that a run that waited for a place was late before it began."""
    world.declares(rules.too_long("1h"))
    days.deploys(cron("0 2 * * *"))
    days.goes("2026-11-25 05:00", HOUR)
    world.appends(e.FlowRunStarted, run="a", due=at("2026-11-25 02:00"), **LANE)
    world.passes(59 * MINUTE)
    assert world.told() == []
    world.passes(2 * MINUTE)
    assert world.open[0].since == at("2026-11-25 06:00")


def test_airflow_35275_mapped_tasks_have_rules_like_others(world, days):
    """An SLA on a mapped task was refused when the file was read."""
    world.declares(rules.measured("rows", below=10, task="load", fold="sum"))
    for run, each in (("a", 4.0), ("b", 2.0)):
        world.appends(e.FlowRunStarted, run=run, **LANE)
        for index in range(3):
            world.appends(e.MeasureRecorded, run=run, task_run=f"{run}{index}", task="load", name="rows", value=each, **LANE)
        world.appends(e.FlowRunFinished, run=run, **LANE)
        world.passes(5)
    (incident,) = world.open
    assert incident.runs == ("b",)
    assert incident.reason == "the sum of rows of load is 6, below 10"


def test_airflow_16934_judging_touches_no_run(world, days):
    """Rows of runs disappeared where an SLA was missed. The evaluator writes tables of its own alone."""
    world.declares(rules.failed(), rules.too_long("1m"))
    world.starts("a")
    world.passes(90)
    world.ends("a", "failed")
    before = world.harness.read(select(run_table))
    world.passes(90)
    assert world.harness.read(select(run_table)) == before
    assert [name for name in tables.metadata.tables if not name.startswith("alerts_")] == []


def test_airflow_8545_a_back_fill_pages_nobody(world, days):
    """Nor does it mend what is broken tonight."""
    world.declares(rules.failed(), rules.late("5m"), rules.budget(0.9, min_runs=5), rules.measured("rows", below=1))
    days.deploys(cron("0 2 * * *"))
    world.passes()
    for number in range(100):
        days.runs(f"b{number}", 60, "failed", due=at("2026-01-01 02:00") + number * 86_400_000_000, cause="backfill")
    assert world.told() == []


@pytest.mark.parametrize("schedules", [(), (cron("0 2 * * *", active=False),)], ids=["none", "inactive"])
def test_airflow_8545_runs_by_hand_and_flows_without_a_schedule_are_judged(world, days, schedules):
    """`schedule=None` and `@once` raised inside the scheduler, and runs by hand had no SLA."""
    world.declares(rules.late("5m"), rules.too_long("10m"), rules.failed())
    days.deploys(*schedules)
    days.runs("by hand", 20 * MINUTE, "failed")
    assert {incident.rule.kind for incident in world.incidents} == {"too_long", "failed"}
    days.goes("2026-11-27 00:00", HOUR)
    assert all(incident.rule.kind != "late" for incident in world.incidents)


def test_airflow_8545_those_are_told_whose_it_is(world, days):
    """Mails went to everybody who had a task in the DAG."""
    world.declares(rules.failed(), owners=("platform",))
    days.deploys(owners=("growth",))
    days.runs("a", 60, "failed")
    assert world.open[0].owners == ("growth",)


# --- Airflow's deadlines ------------------------------------------------------------------------------------------


def test_airflow_60927_a_run_that_has_failed_does_not_take_too_long(world, days):
    """It failed after ten minutes, and the alert came three hours after it was queued."""
    world.declares(rules.too_long("3h"))
    days.runs("a", 10 * MINUTE, "failed")
    world.passes(6 * HOUR)
    assert world.told() == []


def test_airflow_63856_while_it_is_broken_it_is_one_incident(world, days):
    """A hundred bad runs on end: one, which grows."""
    world.declares(rules.failed())
    for number in range(100):
        days.runs(f"r{number}", 60, "failed")
    assert world.told().count("opened") == 1
    assert len(world.incidents) == 1


def test_airflow_63853_an_average_needs_a_factor_and_no_hung_run_in_it(world, days):
    """Half of all runs are above their average; one that hung for a day moved it by an hour."""
    world.declares(rules.too_long(quantile=0.95, factor=2))
    for number in range(20):
        days.runs(f"r{number}", 60 + number % 5)
    days.runs("hung", DAY)
    told = world.told().count("opened")
    for number in range(20):
        days.runs(f"s{number}", 60 + number % 5)
    assert world.told().count("opened") == told
    world.starts("long")
    world.appends(e.FlowRunStarted, run="long too", **LANE)
    world.passes(3 * MINUTE)
    assert [incident.runs for incident in world.open] == [("long too",)]


def test_airflow_50501_rules_and_what_was_found_can_be_read(world, days):
    """Deadlines were neither in the API nor in the pages."""
    world.declares(rules.late("5m"))
    days.deploys(cron("0 2 * * *"))
    days.goes("2026-11-25 02:10")
    (status,) = [rule for rule in reading.rules(world.harness.read) if rule.deployment and rule.rule.kind == "late"]
    assert (status.holds, status.rule.arguments) == (False, {"after": 300.0})
    (incident,) = world.open
    assert incident.due == at("2026-11-25 02:00")
    assert incident.evidence["reference"] == "due time"


def test_airflow_a_changed_rule_holds_without_a_restart(world, days):
    """A changed callback asked for a new triggerer."""
    world.declares(rules.too_long("1h"))
    world.appends(e.FlowRunStarted, run="a", **LANE)
    world.passes(20 * MINUTE)
    world.declares(rules.too_long("10m"))
    world.passes(1)
    assert len(world.open) == 1


# --- Prefect's proactive triggers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("restarts", [False, True])
def test_prefect_8217_8495_13749_21932_a_short_run_is_never_told_as_long(world, days, restarts):
    """It ran two minutes, and long afterwards a trigger said that it still did: its end was not seen."""
    world.declares(rules.too_long("35m"))
    for number in range(10):
        world.appends(e.FlowRunStarted, run=f"r{number}", **LANE)
        world.passes(MINUTE)
        if restarts:
            world.restarts()
        world.passes(MINUTE)
        world.appends(e.FlowRunFinished, run=f"r{number}", **LANE)
        if restarts:
            world.restarts()
        world.passes(HOUR)
    assert world.told() == []


def test_prefect_8495_an_end_that_is_read_before_the_start_ends_the_run(world, days):
    """Two writers, in whatever order: the run is over."""
    world.declares(rules.too_long("35m"))
    began = world.clock()
    world.clock.advance(2 * MINUTE)
    world.appends(e.FlowRunFinished, run="a", duration=120.0, **LANE)
    world.passes(3)
    world.appends(e.FlowRunStarted, at=began, run="a", **LANE)
    world.passes(3)
    world.passes(2 * HOUR)
    assert world.told() == []


def test_prefect_14692_a_run_that_has_started_is_not_stuck(world, days):
    """Pending, then late, then started within the hour: a trigger of one hour fired all the same."""
    world.declares(rules.late("1h"))
    due = at("2026-11-25 02:00")
    days.goes("2026-11-25 01:59", HOUR)
    world.appends(e.FlowRunScheduled, run="a", due=due, **LANE)
    days.goes("2026-11-25 02:30")
    world.appends(e.FlowRunPending, run="a", due=due, **LANE)
    world.appends(e.FlowRunLate, run="a", due=due, **LANE)
    days.goes("2026-11-25 02:55")
    world.appends(e.FlowRunStarted, run="a", due=due, **LANE)
    days.goes("2026-11-25 06:00")
    assert world.told() == []


def test_prefect_18838_every_stuck_run_is_told_once(world, days):
    """Some were, some were not: here twenty of twenty, at their times, across restarts."""
    for number in range(20):
        world.declares(rules.too_long("10m"), flow=f"f{number}")
    for number in range(20):
        world.starts(f"r{number}", f"f{number}")
        world.passes(30)
        if number % 4 == 0:
            world.restarts()
    for _ in range(20):
        world.passes(MINUTE)
    assert sorted(incident.flow for incident in world.open) == sorted(f"f{number}" for number in range(20))
    assert world.told() == ["opened"] * 20


def test_prefect_17685_what_was_told_once_is_told_again_at_its_time(world, days):
    """After the first time a trigger of ten minutes kept silent for half an hour."""
    world.declares(rules.absent("shop.beat", within="10m"))
    for _ in range(3):
        world.appends(e.UserEvent, type="shop.beat")
        world.passes(10 * MINUTE - 1)
        told = world.told().count("opened")
        world.passes(5)
        assert world.told().count("opened") == told + 1
    assert world.told() == ["opened", "resolved"] * 2 + ["opened"]


def test_prefect_16545_a_run_that_has_gone_on_for_days_is_told(world, days):
    """A trigger of ten hours had worked, and months later did not: two days of a run went by."""
    world.declares(rules.too_long("10h"))
    for month in range(4):
        days.runs(f"m{month}", HOUR)
        world.passes(30 * DAY)
        world.restarts()
    world.appends(e.FlowRunStarted, run="stuck", **LANE)
    for _ in range(11):
        world.passes(HOUR)
        world.restarts()
    assert [incident.runs for incident in world.open] == [("stuck",)]


def test_prefect_a_thousand_runs_are_looked_at_in_one_pass(world, days):
    """Its service for late runs marks four hundred each time."""
    world.declares(rules.too_long("10m"))
    for number in range(1_000):
        world.appends(e.FlowRunStarted, run=f"r{number}", flow=f"f{number % 250}")
    for number in range(250):
        world.declares(rules.too_long("10m"), flow=f"f{number}")
    world.passes(3)
    world.passes(11 * MINUTE)
    assert len(world.open) == 250
    assert sum(incident.evidence["count"] for incident in world.open) == 1_000


# --- Dagster's freshness, and its sensors -------------------------------------------------------------------------


def test_dagster_34023_a_back_fill_of_an_old_partition_makes_nothing_fresh(world, days):
    """The asset looked as if it had been made today."""
    world.declares(rules.stale("s3://lake/orders", within="26h"))
    world.appends(e.AssetMaterialized, asset="s3://lake/orders", run="a", partition="2026-11-24", **LANE)
    world.passes(25 * HOUR)
    for month in range(1, 10):
        world.appends(e.AssetMaterialized, asset="s3://lake/orders", run="b", partition=f"2026-0{month}-01", **LANE)
    world.passes(2 * HOUR)
    assert len(world.open) == 1


# --- storms -------------------------------------------------------------------------------------------------------


def test_a_server_that_was_away_for_three_days_tells_of_what_is_bad_now(world, days):
    """Seventy-two due times went by, and runs failed and recovered: one page for what is still missing."""
    world.declares(rules.late("5m"), rules.failed(), rules.too_long("10m"))
    days.deploys(cron("0 * * * *"))
    world.passes(1)
    for hour in range(40):
        world.clock.advance(HOUR)
        state = "failed" if hour % 2 == 0 else "completed"
        world.appends(e.FlowRunStarted, run=f"r{hour}", due=at("2026-11-25 01:00") + hour * 3_600_000_000, **LANE)
        world.appends(e.FlowRunFinished, run=f"r{hour}", state=state, duration=1_200.0, **LANE)
    world.clock.advance(32 * HOUR)
    world.restarts()
    for _ in range(10):
        world.passes(2)
    opened = world.events("incident.opened")
    assert len(opened) <= 1
    assert {event.rule.kind for event in opened} <= {"late"}


# --- deadlines, clocks and sight ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cleared", [False, True])
def test_airflow_68961_a_deadline_is_a_time_on_the_wall(world, days, cleared):
    """Failed at two, cleared and well by five: nobody is told. Else it is told at its time, and that the run has failed."""
    world.declares(rules.deadline("06:30"))
    days.deploys(cron("0 2 * * *"))
    days.goes("2026-11-25 06:31", HOUR)
    days.goes("2026-11-26 02:00", HOUR)
    before = len(world.incidents)
    days.runs("a", 10 * MINUTE, "failed", due=at("2026-11-26 02:00"))
    days.goes("2026-11-26 05:00", HOUR)
    if cleared:
        days.runs("b", 10 * MINUTE, due=at("2026-11-26 02:00"))
    assert len(world.incidents) == before
    days.goes("2026-11-26 06:35")
    missed = world.incidents[before:]
    assert len(missed) == (0 if cleared else 1)
    assert all("failed" in incident.reason for incident in missed)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [("Europe/Berlin", "2026-03-29", 23), ("Europe/Berlin", "2026-10-25", 25), ("Australia/Lord_Howe", "2026-10-04", 23.5)],
)
def test_sentry_66868_66763_where_clocks_jump(world, days, zone, day, hours):
    """The next expected check-in was an hour off. Started at each due time of three days: nobody is late."""
    world.declares(rules.late("5m"))
    line = cron("30 1 * * *", zone)
    world.clock.now = at(f"{day} 00:00", zone) - int(DAY * 1e6)
    days.deploys(line)
    world.passes(1)
    from flowtell.schedules import dues

    found = list(dues(line, world.clock(), world.clock() + int((2 * 24 + hours) * HOUR * 1e6)))
    for due in found:
        world.passes((due - world.clock()) / 1e6)
        days.runs(f"r{due}", MINUTE, due=due)
        world.passes(2 * HOUR)
    assert len(found) == 3
    assert world.told() == []


def test_sentry_79328_a_monitor_that_cannot_see_says_so(world, days):
    """Its own outage was told as missed check-ins of everybody."""
    world.declares(rules.late("1m"))
    days.deploys(cron("0 2 * * *"))
    days.goes("2026-11-25 01:55", HOUR)
    stood = world.clock()
    world.harness.runner.read_until = lambda: stood
    for _ in range(15 * 60):
        world.passes(2)
    assert [incident.rule.kind for incident in world.open] == ["blind"]


def test_dagster_19224_14779_29625_who_falls_behind_is_noticed(world, days):
    """Sensors stood still and nobody was told."""
    world.declares(rules.late("1m"))
    world.appends(e.FlowRunScheduled, run="p", due=at("2026-11-25 06:00"), source="prefect", **LANE)
    world.appends(e.SourceProgress, source="prefect", complete_until=world.clock())
    for _ in range(6 * 60):
        world.passes(1)
    (incident,) = world.open
    assert (incident.rule.kind, incident.subject.name) == ("blind", "prefect")
