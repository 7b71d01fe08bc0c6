"""Rules for those who cannot change a flow: from a file and from a deployment's tags, over a real log and a still clock."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from flowtell import events as e
from flowtell.ids import derived_id
from flowtell.rules import failed, too_long
from flowtell.testing import PluginContract, example_history
from flowtell.testing.histories import START
from flowtell_alerts import reading
from flowtell_alerts.evaluator import create

from .conftest import World


class Ruled(World):
    """A world with a file of rules, which a test writes."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "flowtell.toml"
        self.file.write_text("")
        super().__init__(folder, self.file)

    def states(self, text: str) -> None:
        """The file says this from now on; the next tick after a second sees it."""
        self.file.write_text(text)
        self.passes(2)
        self.passes(1)

    def deploys(self, deployment: str, *tags: str, flow: str = "nightly", **fields) -> None:
        self.appends(e.DeploymentDeclared, flow=flow, deployment=deployment, tags=tags, **fields)

    def holding(self, flow: str = "nightly") -> set[tuple[str, str, float | None, str]]:
        """Deployment, kind, its first argument, and who states it."""
        return {
            (status.deployment, status.rule.kind, next(iter(status.rule.arguments.values()), None), status.place)
            for status in reading.rules(self.harness.read, flow=flow)
        }


@pytest.fixture
def ruled(tmp_path):
    made = Ruled(tmp_path)
    yield made
    made.harness.close()


FAILED = '[[rules]]\nkind = "failed"\n'


# --- from the file ------------------------------------------------------------------------------------------------


def test_a_rule_of_the_file_holds_for_a_flow_that_nobody_declared(ruled):
    """Known from its runs alone: a failure opens an incident, a good end resolves it."""
    ruled.states(FAILED + 'flow = "ingest_*"\nrunbook = "https://wiki/ingest"\n')
    ruled.ends("a", "failed", flow="ingest_orders")
    ruled.ends("b", "failed", flow="other")
    ruled.passes()
    (incident,) = ruled.open
    assert (incident.flow, incident.rule.runbook) == ("ingest_orders", "https://wiki/ingest")
    ruled.clock.advance(1)
    ruled.ends("c", flow="ingest_orders")
    ruled.passes()
    assert ruled.open == []


def test_a_rule_of_the_file_finds_a_run_that_is_too_long(ruled):
    """Also where the run began before the rule was stated."""
    ruled.starts("a", "ingest")
    ruled.passes(20)
    ruled.states('[[rules]]\nkind = "too_long"\nbound = "10s"\nsource = "!prefect"\n')
    assert [incident.runs for incident in ruled.open] == [("a",)]


def test_the_log_is_told_once_of_each_rule(ruled):
    """With file and line; however often the server restarts, it is told no more, and of a removed one once."""
    ruled.states(f"# ours\n{FAILED}\n[[rules]]\nkind = 'late'\nafter = '15m'\n")
    for _ in range(3):
        ruled.restarts()
        ruled.passes(2)
    told = ruled.events("rule.declared")
    assert [(event.rule.kind, event.origin) for event in told] == [
        ("failed", f"{ruled.file}:2"),
        ("late", f"{ruled.file}:5"),
    ]
    ruled.states(FAILED)
    ruled.restarts()
    ruled.passes(2)
    assert [event.rule.kind for event in ruled.events("rule.removed")] == ["late"]
    assert [rule.origin for rule in reading.file_rules(ruled.harness.read)] == [f"{ruled.file}:1"]


def test_a_rule_that_comes_back_holds_again(ruled):
    """Declared, removed, declared: three events, and the incident opens twice."""
    ruled.states(FAILED)
    ruled.ends("a", "failed")
    ruled.passes()
    ruled.states("")
    assert [incident.reason for incident in ruled.incidents] == ["rule removed"]
    ruled.states(FAILED)
    assert len(ruled.open) == 1
    assert [event.type for event in ruled.events("rule.declared", "rule.removed")] == [
        "rule.declared",
        "rule.removed",
        "rule.declared",
    ]


def test_a_slip_in_the_file_leaves_what_was_stated_before(ruled, caplog):
    """It is said once, and the corrected file is taken."""
    ruled.states(FAILED)
    ruled.states('[[rules]]\nkind = "faled"\n')
    ruled.passes(5)
    assert "did you mean 'failed'" in caplog.text
    assert caplog.text.count("faled") == 1
    assert ruled.events("rule.removed") == []
    ruled.states("")
    assert len(ruled.events("rule.removed")) == 1


