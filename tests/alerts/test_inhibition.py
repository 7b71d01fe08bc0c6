"""Which incident explains which other, who is muted by it and for how long. Pure decisions over a graph and a clock."""

from __future__ import annotations

import itertools
import random

import pytest

from flowtell import events as e
from flowtell.ids import derived_id
from flowtell.plugin import BasePlugin
from flowtell.testing import FakeClock, PluginHarness
from flowtell_alerts import _flow_graph, tables
from flowtell_alerts._flow_graph import KEPT, LINKS_OF_ONE, FlowGraph
from flowtell_alerts._inhibiting import Activity, Inhibiting
from flowtell_alerts._subject import runs_of
from flowtell_alerts.incidents import Incident, explained
from flowtell_alerts.inhibition import SETTLE, SETTLE_AT_MOST, explains, placed

NOW = FakeClock()()
MINUTE = 60_000_000


class Graph:
    """Flows upstream of each, given by hand."""

    def __init__(self, **upstream: str) -> None:
        self._upstream = {flow: names.split() for flow, names in upstream.items()}

    def ancestors(self, lane):
        found, front = {}, [lane.name]
        for step in range(1, 50):
            front = [above for below in front for above in self._upstream.get(below, ()) if above not in found]
            found.update(dict.fromkeys(front, step))
        return {runs_of(flow, "prod"): step for flow, step in found.items() if flow != lane.name}

    def makers(self, environment, asset):
        return ()


CHAIN = Graph(b="a", c="b", d="c")


def lane(flow: str, environment: str = "prod"):
    return runs_of(flow, environment)


def incident(flow: str, kind: str = "late", *, since: int = NOW, severity: str = "error", environment: str = "prod"):
    return Incident(
        incident=derived_id(NOW, flow, kind, str(since), environment),
        key=f"{kind}-{flow}",
        flow=flow,
        environment=environment,
        rule=e.RuleData(kind=kind, severity=severity),
        runs=(),
        severity=severity,
        since=since,
        opened=since,
        reason="it is",
    )


def does_explain(one: Incident, other: Incident, graph=CHAIN) -> bool:
    places = [placed(each, graph) for each in (one, other)]
    return explains(*places, graph)


# --- what explains what -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["failed", "too_long", "late", "deadline", "stale", "absent"])
@pytest.mark.parametrize("effect", ["late", "deadline", "stale", "absent"])
def test_what_is_bad_upstream_explains_what_is_missing_downstream(cause, effect):
    """Over any number of steps, whichever came first; never against the stream."""
    assert does_explain(incident("a", cause, since=NOW + 5), incident("d", effect))
    assert not does_explain(incident("d", cause), incident("a", effect, since=NOW + 5))


@pytest.mark.parametrize("effect", ["failed", "too_long", "measured", "budget", "blind"])
def test_what_did_come_is_told_whatever_is_upstream(effect):
    """A run that failed may have failed by itself."""
    assert not does_explain(incident("a", "failed"), incident("b", effect))


@pytest.mark.parametrize("cause", ["measured", "budget", "blind"])
def test_what_says_nothing_of_time_explains_nothing(cause):
    """A number that is off keeps nobody waiting."""
    assert not does_explain(incident("a", cause), incident("b", "late"))


def test_a_lesser_incident_never_mutes_a_greater_one():
    """Who is to be woken for the one is not to sleep because somebody got a mail about the other."""
    assert not does_explain(incident("a", "failed", severity="warning"), incident("b", severity="critical"))
    assert does_explain(incident("a", "failed", severity="critical"), incident("b", severity="warning"))


def test_another_environment_explains_nothing():
    """Flows of one name in two environments are two."""
    assert not does_explain(incident("a", "failed", environment="staging"), incident("b"))


def test_of_one_flow_a_failure_explains_what_is_then_missing():
    """Its deadline, its stale asset; and of two kinds of lateness the earlier one the later."""
    assert does_explain(incident("a", "failed", since=NOW + 5), incident("a", "deadline"))
    assert does_explain(incident("a", "late"), incident("a", "deadline", since=NOW + 5))
    assert not does_explain(incident("a", "deadline", since=NOW + 5), incident("a", "late"))
    assert not does_explain(incident("a", "late"), incident("a", "late", since=NOW + 5))


def test_flows_that_wait_for_each_other_are_told_of_once():
    """In a cycle the earliest is told, and explains the others."""
    circle = Graph(a="b", b="c", c="a")
    flows = [incident(flow, since=NOW + place) for place, flow in enumerate("abc")]
    told = [each for each in flows if not any(does_explain(other, each, circle) for other in flows)]
    assert [each.flow for each in told] == ["a"]


