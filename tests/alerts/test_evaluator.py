"""When incidents open, grow and resolve, over a real log and a clock that stands still."""

from __future__ import annotations

import pytest

from flowtell import events as e
from flowtell.errors import UnknownKey
from flowtell.ids import derived_id
from flowtell.rules import failed, too_long
from flowtell.testing import PluginContract
from flowtell_alerts.evaluator import create

HOUR = 3600.0


class TestContract(PluginContract):
    name = "alerts"

    def factory(self):
        return create


@pytest.mark.slow
class TestIsolated(TestContract):
    """The same from a process of its own."""

    isolated = True


@pytest.mark.postgres
class TestContractOnPostgreSQL(TestContract):
    @pytest.fixture(autouse=True)
    def _databases(self, new_database):
        self.store_url = lambda folder: new_database()


# --- failed -------------------------------------------------------------------------------------------------------


def test_a_failed_run_opens_and_a_good_one_resolves(world):
    """One incident from the failure to the next good end, with what a reader wants to know of it."""
    world.declares(failed(runbook="https://wiki/nightly"), owners=("data",))
    world.starts("a")
    failed_at = world.clock.advance(5)
    world.ends("a", "failed", error=e.Failure(type="KeyError", message="'secret'"))
    world.passes()
    (incident,) = world.open
    assert incident.flow == "nightly"
    assert incident.environment == "test"
    assert incident.runs == ("a",)
    assert incident.severity == "error"
    assert incident.owners == ("data",)
    assert incident.since == failed_at
    assert incident.reason == "the last run failed (KeyError)"
    assert incident.rule.runbook == "https://wiki/nightly"
    assert "secret" not in repr(incident)
    world.starts("b")
    well_at = world.clock.advance(60)
    world.ends("b")
    world.passes()
    (incident,) = world.incidents
    assert incident.resolved == well_at
    assert incident.reason == "the last run ended well"
    assert world.told() == ["opened", "resolved"]


@pytest.mark.parametrize("state", ["failed", "timed_out", "crashed"])
def test_a_bad_end_is_one_that_nobody_wanted(world, state):
    """Failed, timed out and crashed count alike."""
    world.declares(failed())
    world.ends("a", state)
    world.passes()
    assert [incident.runs for incident in world.open] == [("a",)]


@pytest.mark.parametrize("state", ["cancelled", "skipped"])
def test_a_cancelled_or_skipped_run_says_nothing(world, state):
    """It neither opens nor resolves, nor does it break a row of failures."""
    world.declares(failed(consecutive=2))
    for run, end in (("a", state), ("b", "failed"), ("c", state), ("d", "failed"), ("e", state)):
        world.clock.advance(1)
        world.ends(run, end)
        world.passes()
    assert [incident.runs for incident in world.open] == [("b", "d")]


def test_it_takes_as_many_in_a_row_as_the_rule_says(world):
    """Three in a row: two and a good one between are not enough."""
    world.declares(failed(consecutive=3))
    for number, state in enumerate(["failed", "failed", "completed", "failed", "crashed"]):
        world.clock.advance(1)
        world.ends(f"r{number}", state)
        world.passes()
    assert world.open == []
    world.ends("r5", "timed_out")
    world.passes()
    (incident,) = world.open
    assert incident.runs == ("r3", "r4", "r5")
    assert incident.reason == "3 runs in a row ended badly, the last timed out"


def test_further_failures_grow_the_incident(world):
    """One incident however often it fails; the log says of each that it came."""
    world.declares(failed())
    for number in range(30):
        world.ends(f"r{number}", "failed")
        world.passes()
    (incident,) = world.incidents
    assert len(incident.runs) == 20
    assert incident.runs[-1] == "r29"
    assert incident.evidence["count"] == 30
    assert world.told() == ["opened"] + ["updated"] * 29


def test_what_failed_and_recovered_between_two_ticks_is_kept(world):
    """It is in the history as opened and resolved at once."""
    world.declares(failed())
    world.ends("a", "failed")
    world.clock.advance(0.1)
    world.ends("b")
    world.passes()
    assert world.told() == ["opened", "resolved"]
    assert world.open == []


def test_a_correction_changes_nothing(world):
    """The first end in the log decides."""
    world.declares(failed())
    world.ends("a", "failed")
    world.passes()
    world.ends("a", "completed")
    world.passes()
    assert len(world.open) == 1


def test_an_end_that_comes_late_counts_at_its_time(world):
    """A failure before a good end that was judged opens nothing; a good end before a failure resolves nothing."""
    world.declares(failed())
    began = world.clock()
    world.clock.advance(10)
    world.ends("good")
    world.passes(3)
    world.appends(e.FlowRunFinished, at=began, run="old", flow="nightly", state="failed")
    world.passes(3)
    assert world.told() == []
    before = world.clock()
    world.clock.advance(10)
    world.ends("bad", "failed")
    world.passes(3)
    world.appends(e.FlowRunFinished, at=before, run="older", flow="nightly", state="completed")
    world.passes(3)
    assert [incident.runs for incident in world.open] == [("bad",)]


