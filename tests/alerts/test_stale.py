"""When an asset is stale, over a real log and a clock that stands still."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flowtell import events as e
from flowtell.rules import failed, stale

HOUR = 3_600.0
DAY = 24 * HOUR
ORDERS = "s3://lake/orders"


@pytest.fixture
def assets(world):
    return Assets(world)


class Assets:
    def __init__(self, world):
        self.world = world

    def makes(self, kind=e.AssetMaterialized, *, asset=ORDERS, flow="nightly", run="r", **facts):
        self.world.appends(kind, asset=asset, flow=flow, run=run, **facts)
        self.world.passes()

    def waits_until(self, hour: int, minute: int = 1):
        """Pass time until the clock shows it in UTC, by steps of at most an hour."""
        now = datetime.fromtimestamp(self.world.clock() / 1e6, UTC)
        left = (hour * 60 + minute - now.hour * 60 - now.minute) % (24 * 60) * 60.0
        while left > 0:
            self.world.passes(min(left, HOUR))
            left -= HOUR


def test_an_asset_that_is_older_than_a_span(world, assets):
    """Opened when the span is over, resolved when it is made; the subject is the asset."""
    world.declares(stale(ORDERS, within="26h"))
    assets.makes()
    made = world.clock()
    world.passes(26 * HOUR - 2)
    assert world.told() == []
    world.passes(5)
    (incident,) = world.open
    assert (incident.subject.kind, incident.subject.name) == ("asset", ORDERS)
    assert incident.since == pytest.approx(made + int(26 * HOUR * 1e6), abs=2e6)
    assert incident.reason == "not made in 26 h"
    assets.makes()
    assert world.told() == ["opened", "resolved"]
    assert world.incidents[0].reason == "it was made in time"


def test_whatever_the_flow_makes(world, assets):
    """A rule without a name holds for each of its assets, and for no other flow's."""
    world.declares(stale(within="26h"))
    assets.makes()
    assets.makes(asset="s3://lake/items")
    assets.makes(asset="s3://lake/foreign", flow="other")
    world.passes(27 * HOUR)
    assert {incident.subject.name for incident in world.open} == {ORDERS, "s3://lake/items"}


def test_an_asset_that_two_flows_make_is_one_subject(world, assets):
    """Made by one, it is fresh for both."""
    for flow in ("nightly", "hourly"):
        world.declares(stale(ORDERS, within="26h"), flow=flow)
        assets.makes(flow=flow)
    world.passes(20 * HOUR)
    assets.makes(flow="hourly")
    world.passes(20 * HOUR)
    assert world.told() == []
    world.passes(7 * HOUR)
    assert len(world.open) == 1


def test_a_pattern(world, assets):
    """Of all that the flow makes, those that fit."""
    world.declares(stale("s3://lake/o*", within="26h"))
    assets.makes()
    assets.makes(asset="s3://lake/items")
    world.passes(27 * HOUR)
    assert [incident.subject.name for incident in world.open] == [ORDERS]


def test_it_must_be_there_by_a_time(world, assets):
    """By seven in Berlin; what comes at eight resolves that day and does not count for the next."""
    world.declares(stale(ORDERS, by="7:00", tz="Europe/Berlin"))
    assets.waits_until(3)
    assets.makes()
    assets.waits_until(8)
    assert world.told() == []
    assets.waits_until(7)
    (incident,) = world.open
    assert "0 7 * * * Europe/Berlin" in incident.reason
    assert incident.evidence["zone"] == "Europe/Berlin"
    assets.waits_until(8, 30)
    assets.makes()
    assert world.told() == ["opened", "resolved"]
    assets.waits_until(7)
    assert world.told() == ["opened", "resolved", "opened"]


def test_an_asset_that_was_declared_and_never_made(world, assets):
    """From when it was first heard of."""
    world.declares(stale(within="26h"))
    assets.makes(e.AssetDeclared)
    world.passes(25 * HOUR)
    assert world.told() == []
    world.passes(2 * HOUR)
    assert world.open[0].reason == "never made, and not in 26 h"


def test_an_asset_of_which_nobody_ever_told(world, assets):
    """The rule names it: its time counts from then."""
    world.declares(stale("s3://lake/typo", within="26h"))
    world.starts("a")
    world.passes()
    world.passes(25 * HOUR)
    assert world.told() == []
    world.passes(2 * HOUR)
    assert [incident.subject.name for incident in world.open] == ["s3://lake/typo"]


def test_a_back_fill_of_an_old_partition_makes_nothing_fresh(world, assets):
    """Neither a run that a back-fill has started, nor an older partition by whatever run."""
    world.declares(stale(ORDERS, within="26h"))
    assets.makes(partition="2026-11-20")
    world.passes(20 * HOUR)
    world.appends(e.FlowRunStarted, run="b", flow="nightly", cause="backfill")
    assets.makes(run="b", partition="2026-11-21")
    assets.makes(run="by hand", partition="2025-01-01")
    world.passes(7 * HOUR)
    assert len(world.open) == 1
    assets.makes(run="by hand", partition="2025-01-02")
    assert len(world.open) == 1
    assets.makes(partition="2026-11-21")
    assert world.open == []


def test_partitions_that_are_no_dates_are_all_alike(world, assets):
    """Whichever country was made last."""
    world.declares(stale(ORDERS, within="26h"))
    assets.makes(partition="sweden")
    world.passes(20 * HOUR)
    assets.makes(partition="denmark")
    world.passes(20 * HOUR)
    assert world.told() == []


