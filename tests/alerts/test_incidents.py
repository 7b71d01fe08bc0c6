"""The life of an incident: acknowledged, changed in severity, flapping, resolved; and its whole history."""

from __future__ import annotations

import pytest

from flowtell import events as e
from flowtell.rules import failed, late, too_long
from flowtell.schedules import cron
from flowtell_alerts import reading
from flowtell_alerts.errors import IncidentNotFound
from flowtell_alerts.incidents import QUIET, incident_event
from flowtell_alerts.open_incidents import KEPT, UPDATES_KEPT
from flowtell_alerts.rehearsal import Told

MINUTE = 60.0


@pytest.fixture
def failing(world):
    """One open incident of a critical rule."""
    world.declares(failed(severity="critical"), owners=("data",))
    world.ends("a", "failed")
    world.passes()
    return world


def fails(world, run: str) -> None:
    world.ends(run, "failed")
    world.passes()


def recovers(world, run: str) -> None:
    world.ends(run)
    world.passes()


def acknowledges(world, incident, actor: str = "ada") -> None:
    event = incident_event("acknowledged", incident, actor=actor)
    fields = {name: getattr(event, name) for name in ("incident", "key", "flow", "actor")}
    world.appends(e.IncidentAcknowledged, **fields)
    world.passes()


def history(world, incident) -> list[str]:
    return [happened.kind for happened in reading.history(world.harness.read, incident.incident)]


# --- acknowledged -------------------------------------------------------------------------------------------------


def test_who_acknowledged_and_when(failing):
    """The incident says who looks after it; it stays open, and its history has the moment."""
    (incident,) = failing.open
    assert incident.state == "firing"
    acknowledges(failing, incident)
    (incident,) = failing.open
    assert incident.state == "acknowledged"
    assert incident.acknowledged_by == "ada"
    assert incident.acknowledged == failing.clock() - 1_000_000
    *_, last = reading.history(failing.harness.read, incident.incident)
    assert (last.kind, last.actor) == ("acknowledged", "ada")


def test_somebody_else_takes_over(failing):
    """The same person twice is one word; another one takes it over."""
    (incident,) = failing.open
    for actor in ("ada", "ada", "bob"):
        acknowledges(failing, incident, actor)
    assert failing.open[0].acknowledged_by == "bob"
    assert history(failing, incident) == ["opened", "acknowledged", "acknowledged"]


def test_an_acknowledged_incident_survives_a_restart_and_is_resolved(failing):
    """Nothing of it is forgotten; a further failure does not take it back."""
    acknowledges(failing, failing.open[0])
    failing.restarts()
    fails(failing, "b")
    assert failing.open[0].state == "acknowledged"
    recovers(failing, "c")
    (incident,) = failing.incidents
    assert incident.state == "resolved"
    assert incident.acknowledged_by == "ada"
    assert history(failing, incident) == ["opened", "acknowledged", "updated", "resolved"]


def test_what_is_over_or_unknown_is_not_acknowledged(failing):
    """A word that comes late changes nothing."""
    (incident,) = failing.open
    recovers(failing, "b")
    acknowledges(failing, incident)
    failing.appends(e.IncidentAcknowledged, incident="f" * 32, actor="ada")
    failing.passes()
    assert failing.incidents[0].acknowledged is None
    assert history(failing, incident) == ["opened", "resolved"]


# --- history ------------------------------------------------------------------------------------------------------


def test_the_history_says_what_happened_in_order(failing):
    """Severity, the run at fault, the reason, each as it was."""
    fails(failing, "b")
    failing.declares(failed(severity="warning"), owners=("data",))
    failing.passes()
    recovers(failing, "c")
    (incident,) = failing.incidents
    happened = reading.history(failing.harness.read, incident.incident)
    assert [each.n for each in happened] == [1, 2, 3, 4]
    assert [each.severity for each in happened] == ["critical", "critical", "warning", "warning"]
    assert [each.run for each in happened] == ["a", "b", "b", "b"]
    assert happened[-1].reason == "the last run ended well"


def test_a_history_is_bounded_and_counts_on(failing, monkeypatch):
    """Of a flow that fails for days the first updates are kept, all that is no update, and the count of all."""
    monkeypatch.setattr("flowtell_alerts.open_incidents.UPDATES_KEPT", 10)
    assert UPDATES_KEPT >= 100
    for number in range(20):
        fails(failing, f"r{number}")
    recovers(failing, "z")
    (incident,) = failing.incidents
    assert incident.changes == 22
    assert [each.n for each in reading.history(failing.harness.read, incident.incident)] == [*range(1, 11), 22]


def test_a_history_goes_with_its_incident(failing):
    """A year after it was resolved."""
    recovers(failing, "b")
    (incident,) = failing.incidents
    failing.clock.advance(KEPT / 1e6 + 10)
    failing.passes()
    failing.passes()
    assert failing.incidents == []
    assert history(failing, incident) == []


def test_an_incident_by_the_beginning_of_its_id(failing):
    """As commands take ids; what fits none or several is said."""
    (incident,) = failing.open
    read = failing.harness.read
    assert reading.get_incident(read, incident.incident[:20]) == incident
    for wanted in ("", "zz", "f" * 32, "%"):
        with pytest.raises(IncidentNotFound):
            reading.get_incident(read, wanted)
    failing.declares(failed(), flow="other")
    failing.ends("x", "failed", flow="other")
    failing.passes()
    with pytest.raises(IncidentNotFound, match="several"):
        reading.get_incident(read, incident.incident[:4])