def test_one_event_that_begins_two_incidents(world):
    """A late good end takes an incident back, a late bad one brings it again with the same cause: two ids."""
    world.declares(failed(consecutive=2))
    t = world.clock()
    world.clock.advance(100)
    second = 1_000_000
    world.appends(e.FlowRunFinished, at=t + 10 * second, run="a", flow="nightly", state="failed")
    world.appends(e.FlowRunFinished, at=t + 30 * second, run="b", flow="nightly", state="failed")
    world.passes(3)
    world.appends(e.FlowRunFinished, at=t + 20 * second, run="g", flow="nightly", state="completed")
    world.passes(3)
    world.appends(e.FlowRunFinished, at=t + 25 * second, run="c", flow="nightly", state="failed")
    world.passes(3)
    assert world.told() == ["opened", "resolved", "opened"]
    assert len({incident.incident for incident in world.incidents}) == 2


def test_flows_and_environments_are_judged_apart(world):
    """A failure in one says nothing of another."""
    for flow in ("one", "two"):
        world.declares(failed(), flow=flow)
    world.ends("a", "failed", flow="one")
    world.ends("b", "completed", flow="two")
    world.passes()
    assert [incident.flow for incident in world.open] == ["one"]


# --- too long -----------------------------------------------------------------------------------------------------


def test_too_long_opens_while_the_run_runs(world):
    """Two seconds after the bound, as an end may be on its way; resolved by the end, however it ends."""
    world.declares(too_long("1m"))
    started = world.clock()
    world.starts("a")
    world.passes(61)
    assert world.open == []
    world.passes(2)
    (incident,) = world.open
    assert incident.runs == ("a",)
    assert incident.since == started + 60_000_000
    assert incident.reason == "a run takes longer than 1 min"
    ended = world.clock.advance(60)
    world.ends("a", "failed")
    world.passes()
    (incident,) = world.incidents
    assert incident.resolved == ended
    assert world.told() == ["opened", "resolved"]


def test_runs_past_the_bound_at_one_time_are_one_incident(world):
    """It lists them all and lasts until none is left."""
    world.declares(too_long(10))
    world.starts("a")
    world.passes(5)
    world.starts("b")
    world.passes(8)
    world.passes(5)
    assert world.told() == ["opened", "updated"]
    world.ends("a")
    world.passes()
    assert [incident.runs for incident in world.open] == [("a", "b")]
    world.ends("b")
    world.passes()
    assert world.open == []
    assert len(world.incidents) == 1


def test_a_run_that_overran_while_nobody_looked_is_kept(world):
    """Ended less than an hour ago: opened and resolved, with the time in which it was too long."""
    world.declares(too_long(10))
    started = world.clock()
    world.starts("a")
    ended = world.clock.advance(100)
    world.ends("a")
    world.clock.advance(1000)
    world.passes()
    (incident,) = world.incidents
    assert (incident.since, incident.resolved) == (started + 10_000_000, ended)
    assert world.told() == ["opened", "resolved"]


def test_what_was_over_an_hour_ago_is_history(world):
    """A server that was down for longer says nothing of what has come and gone."""
    world.declares(too_long(10), failed())
    world.starts("a")
    world.clock.advance(100)
    world.ends("a", "failed")
    world.clock.advance(1)
    world.ends("b", "completed")
    world.harness.append([])
    world.clock.advance(2 * HOUR)
    world.passes()
    assert world.told() == []


def test_a_measured_duration_goes_before_a_difference_of_clocks(world):
    """The finish event's own duration decides whether an ended run was too long."""
    world.declares(too_long(10))
    world.starts("a")
    world.clock.advance(100)
    world.ends("a", duration=9.0)
    world.passes()
    assert world.told() == []


def test_a_removed_run_is_no_longer_too_long(world):
    """Its source says that it never was; the incident resolves."""
    world.declares(too_long(10))
    world.starts("a")
    world.passes(20)
    world.appends(e.FlowRunRemoved, run="a", flow="nightly")
    world.passes()
    assert world.told() == ["opened", "resolved"]


# --- rules that change --------------------------------------------------------------------------------------------


def test_a_rule_that_is_removed_resolves_its_incident(world):
    """With that as the reason; another rule's incident stays."""
    world.declares(failed(), failed(consecutive=2))
    world.ends("a", "failed")
    world.ends("b", "failed")
    world.passes()
    assert len(world.open) == 2
    world.declares(failed(consecutive=2))
    world.passes()
    removed, kept = sorted(world.incidents, key=lambda incident: incident.resolved is None)
    assert removed.reason == "rule removed"
    assert kept.rule.arguments == {"consecutive": 2}


