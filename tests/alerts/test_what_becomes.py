"""What becomes of each rule when a run fails, is cancelled, retried, paused, back-filled or started by hand.

The table of `docs/rules.md`, played: nine rules that all held the day before, one run that is due at two, and what happens
to it. Said is which incidents have opened by seven.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flowtell import events as e
from flowtell import rules
from flowtell.schedules import cron, microseconds

LANE = {"flow": "nightly", "deployment": "berlin"}
RULES = (
    rules.late("5m"),
    rules.too_long("30m"),
    rules.deadline("06:30"),
    rules.failed(),
    rules.measured("rows", below=10),
    rules.budget(0.9, min_runs=1, windows="7d"),
    rules.stale("s3://lake/orders", within="22h"),
    rules.absent("shop.exported", within="22h"),
    rules.absent("shop.begun", within="30m", since="start"),
)
ALL = {"deadline", "stale", "absent"}
"""What is missing where nothing is made."""


def at(text: str) -> int:
    return microseconds(datetime.fromisoformat(f"2026-11-{text}").replace(tzinfo=UTC))


class Night:
    def __init__(self, world):
        self.world = world

    def goes(self, text: str):
        self.world.passes(max(at(text) - self.world.clock(), 0) / 1e6)
        for _ in range(3):
            self.world.passes(1)

    def says(self, kind, **fields):
        self.world.appends(kind, **{**LANE, **fields})

    def starts(self, run="r", due="25 02:00", **fields):
        self.says(e.FlowRunStarted, run=run, due=at(due) if due else None, **fields)

    def works(self, run="r", rows=100.0):
        """It does all that the rules want of a run."""
        self.says(e.UserEvent, type="shop.begun", run=run)
        self.says(e.MeasureRecorded, run=run, name="rows", value=rows)
        self.says(e.AssetMaterialized, run=run, asset="s3://lake/orders")
        self.says(e.UserEvent, type="shop.exported", run=run)

    def ends(self, state="completed", run="r", **fields):
        self.says(e.FlowRunFinished, run=run, state=state, **fields)


@pytest.fixture
def night(world):
    """Two in the morning and a minute, after a day on which all was well."""
    night = Night(world)
    world.clock.now = at("24 06:20")
    world.declares(*RULES)
    night.says(e.DeploymentDeclared, schedules=(cron("0 2 * * *"),))
    night.starts("before", "24 06:20")
    night.works("before")
    night.ends(run="before")
    night.goes("25 01:59")
    assert world.told() == []
    return night


def well(night):
    night.goes("25 02:01")
    night.starts()
    night.goes("25 02:11")
    night.works()
    night.ends()


def fails(night):
    night.goes("25 02:01")
    night.starts()
    night.goes("25 02:11")
    night.ends("failed")


def is_cancelled(night):
    night.goes("25 02:01")
    night.starts()
    night.goes("25 02:11")
    night.says(e.FlowRunCancelling, run="r")
    night.ends("cancelled")


def is_skipped(night):
    night.goes("25 02:01")
    night.says(e.FlowRunScheduled, run="r", due=at("25 02:00"))
    night.ends("skipped", due=at("25 02:00"))


def is_retried_and_goes_on(night):
    night.goes("25 02:01")
    night.starts()
    night.goes("25 02:11")
    night.says(e.FlowRunRetrying, run="r", attempt=1)
    night.starts(attempt=2)


def is_retried_and_ends_well(night):
    is_retried_and_goes_on(night)
    night.goes("25 02:21")
    night.works()
    night.ends(attempts=2)


def is_paused(night):
    night.goes("25 02:01")
    night.starts()
    night.goes("25 02:11")
    night.says(e.FlowRunPaused, run="r", key="ok?")


def a_back_fill_works(night):
    night.goes("25 02:01")
    night.starts("b", "20 02:00", cause="backfill")
    night.works("b", rows=1.0)
    night.goes("25 02:11")
    night.ends(run="b")


def a_back_fill_fails(night):
    night.goes("25 02:01")
    night.starts("b", "20 02:00", cause="backfill")
    night.goes("25 02:11")
    night.ends("failed", run="b")


def by_hand(night):
    night.goes("25 02:01")
    night.starts("hand", None)
    night.works("hand")
    night.goes("25 02:11")
    night.ends(run="hand")


def the_deployment_is_paused(night):
    night.says(e.DeploymentDeclared, schedules=(cron("0 2 * * *"),), paused=True)


def nothing(night):
    pass


BECOMES = {
    well: set(),
    nothing: ALL | {"late"},
    fails: ALL | {"failed", "budget"},
    is_cancelled: ALL,
    is_skipped: ALL,
    is_retried_and_goes_on: ALL | {"too_long", "absent since the start"},
    is_retried_and_ends_well: set(),
    is_paused: ALL | {"absent since the start"},
    a_back_fill_works: {"late", "deadline", "stale"},
    a_back_fill_fails: ALL | {"late"},
    by_hand: {"late"},
    the_deployment_is_paused: ALL - {"deadline"},
}


def name_of(rule: e.RuleData) -> str:
    return "absent since the start" if rule.arguments.get("since") == "start" else rule.kind


@pytest.mark.parametrize("happens", BECOMES, ids=lambda happens: happens.__name__)
def test_what_becomes(night, happens):
    """As the table in the docs says, and each once."""
    happens(night)
    for moment in ("25 02:06", "25 02:35", "25 04:25", "25 06:31", "25 07:00"):
        night.goes(moment)
    opened = [name_of(event.rule) for event in night.world.events("incident.opened")]
    assert sorted(opened) == sorted(BECOMES[happens])
