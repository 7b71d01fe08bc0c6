"""When an event of one's own did not come, over a real log and a clock that stands still."""

from __future__ import annotations

import pytest

from flowtell import events as e
from flowtell.rules import absent, failed

HOUR = 3_600.0
EXPORTED = "shop.orders.exported"


def comes(world, name=EXPORTED, run="", **facts):
    world.appends(e.UserEvent, type=name, run=run, **facts)
    world.passes()


def test_an_event_that_does_not_come_again_in_time(world):
    """Opened when the span since the one before is over, resolved when it comes; the subject is the event."""
    world.declares(absent(EXPORTED, within="1h"))
    comes(world)
    world.passes(HOUR - 3)
    assert world.told() == []
    world.passes(5)
    (incident,) = world.open
    assert (incident.subject.kind, incident.subject.name) == ("event", EXPORTED)
    assert incident.reason == "shop.orders.exported did not come in 1 h"
    comes(world)
    assert world.told() == ["opened", "resolved"]


def test_an_event_that_never_came(world):
    """From when the rule was stated."""
    world.declares(absent(EXPORTED, within="1h"))
    world.passes(HOUR - 10)
    assert world.told() == []
    world.passes(20)
    assert world.open[0].reason == "shop.orders.exported never came, and not in 1 h"


def test_an_event_that_must_come_by_a_time(world):
    """By seven each day."""
    world.declares(absent(EXPORTED, by="0 7 * * *"))
    for _ in range(5):
        comes(world)
        world.passes(24 * HOUR - 1)
    assert world.told() == []
    world.passes(24 * HOUR)
    assert len(world.open) == 1


def test_whoever_writes_the_event(world):
    """Outside of any run, or in one of another flow."""
    world.declares(absent(EXPORTED, within="1h"))
    world.passes(HOUR / 2)
    comes(world)
    world.passes(HOUR / 2)
    comes(world, run="r", flow="other")
    world.passes(HOUR / 2)
    assert world.told() == []


def test_of_events_that_no_rule_names_nothing_is_kept(world):
    """There may be any number of them."""
    from sqlalchemy import select

    from flowtell_alerts import tables

    world.declares(absent(EXPORTED, within="1h"))
    for number in range(20):
        comes(world, f"shop.other.n{number}")
    kept = world.harness.read(select(tables.subjects).where(tables.subjects.c.kind == "event"))
    assert [row.name for row in kept] == [EXPORTED]


def test_a_restart_forgets_nothing(world):
    """Neither when it came last nor since when it is awaited."""
    world.declares(absent(EXPORTED, within="1h"), absent("shop.never", within="1h"))
    world.passes(HOUR / 2)
    comes(world)
    world.restarts()
    world.passes(HOUR / 2 + 10)
    assert [incident.subject.name for incident in world.open] == ["shop.never"]
    world.restarts()
    world.passes(HOUR / 2)
    assert {incident.subject.name for incident in world.open} == {"shop.never", EXPORTED}
    assert world.told() == ["opened", "opened"]


def test_an_event_that_comes_just_before_a_look_at_the_log_is_not_passed_over(world):
    """It lies in the log and was not handed over yet: it is on its way, and nothing opens that it would take back."""
    world.declares(absent(EXPORTED, within="1h"))
    comes(world)
    world.clock.advance(HOUR + 5)
    world.appends(e.UserEvent, type=EXPORTED)
    world.harness.runner.live = True
    world.harness.runner.tick()
    assert world.told() == []
    world.passes(3)
    world.passes(HOUR - 10)
    assert world.told() == []


# --- since the start of each run ----------------------------------------------------------------------------------


def test_each_run_writes_it_within_a_span_of_its_start(world):
    """The one that does not is named; it resolves when it is written."""
    world.declares(absent(EXPORTED, within="30m", since="start"))
    world.starts("a")
    world.starts("b")
    comes(world, run="a", flow="nightly")
    world.passes(1790)
    assert world.told() == []
    world.passes(20)
    (incident,) = world.open
    assert incident.runs == ("b",)
    assert incident.reason == "a run has not written shop.orders.exported within 30 min of the start"
    assert incident.subject.kind == "flow"
    comes(world, run="b", flow="nightly")
    assert world.told() == ["opened", "resolved"]


def test_a_run_that_ended_badly_owes_nothing_any_more(world):
    """How it ended is the business of `failed`; one that was cancelled was told to stop."""
    world.declares(absent(EXPORTED, within="30m", since="start"))
    for run, state in (("a", "failed"), ("b", "cancelled")):
        world.starts(run)
        world.passes(60)
        world.ends(run, state)
    world.passes(HOUR)
    assert world.told() == []


def test_a_run_that_ended_well_without_it(world):
    """Is told of at its end, and until a run writes it."""
    world.declares(absent(EXPORTED, within="30m", since="start"))
    world.starts("a")
    world.passes(60)
    world.ends("a")
    world.passes()
    assert world.open[0].reason == "the last run ended well without shop.orders.exported"
    world.restarts()
    world.starts("b")
    comes(world, run="b", flow="nightly")
    world.ends("b")
    world.passes(3)
    assert world.told() == ["opened", "resolved"]


def test_a_back_fill_need_not_write_it(world):
    """It is a hand at work, with somebody who looks on."""
    world.declares(absent(EXPORTED, within="30m", since="start"))
    world.appends(e.FlowRunStarted, run="a", flow="nightly", cause="backfill")
    world.passes(HOUR)
    assert world.told() == []


@pytest.mark.parametrize(
    "arguments",
    [{"by": "0 7 * * *", "tz": "Mars/Crater"}, {"by": "never"}, {}, {"within": 5.0, "by": "0 7 * * *"}, {"within": "soon"}],
    ids=str,
)
def test_arguments_that_cannot_be_are_shown_as_not_understood(world, arguments):
    """A source or a version of tomorrow may state anything; other rules hold all the same."""
    odd = e.RuleData(kind="absent", arguments={"event": "a.b", **arguments})
    world.appends(e.RuleDeclared, rule=odd)
    world.declares(odd, failed())
    world.ends("a", "failed")
    world.passes(3)
    assert [incident.rule.kind for incident in world.open] == ["failed"]
    assert any(rule.verdict.startswith("not understood") for rule in world.rules)