@pytest.mark.parametrize("cached", [False, True])
def test_what_came_from_a_cache_is_as_old_as_it_was(world, assets, cached):
    """Unless the rule says that it counts."""
    world.declares(stale(ORDERS, within="26h", cached=cached))
    assets.makes()
    world.passes(20 * HOUR)
    assets.makes(e.AssetCached)
    world.passes(7 * HOUR)
    assert len(world.open) == (0 if cached else 1)


def test_a_making_that_failed_is_named(world, assets):
    """With the type of its error, and the run."""
    world.declares(stale(ORDERS, within="26h"))
    assets.makes()
    world.passes(20 * HOUR)
    assets.makes(e.AssetFailed, run="broken", error=e.Failure(type="KeyError", message="'secret'"))
    world.passes(7 * HOUR)
    (incident,) = world.open
    assert incident.reason == "not made in 26 h; the last attempt failed (KeyError)"
    assert incident.runs == ("broken",)
    assert "secret" not in repr(incident)


def test_an_asset_that_is_removed_is_not_stale(world, assets):
    """Nor before it is made again."""
    world.declares(stale(ORDERS, within="26h"))
    assets.makes()
    world.passes(27 * HOUR)
    assets.makes(e.AssetRemoved)
    assert world.told() == ["opened", "resolved"]
    assert world.incidents[0].reason == "it was removed"
    world.restarts()
    world.passes(100 * HOUR)
    assert world.open == []


def test_environments_are_judged_apart(world, assets):
    """Made in one, it is not made in another."""
    world.declares(stale(ORDERS, within="26h"))
    assets.makes()
    world.harness.append(
        [
            e.AssetMaterialized(
                id="f" * 32, time=world.clock(), asset=ORDERS, flow="nightly", run="x", environment="elsewhere"
            )
        ]
    )
    world.passes(27 * HOUR)
    assert [incident.environment for incident in world.open] == ["test"]


def test_a_restart_at_any_moment_changes_nothing(make_world, tmp_path):
    """Restarted at every step, or never: the same incidents under the same ids."""
    told = []
    for restarts in (False, True):
        world = make_world(tmp_path / str(restarts))
        assets = Assets(world)
        world.declares(stale(ORDERS, by="7:00"))
        for hours in (5, 22, 30, 3, 26, 50):
            assets.makes(partition="2026-11-20")
            if restarts:
                world.restarts()
            else:
                world.clock.advance(2)
            world.passes(hours * HOUR)
            world.passes(3)
        told.append([(one.incident, one.since, one.resolved is None) for one in world.incidents])
    assert told[0] == told[1]
    assert told[0]


def test_what_a_source_has_not_reported_yet_is_not_missing(world, assets):
    """The asset is made in Prefect, say, and the bridge is an hour behind: held as unknown, then judged."""
    world.appends(e.FlowDeclared, flow="nightly", rules=(stale(ORDERS, within="2h"),), source="prefect")
    world.appends(e.FlowRunStarted, run="a", flow="nightly", source="prefect")
    assets.makes(source="prefect", run="a")
    world.appends(e.FlowRunFinished, run="a", flow="nightly", source="prefect")
    made = world.clock()
    world.appends(e.SourceProgress, source="prefect", complete_until=made)
    world.passes(3 * HOUR)
    world.passes(3)
    assert [incident.rule.kind for incident in world.open if incident.rule.kind == "stale"] == []
    world.appends(e.SourceProgress, source="prefect", complete_until=made + int(2 * HOUR * 1e6) + 10)
    world.passes(3)
    world.passes(3)
    assert [incident.subject.name for incident in world.open if incident.rule.kind == "stale"] == [ORDERS]


def test_a_source_that_is_silent_for_a_day_is_not_waited_for_any_more(world, assets):
    """That it is blind was told; the asset is missing all the same."""
    world.appends(e.FlowDeclared, flow="nightly", rules=(stale(ORDERS, within="26h"),), source="prefect")
    world.appends(e.FlowRunStarted, run="a", flow="nightly", source="prefect")
    assets.makes(source="prefect", run="a")
    world.appends(e.SourceProgress, source="prefect", complete_until=world.clock())
    for _ in range(51):
        world.passes(HOUR)
    assert "stale" in {incident.rule.kind for incident in world.open}


@pytest.mark.parametrize(
    "arguments",
    [{"by": "0 7 * * *", "tz": "Mars/Crater"}, {"by": "never"}, {}, {"within": 5.0, "by": "0 7 * * *"}, {"within": "soon"}],
    ids=str,
)
def test_arguments_that_cannot_be_are_shown_as_not_understood(world, arguments):
    """A source or a version of tomorrow may state anything; other rules hold all the same."""
    odd = e.RuleData(kind="stale", arguments={**arguments})
    world.appends(e.RuleDeclared, rule=odd)
    world.declares(odd, failed())
    world.ends("a", "failed")
    world.passes(3)
    assert [incident.rule.kind for incident in world.open] == ["failed"]
    assert any(rule.verdict.startswith("not understood") for rule in world.rules)


def test_assets_with_endless_names_are_told_apart(world, assets):
    """Short enough for a database's key; a rule that names one is about that one."""
    one, other = "s3://" + "é" * 900 + "/a", "s3://" + "é" * 900 + "/b"
    world.declares(stale(one, within="26h"))
    assets.makes(asset=one)
    assets.makes(asset=other)
    world.passes(20 * HOUR)
    assets.makes(asset=other)
    world.passes(7 * HOUR)
    (incident,) = world.open
    assert len(incident.subject.name) == 500