def test_a_changed_argument_is_another_rule(world):
    """The old one's incident resolves; the new one is judged on what is known."""
    world.declares(too_long(10))
    world.starts("a")
    world.passes(20)
    world.declares(too_long(15))
    world.passes()
    assert [(incident.rule.arguments["bound"], incident.resolved is None) for incident in world.incidents] == [
        (10.0, False),
        (15.0, True),
    ]


def test_a_changed_severity_is_the_same_rule(world):
    """The incident goes on with the new one, and that is told."""
    world.declares(failed())
    world.ends("a", "failed")
    world.passes()
    world.declares(failed(severity="critical"))
    world.passes()
    assert world.told() == ["opened", "updated"]
    assert world.events("incident.updated")[0].severity == "critical"
    world.ends("b")
    world.passes()
    world.ends("c", "failed")
    world.passes()
    assert [incident.severity for incident in world.incidents] == ["critical", "critical"]


def test_an_older_declaration_that_comes_late_is_passed_over(world):
    """The newest one by its time holds, whatever the order."""
    old = world.clock()
    world.clock.advance(10)
    world.declares(failed())
    world.appends(e.FlowDeclared, at=old, flow="nightly", rules=())
    world.passes()
    assert [rule.rule.kind for rule in world.rules] == ["failed"]


def test_a_rule_that_this_version_does_not_understand_is_shown(world):
    """Of an unknown kind or with odd arguments: it opens nothing, hurts no other rule, and says so."""
    odd = [
        e.RuleData(kind="clairvoyant"),
        e.RuleData(kind="failed", arguments={"consecutive": 0}),
        e.RuleData(kind="failed", arguments={"consecutive": 1, "by": "moon"}),
        e.RuleData(kind="too_long"),
    ]
    world.declares(*odd, failed())
    world.ends("a", "failed")
    world.passes()
    assert len(world.open) == 1
    verdicts = {rule.rule.kind: rule.verdict for rule in world.rules if rule.holds is None}
    assert verdicts["clairvoyant"] == "not understood: this version knows no rule of kind 'clairvoyant'"
    assert "bound" in verdicts["too_long"]
    assert sum(rule.holds is None for rule in world.rules) == 4


def test_the_last_verdict_can_be_read(world):
    """Each rule says whether it holds, and why."""
    world.declares(failed(), too_long(60))
    assert world.rules == []
    world.harness.deliver()
    assert {rule.verdict for rule in world.rules} == {""}
    world.ends("a")
    world.passes()
    assert {(rule.verdict, rule.holds) for rule in world.rules} == {
        ("the last run ended well", True),
        ("no run is past its bound", True),
    }


# --- starting and stopping ----------------------------------------------------------------------------------------


def test_reading_alone_opens_nothing(world):
    """Only a tick judges, and a reading command has none."""
    world.declares(failed())
    world.ends("a", "failed")
    world.harness.deliver()
    assert world.told() == []


def test_a_plugin_that_is_not_live_judges_nothing(world):
    """While catching up on history, nothing is said of it."""
    world.declares(failed())
    world.ends("a", "failed")
    world.harness.deliver()
    world.harness.runner.live = False
    world.harness.runner.tick()
    assert world.told() == []


def test_a_start_with_history_tells_what_is_still_bad(world):
    """A year of runs that failed and recovered: one incident, for the flow that is broken now."""
    for flow in ("broken", "recovered"):
        world.declares(failed(), too_long(10), flow=flow)
    for day in range(200):
        world.clock.advance(86_400)
        for flow in ("broken", "recovered"):
            world.starts(f"{flow}{day}", flow)
        world.clock.advance(60)
        for flow in ("broken", "recovered"):
            world.ends(f"{flow}{day}", "failed" if day % 2 == 0 else "completed", flow)
    world.clock.advance(60)
    world.ends("last", "failed", "broken")
    world.clock.advance(2 * HOUR)
    world.passes()
    assert [incident.runs for incident in world.incidents] == [("last",)]


def test_a_tick_before_the_end_of_the_log_waits_for_it(world):
    """The run's end lies in the log and was not handed over yet: nothing is opened that it would take back."""
    world.declares(too_long(10), failed())
    world.starts("a")
    world.harness.deliver()
    world.clock.advance(100)
    world.ends("a")
    world.clock.advance(3)
    world.harness.runner.live = True
    world.harness.runner.tick()
    assert world.told() == []
    world.passes(4 * HOUR)
    assert world.open == []


