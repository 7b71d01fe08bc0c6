"""What today's rules would have told of the past, over a log with a history, and how it is drawn."""

from __future__ import annotations

import pytest

from flowtell import events as e
from flowtell.rules import failed
from flowtell_alerts.incidents import Incident
from flowtell_alerts.rehearsal import rehearse
from flowtell_alerts.strip import strip

DAY = 86_400_000_000


@pytest.fixture
def past(world):
    """Ten days, in each of which one run fails and the next one ends well an hour later. No rule was stated then."""
    for number in range(10):
        world.ends(f"bad{number}", "failed")
        world.clock.advance(3600)
        world.ends(f"good{number}")
        world.clock.advance(82_800)
    world.passes()
    return world


def rehearsed(world, days: float, **options):
    now = world.clock()
    return rehearse(world.harness.store.log, world.harness.read, since=now - int(days * DAY), until=now, **options)


def test_rules_that_are_new_are_judged_by_what_was(past):
    """As if they had been stated then; nothing is written to the log, no incident opens."""
    past.declares(failed())
    past.harness.deliver()
    before = len(past.harness.log())
    found = rehearsed(past, 10.01)
    assert len(found.incidents) == 10
    assert len(found.told) == 10
    assert [incident.runs for incident in found.incidents] == [(f"bad{number}",) for number in range(10)]
    assert len(past.harness.log()) == before
    assert past.incidents == []


def test_only_the_time_that_was_asked_for(past):
    """Events before it are not judged."""
    past.declares(failed())
    past.harness.deliver()
    assert [incident.runs for incident in rehearsed(past, 3.01).incidents] == [("bad7",), ("bad8",), ("bad9",)]


def test_what_came_after_the_end_is_not_judged(past):
    """Not even what came in the moment in which what was on its way is waited for."""
    past.declares(failed())
    past.harness.deliver()
    ninth = past.harness.log("flow_run.finished")[-2].received
    found = rehearse(past.harness.store.log, past.harness.read, since=ninth - DAY, until=ninth - 30_000_000)
    assert [incident.runs for incident in found.incidents] == [("bad8",)]
    assert found.events == 2


def test_a_file_of_rules_that_is_being_written(past, tmp_path):
    """What it would have told, before anybody switches it on."""
    file = tmp_path / "flowtell.toml"
    file.write_text('[[rules]]\nkind = "failed"\nflow = "night*"\nseverity = "critical"\n')
    found = rehearsed(past, 10.01, rules_path=str(file))
    assert {incident.severity for incident in found.incidents} == {"critical"}
    assert len(found.incidents) == 10


def test_what_was_opened_then_is_not_counted_in(world):
    """Incidents of then are judged anew, and acknowledged by nobody."""
    world.declares(failed())
    world.ends("a", "failed")
    world.passes()
    world.appends(e.IncidentAcknowledged, incident=world.open[0].incident, actor="ada")
    world.passes(120)
    (incident,) = rehearsed(world, 1).incidents
    assert incident.runs == ("a",)
    assert incident.acknowledged is None


def test_how_far_it_is(past):
    """Told after each step, up to the end."""
    steps = []
    rehearsed(past, 1, advance=lambda done, total: steps.append((done, total)))
    assert steps[0][0] < steps[-1][0]
    assert steps[-1][0] >= steps[-1][1]


# --- drawn --------------------------------------------------------------------------------------------------------


def incident(flow: str, since: int, resolved: int | None, name: str = "") -> Incident:
    return Incident(
        incident=name or f"{flow}{since}", key=flow, flow=flow, environment="", rule=e.RuleData(kind="late"), runs=(),
        severity="error", since=since, opened=since, resolved=resolved, reason="",
    )  # fmt: skip


def test_a_strip_for_each_rule_and_subject():
    """Dark where somebody is told, grey where nobody is, to the end where it is open; the longest first."""
    some = [incident("a", 0, 10), incident("a", 50, 60), incident("b", 70, None, "told")]
    lines = strip(some, 0, 100, told={"told"}, width=10, most=5)
    assert [(line.name, line.picture) for line in lines] == [("late b", "·······███"), ("late a", "▒▒···▒▒···")]


def test_what_is_told_is_drawn_over_what_is_not():
    """Whichever came first."""
    some = [incident("a", 0, 30, "told"), incident("a", 20, 50)]
    (line,) = strip(some, 0, 100, told={"told"}, width=10, most=5)
    assert line.picture == "████▒▒····"


def test_more_rules_than_lines_are_counted():
    """The rest is a number."""
    lines = strip([incident(f"f{number}", 0, number + 1) for number in range(9)], 0, 100, told=(), width=10, most=3)
    assert [line.name.strip() for line in lines] == ["late f8", "late f7", "late f6", "and 6 more"]
