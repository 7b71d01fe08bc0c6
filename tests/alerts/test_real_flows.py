"""Rules over what real flows write: the names, tasks, assets and events of the engine are those that rules speak of."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from flowtell import emit_event, flow, materialize, measure, task
from flowtell import events as e
from flowtell.rules import absent, budget, failed, measured, stale, too_long
from flowtell.testing import recorder

from .conftest import World

RULES = [
    measured("rows", below=10, task="load", fold="sum"),
    measured("cost", above=5, missing=False),
    absent("shop.begun", within="30m", since="start"),
    absent("shop.exported", within="26h"),
    stale(within="26h"),
    failed(only="KeyError"),
    too_long(quantile=0.95),
]


@task
def load(number: int) -> int:
    measure("rows", number)
    return number


@materialize("s3://lake/orders")
def write(rows: list[int]) -> None:
    measure("cost", len(rows))


@flow(name="shop", rules=RULES)
def shop(numbers: list[int], *, whole: bool = True) -> None:
    emit_event("shop.begun")
    rows = [future.result() for future in load.map(numbers)]
    write(rows)
    if not whole:
        raise KeyError("secret")
    emit_event("shop.exported", payload={"rows": sum(rows)})


@pytest.fixture
def plays(world):
    """Run the flow for real, and let the plugin have what it wrote, as of now."""

    def play(*numbers: int, whole: bool = True) -> None:
        with recorder() as recorded:
            try:
                shop(list(numbers), whole=whole)
            except KeyError:
                assert not whole
        now = world.clock()
        world.harness.append([replace(event, time=now, environment="test") for event in recorded.events])
        world.passes(3)

    return play


def test_a_good_run_is_told_to_nobody(world, plays):
    """All that the rules ask for is there."""
    plays(4, 5, 6)
    plays(4, 5, 6)
    assert world.told() == []
    verdicts = {(rule.rule.kind, rule.holds) for rule in world.rules}
    assert verdicts >= {("measured", True), ("absent", True), ("stale", True), ("failed", True)}


def test_what_a_bad_run_leaves_out_is_told(world, plays):
    """Too few rows, of mapped tasks in all; an error by its type; then what does not come for a day."""
    plays(4, 5, 6)
    plays(1, 1)
    assert {incident.reason for incident in world.open} == {"the sum of rows of load is 2, below 10"}
    plays(1, 2, 3, whole=False)
    assert {incident.rule.kind for incident in world.open} == {"measured", "failed"}
    assert "secret" not in repr(world.incidents)
    world.passes(26 * 3600)
    world.passes(3)
    kinds = sorted((incident.rule.kind, incident.subject.name) for incident in world.open)
    assert kinds == [("absent", "shop.exported"), ("failed", "shop"), ("measured", "shop"), ("stale", "s3://lake/orders")]
    plays(4, 5, 6)
    assert world.open == []


@pytest.mark.postgres
def test_the_same_on_postgresql(tmp_path, new_database):
    """All kinds, a past that is recalled and a restart, over the other store."""
    world = World(tmp_path, store_url=new_database())
    try:
        for number in range(25):
            world.ends(f"past{number}", "failed" if number % 5 == 0 else "completed", "shop", duration=60.0)
            world.clock.advance(60)
        world.passes()
        world.declares(*RULES, budget(0.9), flow="shop")
        world.starts("long", "shop")
        world.appends(e.AssetMaterialized, asset="s3://" + "é" * 3_000, flow="shop", run="long", partition="2026-11-24")
        world.appends(e.MeasureRecorded, name="rows", value=1.0, task="load", flow="shop", run="long")
        world.passes(100)
        world.restarts()
        world.passes(26 * 3_600)
        world.ends("long", "failed", "shop", error=e.Failure(type="KeyError"))
        for _ in range(3):
            world.passes(3)
        found = {incident.rule.kind for incident in world.incidents}
        assert found == {"too_long", "budget", "stale", "absent", "failed"}
    finally:
        world.harness.close()