@pytest.mark.parametrize("rule", [failed(), too_long(9)], ids=["failed", "too_long"])
def test_a_restart_at_any_moment_changes_nothing(make_world, tmp_path, rule):
    """Restarted after every step, or never: the same incidents under the same ids."""
    told = []
    for restarts in (False, True):
        world = make_world(tmp_path / str(restarts))
        for step in _story(world, rule):
            step()
            if restarts:
                world.harness.restart()
            world.clock.advance(2)
        told.append([(i.incident, i.runs, i.since, i.opened, i.resolved, i.reason) for i in world.incidents])
        assert world.told() == ["opened", "updated", "resolved", "opened"]
    assert told[0] == told[1]


def _story(world, rule):
    yield lambda: world.declares(rule)
    yield world.harness.deliver
    for run in "ab":
        yield lambda run=run: world.starts(run)
        yield lambda: world.passes(10)
        if rule.kind == "failed":
            yield lambda run=run: world.ends(run, "failed")
            yield world.passes
    yield lambda: world.starts("c")
    for run in "abc":
        yield lambda run=run: world.ends(run)
    yield world.passes
    yield lambda: world.starts("d")
    yield lambda: world.passes(10)
    yield lambda: world.ends("d", "failed") if rule.kind == "failed" else None
    yield world.passes
    yield world.passes


def test_a_run_is_not_judged_while_its_journal_is_read(world):
    """A server starts with the journals of a night: the start comes in one batch, the end in a later one."""
    world.declares(too_long(10), failed())
    world.passes()
    began = world.clock()
    world.clock.advance(3 * HOUR)
    for batch in range(5):
        for flow, at in (("nightly", began), ("nightly", began + 2_000_000_000)):
            world.appends(e.FlowRunStarted, at=at, run=f"r{batch}{at}", flow=flow)
            world.passes(1)
            world.appends(e.FlowRunFinished, at=at + 1, run=f"r{batch}{at}", flow=flow, state="failed", duration=1.0)
            world.passes(1)
    world.appends(e.FlowRunFinished, at=began + 3_000_000_000, run="last", flow="nightly", state="completed")
    world.passes(1)
    world.passes(5)
    assert world.told() == []


def test_a_run_whose_end_was_written_while_the_server_was_away(world):
    """After a restart the evaluator waits for it."""
    world.declares(too_long(10))
    world.starts("a")
    world.passes(5)
    ended = world.clock.advance(4)
    world.clock.advance(1000)
    world.harness.restart()
    world.passes(0.5)
    world.appends(e.FlowRunFinished, at=ended, run="a", flow="nightly", duration=9.0)
    for _ in range(10):
        world.passes()
    assert world.told() == []


def test_a_feed_that_is_always_late_is_judged_once_a_minute(world):
    """Putting off has an end."""
    world.declares(failed())
    for number in range(70):
        world.clock.advance(1)
        world.appends(e.FlowRunFinished, at=world.clock() - 10_000_000, run=f"r{number}", flow="nightly", state="failed")
        world.passes(0)
    assert world.told() == ["opened"]


def test_a_second_attempt_does_not_make_a_run_younger(world):
    """The earliest claim of its start counts."""
    world.declares(too_long(10))
    world.starts("a")
    world.passes(8)
    world.appends(e.FlowRunStarted, run="a", flow="nightly", attempt=2)
    world.passes(5)
    assert [incident.runs for incident in world.open] == [("a",)]


def test_many_rules_are_judged_in_several_ticks(world):
    """A tick's write set stays small; none is forgotten."""
    now = world.clock()
    events = [
        kind(id=derived_id(now, str(number), kind.type), time=now, flow=f"flow{number}", run=f"run{number}", **fields)
        for number in range(1500)
        for kind, fields in (
            (e.FlowDeclared, {"rules": (failed(), failed(consecutive=2))}),
            (e.FlowRunFinished, {"state": "failed"}),
        )
    ]
    world.harness.append(events)
    world.passes()
    assert 0 < len(world.open) < 1500
    for _ in range(3):
        world.passes()
    assert len(world.open) == 1500


def test_resolved_incidents_are_kept_for_a_year(world):
    """Then they go; an open one stays however old it is."""
    world.declares(failed())
    world.ends("a", "failed")
    world.passes()
    world.ends("b")
    world.passes()
    world.ends("c", "failed")
    world.passes()
    world.passes(364 * 86_400.0)
    assert len(world.incidents) == 2
    world.passes(2 * 86_400.0)
    assert [incident.runs for incident in world.incidents] == [("c",)]


def test_there_is_nothing_to_set():
    """Any key under [plugin.alerts] is refused."""
    with pytest.raises(UnknownKey, match=r"plugin\.alerts"):
        create({"speed": 3})