def test_what_somebody_else_declared_is_not_the_files_to_remove(ruled):
    """A rule that came by another way stays; the file is silent about it."""
    ruled.appends(e.RuleDeclared, rule=failed(), origin="api")
    ruled.states("")
    ruled.ends("a", "failed")
    ruled.passes()
    assert len(ruled.open) == 1
    assert ruled.events("rule.removed") == []


def test_an_older_removal_that_comes_late_removes_nothing(ruled):
    """The newest word by its time holds, in any order."""
    before = ruled.clock()
    ruled.clock.advance(10)
    ruled.appends(e.RuleDeclared, rule=failed(), origin="api")
    ruled.appends(e.RuleRemoved, at=before, rule=failed(), origin="api")
    ruled.ends("a", "failed")
    ruled.passes()
    assert len(ruled.open) == 1


def test_a_file_that_is_gone_at_the_start_removes_nothing(ruled):
    """Nobody can say what it states; that is said."""
    ruled.states(FAILED)
    ruled.file.unlink()
    ruled.restarts()
    ruled.passes(3)
    assert ruled.events("rule.removed") == []


# --- from tags ----------------------------------------------------------------------------------------------------


def test_a_deployments_tags_are_rules_for_its_runs_alone(ruled):
    """Of two deployments of one flow, the one with the tag is judged by it."""
    ruled.deploys("berlin", "flowtell.max=10s", "flowtell.owner=growth", "flowtell.severity=critical")
    ruled.deploys("paris", "eu")
    for run, deployment in (("a", "berlin"), ("b", "paris")):
        ruled.appends(e.FlowRunStarted, run=run, flow="nightly", deployment=deployment)
    ruled.passes(20)
    (incident,) = ruled.open
    assert (incident.deployment, incident.runs) == ("berlin", ("a",))
    assert (incident.owners, incident.severity) == (("growth",), "critical")
    assert incident.subject == e.Subject(kind="deployment", name="nightly/berlin")
    (event,) = ruled.events("incident.opened")
    assert event.deployment == "berlin"


def test_a_good_run_of_one_deployment_says_nothing_of_another(ruled):
    """One flow may serve many customers."""
    ruled.declares(failed())
    for run, deployment, state in (("a", "berlin", "failed"), ("b", "paris", "completed")):
        ruled.clock.advance(1)
        ruled.appends(e.FlowRunFinished, run=run, flow="nightly", deployment=deployment, state=state)
        ruled.passes()
    assert [incident.deployment for incident in ruled.open] == ["berlin"]


def test_an_end_that_does_not_name_the_deployment_counts_where_the_run_began(ruled):
    """Also after a restart."""
    ruled.declares(too_long(5))
    ruled.appends(e.FlowRunStarted, run="a", flow="nightly", deployment="berlin")
    ruled.passes(10)
    ruled.restarts()
    ruled.ends("a")
    ruled.passes(3)
    assert ruled.open == []


def test_a_tag_that_cannot_be_read_is_shown(ruled):
    """With what is wrong with it; the others hold."""
    ruled.deploys("berlin", "flowtell.max=soon", "flowtell.owmer=x", "flowtell.severity=loud", "flowtell.late=15m")
    ruled.passes(2)
    ruled.passes(1)
    verdicts = {status.origin: (status.verdict, status.holds) for status in ruled.rules if status.place == "tag"}
    assert verdicts.pop("flowtell.late=15m") == ("nothing is due", True)
    assert "'soon' is no span of time" in verdicts["flowtell.max=soon"][0]
    assert "flowtell.owner" in verdicts["flowtell.owmer=x"][0]
    assert "critical" in verdicts["flowtell.severity=loud"][0]
    assert {holds for _, holds in verdicts.values()} == {None}


def test_tags_that_change_and_deployments_that_go(ruled):
    """The newest tags hold; of a removed deployment none, whether it is named or its own id is."""
    ruled.deploys("berlin", "flowtell.max=10s", external_id="d-1")
    ruled.passes()
    assert ("berlin", "too_long", 10.0, "tag") in ruled.holding()
    ruled.clock.advance(1)
    ruled.deploys("berlin", "flowtell.max=1m", external_id="d-1")
    ruled.passes()
    assert ruled.holding() == {("berlin", "too_long", 60.0, "tag")}
    ruled.clock.advance(1)
    ruled.appends(e.DeploymentRemoved, external_id="d-1")
    ruled.passes()
    assert ruled.holding() == set()


# --- whose word holds ---------------------------------------------------------------------------------------------