def test_whatever_the_graph_nobody_explains_himself_in_a_circle():
    """Random graphs with cycles and random incidents: there is always one that is told, and it explains the rest."""
    draw = random.Random(6)
    for _ in range(60):
        flows = [f"f{number}" for number in range(8)]
        graph = Graph(**{flow: " ".join(draw.sample(flows, draw.randint(0, 3))) for flow in flows})
        severities = ["warning", "error"] if draw.random() < 0.3 else ["error"]
        kinds = ["failed", "late", "deadline", "stale"]
        some = [
            incident(draw.choice(flows), draw.choice(kinds), since=NOW + at, severity=draw.choice(severities))
            for at in range(10)
        ]
        causes = {one.incident: [each for each in some if does_explain(each, one, graph)] for one in some}
        reached = {key for key, known in causes.items() if not known}
        for _ in some:
            reached |= {key for key, known in causes.items() if any(each.incident in reached for each in known)}
        assert reached == set(causes)


# --- as time passes -----------------------------------------------------------------------------------------------


class Night:
    """Incidents that open and end on a clock; `muted` holds who is, and by whom."""

    def __init__(self, graph=CHAIN):
        self.now, self.activity = NOW, Activity()
        self.inhibiting = Inhibiting(graph, self.activity, NOW)
        self.known: dict[str, Incident] = {}

    def opens(self, flow: str, kind: str = "late") -> None:
        new = incident(flow, kind, since=self.now)
        cause = self.inhibiting.cause_of_new(new, self.now)
        self.known[f"{kind} {flow}"] = new = explained(new, cause) if cause else new
        self.inhibiting.put(new)
        self.passes(0)

    def ends(self, flow: str, kind: str = "late") -> None:
        self.inhibiting.over(self.known.pop(f"{kind} {flow}"), self.now)
        self.passes(0)

    def passes(self, minutes: float) -> None:
        for _ in range(max(int(minutes), 1)):
            self.now += int(min(minutes, 1) * MINUTE)
            for found in list(self.inhibiting.findings(self.now)):
                new = explained(found.incident, found.cause)
                self.known[f"{new.rule.kind} {new.flow}"] = new
                self.inhibiting.put(new)

    @property
    def told(self) -> list[str]:
        return sorted(name for name, each in self.known.items() if not each.inhibited_by)

    def cause(self, name: str) -> str:
        named = self.known[name].evidence.get("explained_by", {})
        return f"{named['rule']} {named['subject']}" if named else ""


def test_only_the_first_is_told_and_the_others_name_it():
    """However many wait, and whichever is found first."""
    for order in itertools.permutations("bcd"):
        night = Night()
        night.opens("a", "failed")
        for flow in order:
            night.opens(flow)
        assert night.told == ["failed a"]
        assert {night.cause(f"late {flow}") for flow in order} == {"failed a"}


def test_what_was_told_before_its_cause_is_explained_from_then_on():
    """A cause may be found later than what it causes."""
    night = Night()
    night.opens("c")
    assert night.told == ["late c"]
    night.opens("a", "failed")
    assert night.told == ["failed a"]


def test_what_follows_in_time_is_never_told():
    """The ancestor is well, the others come one after the other, each within a quarter of an hour of the one before."""
    night = Night()
    night.opens("a", "failed")
    for flow in "bcd":
        night.opens(flow)
    night.ends("a", "failed")
    for flow in "bcd":
        night.passes(10)
        night.ends(flow)
        assert night.told == []
    night.passes(60)
    assert night.known == {}


def test_what_stays_bad_is_told_after_a_quarter_of_an_hour():
    """Its ancestor is well, nothing runs, it has not come."""
    night = Night()
    night.opens("a", "failed")
    night.opens("b")
    night.ends("a", "failed")
    night.passes(SETTLE / MINUTE - 1)
    assert night.told == []
    night.passes(1)
    assert night.told == ["late b"]
    assert night.cause("late b") == ""


def test_as_long_as_something_on_the_way_runs_nobody_is_told():
    """The quarter of an hour begins anew when a run between the two ends; a run elsewhere does not count."""
    night = Night(Graph(b="a", c="b", x="a"))
    night.opens("a", "failed")
    night.opens("c", "stale")
    night.ends("a", "failed")
    night.activity.begins(lane("x"), "elsewhere")
    night.activity.begins(lane("b"), "run")
    night.passes(60)
    assert night.told == []
    night.activity.ends(lane("b"), "run", night.now)
    night.passes(14)
    assert night.told == []
    night.passes(2)
    assert night.told == ["stale c"]


