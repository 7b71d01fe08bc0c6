"""Why a rule fired or did not: judged once more by the tables, as the evaluator would."""

from __future__ import annotations

import pytest

from flowtell import events as e
from flowtell.rules import failed, late, stale, too_long
from flowtell.schedules import cron
from flowtell_alerts.errors import RuleNotFound
from flowtell_alerts.explanation import explain


def explained(world, wanted="nightly"):
    return {each.rule.kind: each for each in explain(world.harness.read, wanted, world.clock())}


def test_a_rule_that_does_not_hold_says_what_is_wrong(world):
    """The same sentence and evidence as the incident; with the verdict that the evaluator gave, and since when."""
    world.declares(failed(), too_long(30))
    world.starts("a")
    world.ends("a", "failed", error=e.Failure(type="KeyError"))
    world.starts("b")
    world.passes(2)
    found = explained(world)
    assert (found["failed"].holds, found["too_long"].holds) == (False, True)
    (wrong,) = found["failed"].wrong
    (incident,) = world.open
    assert (wrong.text, wrong.evidence, wrong.since) == (incident.reason, incident.evidence, incident.since)
    assert found["failed"].found == "runs ended badly"
    assert found["failed"].changed is not None


def test_a_rule_that_holds_says_when_it_is_judged_next(world):
    """A run that is open is past its bound at a moment that is known."""
    world.declares(too_long(30))
    world.starts("a")
    started = world.clock()
    world.passes(2)
    found = explained(world)["too_long"]
    assert found.holds is True
    assert found.reason == "no run is past its bound"
    assert started + 30_000_000 < found.again < started + 40_000_000


def test_it_tells_what_is_true_now_beside_what_was_found(world):
    """A bound that has passed since the evaluator looked."""
    world.declares(too_long(30))
    world.starts("a")
    world.passes(2)
    world.clock.advance(60)
    found = explained(world)["too_long"]
    assert (found.found, found.reason) == ("no run is past its bound", "a run is past its bound")
    assert world.open == []


def test_lateness_has_its_due_time(world):
    """With zone and grace, as the incident says them."""
    line = cron("30 0 * * *", "Europe/Berlin")
    world.declares(late("10m"))
    world.appends(e.DeploymentDeclared, flow="nightly", deployment="daily", schedules=(line,))
    world.passes()
    world.clock.advance(25 * 3600)
    world.passes()
    world.passes()
    found = explained(world, "nightly/daily")["late"]
    assert found.holds is False
    assert found.wrong[0].due is not None
    assert found.wrong[0].evidence["zone"] == "Europe/Berlin"


def test_rules_are_found_by_key_flow_deployment_and_asset(world):
    """What is none of these is said to be none."""
    world.declares(failed(), stale("s3://lake/x", within="1h"))
    world.passes()
    key = explained(world)["failed"].key
    assert list(explained(world, key)) == ["failed"]
    assert list(explained(world, "s3://lake/x")) == ["stale"]
    with pytest.raises(RuleNotFound):
        explained(world, "nothing")


def test_nothing_is_written(world):
    """Neither rows nor events."""
    world.declares(failed())
    world.ends("a", "failed")
    world.passes()
    before = world.harness.rows(), len(world.harness.log())
    explained(world)
    world.passes()
    assert (world.harness.rows(), len(world.harness.log())) == before