# --- flapping -----------------------------------------------------------------------------------------------------


@pytest.fixture
def flapping(failing):
    """The third incident within an hour."""
    for number in range(2):
        failing.clock.advance(5 * MINUTE)
        recovers(failing, f"good{number}")
        failing.clock.advance(5 * MINUTE)
        fails(failing, f"bad{number}")
    return failing


def test_the_third_incident_within_an_hour_says_that_it_flaps(flapping):
    """In its reason and as a number; the two before it said nothing of it."""
    incidents = flapping.incidents
    assert [incident.flaps for incident in incidents] == [False, False, True]
    assert "it flaps (3 incidents within an hour)" in incidents[-1].reason
    assert incidents[-1].evidence["flapping"] == {"opened": 3, "within": 3600.0, "quiet": 1800.0}


def test_a_flapping_incident_stays_open_until_the_rule_has_held_for_half_an_hour(flapping):
    """However often it comes and goes: one opening is told, and one end."""
    for number in range(12):
        flapping.clock.advance(10 * MINUTE)
        recovers(flapping, f"well{number}")
        flapping.clock.advance(10 * MINUTE)
        fails(flapping, f"ill{number}")
    flapping.clock.advance(10 * MINUTE)
    held_since = flapping.clock()
    recovers(flapping, "last")
    assert len(flapping.incidents) == 3
    (incident,) = flapping.open
    assert incident.quiet_since == held_since
    assert "for now" in incident.reason
    flapping.clock.now = held_since + QUIET - 1_000_000
    flapping.passes(0.5)
    assert len(flapping.open) == 1
    flapping.passes(1)
    assert flapping.open == []
    assert flapping.incidents[-1].resolved == held_since
    told = flapping.told()
    assert (told.count("opened"), told.count("resolved")) == (3, 3)


def test_flapping_survives_a_restart(flapping):
    """What opened before counts, and half an hour goes on."""
    flapping.clock.advance(MINUTE)
    recovers(flapping, "b")
    flapping.restarts()
    assert len(flapping.open) == 1
    flapping.clock.advance(QUIET / 1e6)
    flapping.passes()
    assert flapping.open == []
    flapping.restarts()
    fails(flapping, "c")
    assert [incident.flaps for incident in flapping.open] == [True]


def test_three_in_more_than_an_hour_do_not_flap(failing):
    """They are three incidents."""
    for number in range(4):
        failing.clock.advance(20 * MINUTE)
        recovers(failing, f"good{number}")
        failing.clock.advance(20 * MINUTE)
        fails(failing, f"bad{number}")
    assert not any(incident.flaps for incident in failing.incidents)
    assert len(failing.incidents) == 5


def test_what_flaps_is_resolved_at_once_when_its_rule_goes(flapping):
    """There is nothing to wait for."""
    flapping.declares()
    flapping.passes()
    assert flapping.open == []
    assert flapping.incidents[-1].reason == "rule removed"


def test_each_rule_flaps_alone(flapping):
    """Another rule of the same flow opens as ever."""
    flapping.declares(failed(severity="critical"), too_long(10), owners=("data",))
    flapping.starts("slow")
    flapping.passes(20)
    assert [incident.flaps for incident in flapping.open if incident.rule.kind == "too_long"] == [False]


# --- late each time -----------------------------------------------------------------------------------------------


def test_what_starts_late_each_time_is_told_once_and_when_it_stays_away_again(world):
    """Every ten minutes a run starts late: an incident each, explained by the first. The last one lasts, and is told."""
    told = Told()
    world.declares(late("1m"))
    world.appends(e.DeploymentDeclared, flow="nightly", deployment="often", schedules=(cron("*/10 * * * *", "UTC"),))
    for minute in range(1, 121):
        world.passes(60)
        if minute % 10 == 5 and 10 < minute < 90:
            due = world.clock() // 600_000_000 * 600_000_000
            world.appends(e.FlowRunStarted, run=f"r{minute}", flow="nightly", deployment="often", due=due)
            world.ends(f"r{minute}")
        told.read(world.harness.store.log, world.clock())
    assert len(world.incidents) >= 10
    first, last = told.first.values()
    assert first.incident == world.incidents[0].incident
    assert last.incident == world.open[0].incident
    assert set(told.muted.values()) == {"inhibited"}


# --- silences -----------------------------------------------------------------------------------------------------


def test_silences_are_listed(world):
    """Those that hold or will; with all, those that are over too."""
    now = world.clock()
    for name, until in (("a", now + 10_000_000), ("b", now + 90_000_000)):
        fields = {"silence": name * 32, "matchers": {"flow": name}, "until": until, "actor": "ada", "reason": "x"}
        world.appends(e.SilenceCreated, **fields)
    world.passes(20)
    read = world.harness.read
    assert [silence.silence[0] for silence in reading.silences(read, now=world.clock())] == ["b"]
    assert [silence.silence[0] for silence in reading.silences(read)] == ["b", "a"]
    world.appends(e.SilenceExpired, silence="b" * 32, actor="bob")
    world.passes()
    assert reading.silences(read, now=world.clock()) == []