def test_runs_that_never_end_hide_nothing_for_ever():
    """After four hours and a quarter it is told though something still runs."""
    night = Night()
    night.opens("a", "failed")
    night.opens("b", "stale")
    night.ends("a", "failed")
    night.activity.begins(lane("b"), "run")
    night.passes((SETTLE_AT_MOST + SETTLE) / MINUTE - 2)
    assert night.told == []
    night.passes(20)
    assert night.told == ["stale b"]


def test_what_comes_late_a_moment_after_the_cause_is_over_is_explained_too():
    """It had no time to follow; what comes later than that is told at once."""
    night = Night()
    night.opens("a", "failed")
    night.ends("a", "failed")
    night.passes(5)
    night.opens("b", "deadline")
    assert night.told == []
    night.passes(20)
    assert night.told == ["deadline b"]
    night.ends("b", "deadline")
    night.passes(20)
    night.opens("c", "deadline")
    assert night.told == ["deadline c"]


def test_a_new_cause_takes_the_place_of_one_that_is_over():
    """Whatever explains it now is named."""
    night = Night()
    night.opens("a", "failed")
    night.opens("c")
    night.opens("b", "failed")
    night.ends("a", "failed")
    assert night.cause("late c") == "failed b"
    assert night.told == ["failed b"]


# --- the graph ----------------------------------------------------------------------------------------------------


class Watching(BasePlugin):
    name = "alerts"
    wants = (*_flow_graph.WANTS,)
    tables = tables.metadata

    def open(self, context):
        super().open(context)
        self.graph = FlowGraph(context)

    def handle(self, events):
        for event in events:
            self.graph.take(event, runs_of(event.flow, event.environment, event.deployment))

    def tick(self, now):
        self.graph.forget(now)


@pytest.fixture
def watching(tmp_path):
    with PluginHarness(lambda settings: Watching(), tmp_path, name="alerts") as harness:
        yield harness


def made(flow, asset, *upstream, kind=e.AssetMaterialized, time=NOW, **fields):
    sources = tuple(e.UpstreamAsset(asset=each) for each in upstream)
    identifier = derived_id(time, flow, asset, *upstream, kind.__name__)
    return kind(id=identifier, time=time, flow=flow, environment="prod", asset=asset, upstream=sources, **fields)


def above(harness, flow):
    return {found.name: steps for found, steps in harness.runner.plugin.graph.ancestors(lane(flow)).items()}


def test_flows_are_bound_by_what_they_make_and_read(watching):
    """By what a run read to make something, by what it only looked at, and by what was declared."""
    watching.feed(
        [
            made("ingest", "s3://raw"),
            made("clean", "s3://clean", "s3://raw"),
            made("report", "pg://report", "s3://clean", kind=e.AssetDeclared),
            made("look", "pg://report", kind=e.AssetObserved, role="read"),
        ]
    )
    assert above(watching, "look") == {"report": 1, "clean": 2, "ingest": 3}
    assert above(watching, "ingest") == {}
    watching.restart()
    assert above(watching, "look") == {"report": 1, "clean": 2, "ingest": 3}


def test_a_circle_is_walked_once(watching):
    """Flows that read what they make, and flows that read each other's."""
    watching.feed([made("a", "x", "z", "x"), made("b", "y", "x"), made("c", "z", "y")])
    assert above(watching, "a") == {"c": 1, "b": 2}


def test_the_graph_is_bounded(watching, caplog):
    """A flow that makes assets without end is watched for the first thousand, and that is logged once."""
    watching.feed([made("wild", f"x{number}") for number in range(LINKS_OF_ONE + 50)])
    assert len(watching.rows()["alerts_links"]) == LINKS_OF_ONE
    assert caplog.text.count("more assets than are watched") == 1


def test_links_that_no_run_shows_any_longer_are_forgotten(watching):
    """After a month; those that are shown each day stay."""
    watching.feed([made("a", "x"), made("b", "y", "x")])
    watching.clock.now += KEPT // 2
    watching.feed([made("b", "y", "x", time=watching.clock.now), made("a", "w", time=watching.clock.now)])
    assert above(watching, "b") == {"a": 1}
    watching.clock.now += KEPT // 2 + 1_000_000
    watching.tick()
    assert above(watching, "b") == {}
    assert sorted(row[:1] + row[3:5] for row in watching.rows()["alerts_links"]) == [
        ("a", "makes", "w"),
        ("b", "makes", "y"),
        ("b", "reads", "x"),
    ]