def test_a_tag_goes_before_the_file_and_the_file_before_the_code(ruled):
    """Kind by kind: of what the nearest place says nothing of, the next one is heard."""
    ruled.declares(too_long(10), failed())
    ruled.deploys("berlin", "flowtell.max=1h")
    ruled.deploys("paris")
    ruled.states('[[rules]]\nkind = "too_long"\nbound = "1m"\n')
    assert ruled.holding() == {
        ("", "too_long", 60.0, "file"),
        ("", "failed", 1, "code"),
        ("berlin", "too_long", 3600.0, "tag"),
        ("berlin", "failed", 1, "code"),
        ("paris", "too_long", 60.0, "file"),
        ("paris", "failed", 1, "code"),
    }


def test_off_takes_a_rule_away_that_stands_farther_off(ruled):
    """In the file for a flow, in a tag for one deployment."""
    ruled.declares(too_long(10), failed())
    ruled.deploys("berlin", "flowtell.failed=off")
    ruled.states('[[rules]]\nkind = "too_long"\noff = true\nflow = "night*"\n')
    assert ruled.holding() == {("", "failed", 1, "code")}


def test_what_one_place_says_holds_together(ruled):
    """A warning after a while and an alarm later; of two that differ in severity alone the more severe holds."""
    ruled.states(
        '[[rules]]\nkind = "too_long"\nbound = "10s"\n[[rules]]\nkind = "too_long"\nbound = "60s"\nseverity = "critical"\n'
        '[[rules]]\nkind = "failed"\nseverity = "critical"\n[[rules]]\nkind = "failed"\nseverity = "info"\n'
    )
    ruled.starts("a")
    ruled.passes(70)
    ruled.ends("b", "failed")
    ruled.passes()
    assert sorted((i.rule.kind, i.severity) for i in ruled.open) == [
        ("failed", "critical"),
        ("too_long", "critical"),
        ("too_long", "warning"),
    ]


# --- the contract -------------------------------------------------------------------------------------------------


class TestContract(PluginContract):
    """With deployments, tags and rules among the events."""

    name = "alerts"

    def factory(self):
        return create

    def history(self):
        def made(kind, number, **fields):
            at = START + number * 1000
            return kind(id=derived_id(at, kind.type, str(number)), time=at, environment="test", **fields)

        return [
            made(e.DeploymentDeclared, 1, flow="nightly", deployment="berlin", tags=("flowtell.max=5s",), external_id="x"),
            made(e.RuleDeclared, 2, rule=failed(), origin="api"),
            made(e.FlowRunStarted, 3, run="a" * 32, flow="nightly", deployment="berlin", source="prefect"),
            *example_history(),
            made(e.RuleRemoved, 4, rule=failed(), origin="api"),
            made(e.RuleDeclared, 5, rule=too_long(3), origin="api"),
            made(e.DeploymentRemoved, 6, external_id="x"),
            made(e.FlowRunFinished, 7, run="a" * 32, flow="nightly", state="failed"),
        ]


@pytest.mark.postgres
class TestContractOnPostgreSQL(TestContract):
    @pytest.fixture(autouse=True)
    def _databases(self, new_database):
        self.store_url = lambda folder: new_database()


@pytest.mark.slow
def test_declarations_in_any_order_come_to_the_same(make_world, tmp_path):
    """Of several writers any order may come: in all of them the newest word of each holds."""
    start = START

    def made(kind, number, **fields):
        return kind(id=derived_id(start + number, str(number)), time=start + number * 1000, environment="test", **fields)

    where = {"flow": "nightly", "deployment": "berlin"}
    history = [
        made(e.FlowDeclared, 1, flow="nightly", rules=(failed(), too_long(5))),
        made(e.DeploymentDeclared, 2, tags=("flowtell.max=1h",), **where),
        made(e.DeploymentDeclared, 3, tags=("flowtell.max=2h", "flowtell.owner=growth"), **where),
        made(e.RuleDeclared, 4, rule=failed(consecutive=2), origin="api"),
        made(e.RuleRemoved, 5, rule=failed(consecutive=2), origin="api"),
    ]
    found = set()
    for number, order in enumerate(itertools.permutations(history)):  # 120 stores
        world = make_world(tmp_path / str(number))
        world.harness.append(order)
        world.harness.deliver()
        found.add(tuple(sorted((each.deployment, each.rule.kind, str(each.rule.arguments)) for each in world.rules)))
        world.harness.close()
    assert found == {
        (
            ("", "failed", "{'consecutive': 1}"),
            ("", "too_long", "{'bound': 5.0}"),
            ("berlin", "failed", "{'consecutive': 1}"),
            ("berlin", "too_long", "{'bound': 7200.0}"),
        )
    }
