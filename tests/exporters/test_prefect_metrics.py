"""`/metrics/prefect` under the names of prometheus-prefect-exporter, and right where that one is not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parse

from flowtell import config
from flowtell import events as e
from flowtell.errors import BadValue, UnknownKey
from flowtell.ids import derived_id
from flowtell.server.app import running_server
from flowtell.testing import FakeClock, PluginContract, PluginHarness, example_history
from flowtell_exporters.prefect_compat import families
from flowtell_exporters.prefect_compat.plugin import create

START = FakeClock().now
S = 1_000_000
SETTINGS = MappingProxyType({"enabled": True})


class Bridge:
    """Tells the log what a bridge would; every method says what happens now."""

    def __init__(self, folder, **wanted) -> None:
        self.harness = PluginHarness(create, folder, name="prefect_metrics", settings={**SETTINGS, **wanted})
        self.clock = self.harness.clock
        self._made = 0

    def tells(self, kind, /, *, at: int | None = None, source="prefect", **fields):
        self._made += 1
        at = self.clock() if at is None else at
        event = kind(id=derived_id(at, str(self._made)), time=at, source=source, environment="prod", **fields)
        self.harness.feed([event])

    def run(self, number: int, *kinds, flow="etl", **fields):
        """These events of one run, a second apart."""
        for kind in kinds:
            self.clock.advance(1)
            self.tells(kind, run=f"{number:032x}", flow=flow, external_id=f"uuid-{number}", **fields)

    def text(self) -> str:
        return self.harness.mounted["/metrics/prefect"].text()

    def samples(self, name: str) -> dict[tuple[str, ...], float]:
        """Label values in the registry's order, and the value."""
        (family,) = [one for one in families.FAMILIES if one.name == name]
        found = {}
        for parsed in parse(self.text()):
            for sample in parsed.samples:
                if sample.name == name:
                    found[tuple(sample.labels[label] for label in family.labels)] = sample.value
        return found

    def one(self, name: str) -> float:
        return self.samples(name)[()]


@pytest.fixture
def bridged(tmp_path):
    """A bridge: `bridged(offset_minutes=1)`."""
    made = []

    def make(**wanted) -> Bridge:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Bridge(folder, **wanted))
        return made[-1]

    yield make
    for each in made:
        each.harness.close()


# --- the contract -------------------------------------------------------------------------------------------------


class TestContract(PluginContract):
    name = "prefect_metrics"
    settings = MappingProxyType({"enabled": True, "sources": "*"})

    def factory(self):
        return create

    def history(self):
        def made(kind, number, /, run="d" * 32, **fields):
            at = START + number * S
            fields = {"flow": "etl", "deployment": "daily", "run": run, **fields}
            return kind(id=derived_id(at, kind.type, run), time=at, environment="test", source="prefect", **fields)

        return [
            made(e.DeploymentDeclared, 1, run="", tags=("b", "a"), pool="k8s", queue="q", external_id="dep"),
            made(e.CapacityObserved, 1, run="", deployment="", flow="", kind="pool", name="k8s", pool_type="docker"),
            made(e.CapacityObserved, 2, run="", deployment="", flow="", kind="queue", name="q", pool="k8s"),
            made(e.FlowRunScheduled, 3, pool="k8s", queue="q"),
            made(e.FlowRunLate, 20, pool="k8s", queue="q"),
            made(e.FlowRunScheduled, 3, run="f" * 32),
            *example_history(),
            made(e.FlowRunStarted, 30),
            made(e.FlowRunFinished, 90, state="failed", native_state="Failed", duration=60.0),
            made(e.FlowRunRemoved, 91, run="f" * 32),
        ]

    def observe(self, harness):
        return harness.rows(), harness.mounted["/metrics/prefect"].text()


@pytest.mark.postgres
class TestContractOnPostgreSQL(TestContract):
    @pytest.fixture(autouse=True)
    def _databases(self, new_database):
        self.store_url = lambda folder: new_database()


def test_it_is_off_until_somebody_asks_for_it():
    """None says so to the server; a slip in its table is refused."""
    assert create({}) is None
    assert create({"enabled": "true"}) is not None
    with pytest.raises(UnknownKey, match="Did you mean 'sources'"):
        create({"enabled": True, "source": "x"})
    with pytest.raises(BadValue):
        create({"offset_minutes": "soon"})


# --- names --------------------------------------------------------------------------------------------------------

THEIRS = {
    "prefect_deployments_total": "",
    "prefect_info_deployment": "flow_name is_schedule_active deployment_name path paused work_pool_name work_queue_name "
    "status tags",
    "prefect_flows_total": "",
    "prefect_info_flows": "flow_name",
    "prefect_flow_runs_total": "",
    "prefect_flow_runs_total_run_time": "flow_name deployment_name",
    "prefect_flow_runs_ongoing_run_time": "deployment_name flow_name state_name flow_run_id",
    "prefect_info_flow_runs": "deployment_name flow_name state_name work_queue_name",
    "prefect_deployment_failed_flow_runs": "deployment_name flow_name last_failed_run_id state_name",
    "prefect_work_pools_total": "",
    "prefect_info_work_pools": "is_paused work_pool_name type status",
    "prefect_work_queues_total": "",
    "prefect_info_work_queues": "is_paused work_queue_name priority type work_pool_name status healthy "
    "health_check_policy_maximum_late_runs health_check_policy_maximum_seconds_since_last_polled",
    "prefect_work_queues_late_runs_count": "is_paused work_queue_name priority type work_pool_name status healthy "
    "health_check_policy_maximum_late_runs health_check_policy_maximum_seconds_since_last_polled",
}
"""Every metric of that exporter with its labels, as its source has them."""

ASKED_BY_DASHBOARDS = [
    "sum(prefect_flows_total)",
    "sum(prefect_deployments_total)",
    'count(prefect_info_deployment{is_schedule_active="False"} == 1)',
    "count(prefect_info_flow_runs == 1)",
    "count(prefect_info_flow_runs)",
    'count(prefect_info_flow_runs{flow_name=~"etl"})',
    "avg(prefect_flow_runs_total_run_time)",
    'avg by (flow_name) (prefect_flow_runs_total_run_time{flow_name=~"etl"})',
    "count by (state_name) (prefect_info_flow_runs)",
    "sum(prefect_work_pools_total)",
    "sum(prefect_work_queues_total)",
    'prefect_info_flows{flow_name=~"etl"} == 1',
    'prefect_info_deployment{flow_name=~"etl"}',
    "label_values(prefect_info_flows,flow_name)",
    "label_values(prefect_info_flow_runs,state_name)",
]
"""What the two dashboards ask that come with that exporter."""


@pytest.fixture
def busy(bridged):
    """Something of everything."""
    bridge = bridged()
    bridge.tells(e.FlowDeclared, flow="etl")
    bridge.tells(e.DeploymentDeclared, flow="etl", deployment="daily", pool="k8s", queue="q", ready=True, tags=("b", "a"))
    bridge.tells(e.DeploymentDeclared, flow="etl", deployment="hourly", paused=True, ready=False)
    bridge.tells(e.CapacityObserved, kind="pool", name="k8s", pool="k8s", pool_type="kubernetes", status="not ready")
    bridge.tells(e.CapacityObserved, kind="queue", name="q", pool="k8s", paused=True, status="paused")
    bridge.run(1, e.FlowRunScheduled, e.FlowRunLate, deployment="daily", pool="k8s", queue="q")
    bridge.run(2, e.FlowRunStarted, deployment="daily", pool="k8s", queue="q")
    bridge.run(3, e.FlowRunStarted, deployment="daily")
    bridge.run(3, e.FlowRunFinished, deployment="daily", state="failed", native_state="Failed", duration=4.0)
    bridge.run(4, e.FlowRunStarted, e.FlowRunFinished)
    return bridge


def test_names_types_and_labels_are_theirs(busy):
    """Each family is there, a gauge, with the labels of the other exporter and no others."""
    found = {}
    for family in parse(busy.text()):
        assert family.type == "gauge"
        for sample in family.samples:
            found[sample.name] = set(sample.labels)
    assert found == {name: set(labels.split()) for name, labels in THEIRS.items()}
    assert {family.name: " ".join(family.labels) for family in families.FAMILIES[:-1]} == THEIRS


@pytest.mark.parametrize("query", ASKED_BY_DASHBOARDS)
def test_what_their_dashboards_ask_for_is_there(busy, query):
    """Metric and labels of every query."""
    (name,) = re.findall(r"prefect_\w+", query)
    labels = [*re.findall(r"(\w+)=", query), *re.findall(r"by \((\w+)\)", query), *re.findall(r",(\w+)\)", query)]
    assert busy.samples(name)
    assert set(labels) <= set(THEIRS[name].split())


def test_promtool_reads_the_page(busy):
    """Its only remarks are about names that are not ours to choose."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([promtool, "check", "metrics"], input=busy.text(), capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).splitlines()
    assert done.returncode in (0, 3), said  # 3: read, with remarks
    assert all("_total" in line or "_count" in line or "_info" in line for line in said), said


def test_the_values(busy):
    """One of each, by hand."""
    daily = ("etl", "True", "daily", "null", "False", "k8s", "q", "READY", "a,b")
    hourly = ("etl", "False", "hourly", "null", "True", "null", "null", "NOT_READY", "")
    assert busy.samples("prefect_info_deployment") == {daily: 1, hourly: 1}
    assert busy.samples("prefect_info_work_pools") == {("False", "k8s", "kubernetes", "NOT_READY"): 1}
    queue = ("True", "q", "null", "null", "k8s", "PAUSED", "null", "null", "null")
    assert busy.samples("prefect_info_work_queues") == {queue: 0}
    assert busy.samples("prefect_work_queues_late_runs_count") == {queue: 1}
    assert busy.samples("prefect_info_flow_runs") == {
        ("daily", "etl", "Late", "q"): 1,
        ("daily", "etl", "Running", "q"): 1,
        ("daily", "etl", "Failed", "null"): 1,
        ("null", "etl", "Completed", "null"): 1,
    }
    assert busy.samples("prefect_flow_runs_total_run_time") == {("etl", "daily"): 4, ("etl", "null"): 1}
    assert busy.samples("prefect_deployment_failed_flow_runs") == {("daily", "etl", "uuid-3", "Failed"): 1}
    ((labels, seconds),) = busy.samples("prefect_flow_runs_ongoing_run_time").items()
    assert labels == ("daily", "etl", "Running", "uuid-2")
    assert seconds == 4
    assert [busy.one(f"prefect_{what}_total") for what in ("flows", "deployments", "flow_runs")] == [1, 2, 4]


# --- right where the original is not ------------------------------------------------------------------------------


def test_a_long_run_that_fails_is_seen(bridged):
    """The other one counts by start and so never sees the end of a run that is longer than its window."""
    bridge = bridged()
    bridge.run(1, e.FlowRunStarted)
    bridge.clock.advance(3 * 3600)
    assert bridge.samples("prefect_info_flow_runs") == {("null", "etl", "Running", "null"): 1}
    bridge.run(1, e.FlowRunFinished, state="failed")
    bridge.clock.advance(4 * 60)
    assert bridge.samples("prefect_info_flow_runs") == {("null", "etl", "Failed", "null"): 1}
    bridge.clock.advance(2 * 60)
    assert bridge.samples("prefect_info_flow_runs") == {}
    assert bridge.one("prefect_flow_runs_total") == 1


def test_a_thousand_runs_are_a_thousand(bridged):
    """The other one asks for a page of 200, in which the frequent state crowds out the failures."""
    bridge = bridged()
    for number in range(1000):
        at = bridge.clock()
        state = "failed" if number % 100 == 0 else "completed"
        bridge.tells(e.FlowRunFinished, at=at, run=f"{number:032x}", flow="etl", state=state)
    counts = bridge.samples("prefect_info_flow_runs")
    assert counts == {("null", "etl", "Completed", "null"): 990, ("null", "etl", "Failed", "null"): 10}


def test_the_total_survives_restarts_and_old_news(bridged):
    """Runs that ended days ago are let go of; what comes of them later opens nothing and counts nothing."""
    bridge = bridged()
    bridge.run(1, e.FlowRunScheduled, e.FlowRunStarted, e.FlowRunFinished)
    scheduled = bridge.clock()
    bridge.clock.advance(3 * 86_400)
    bridge.harness.tick()
    assert bridge.harness.rows()["prefect_metrics_runs"] == []
    bridge.harness.restart()
    bridge.tells(e.FlowRunPending, at=scheduled, run=f"{1:032x}", flow="etl")
    assert bridge.samples("prefect_info_flow_runs") == {}
    assert bridge.one("prefect_flow_runs_total") == 1


def test_a_removed_run_and_a_removed_deployment_are_gone(bridged):
    """A run deleted there is no longer running; a deployment is told of by its own id."""
    bridge = bridged()
    bridge.run(1, e.FlowRunStarted)
    bridge.tells(e.DeploymentDeclared, flow="etl", deployment="daily", external_id="dep")
    bridge.run(1, e.FlowRunRemoved)
    bridge.clock.advance(1)
    bridge.tells(e.DeploymentRemoved, external_id="dep")
    assert bridge.samples("prefect_info_flow_runs") == {}
    assert bridge.samples("prefect_info_deployment") == {}
    assert bridge.one("prefect_deployments_total") == 0


def test_other_sources_do_not_count_unless_asked_for(bridged):
    """The page is about Prefect; `*` is about all."""
    for sources, expected in (("prefect*", 1), ("*", 2), ("airflow, prefect", 1)):
        bridge = bridged(sources=sources)
        bridge.run(1, e.FlowRunStarted)
        bridge.run(2, e.FlowRunStarted, source="")
        assert bridge.one("prefect_flow_runs_total") == expected


# --- bounds -------------------------------------------------------------------------------------------------------


def test_series_are_bounded_and_counts_stay_exact(bridged):
    """What is beyond the bound is summed up where it can be, and told of where it cannot."""
    bridge = bridged(max_series=3)
    for number in range(10):
        bridge.run(number, e.FlowRunStarted, flow=f"flow{number}")
    counts = bridge.samples("prefect_info_flow_runs")
    assert len(counts) == 4
    assert sum(counts.values()) == 10
    assert len(bridge.samples("prefect_flow_runs_ongoing_run_time")) == 3
    left_out = bridge.samples("flowtell_prefect_metrics_left_out")
    assert left_out[("prefect_flow_runs_ongoing_run_time",)] == 7
    assert left_out[("flows",)] == 7


def test_the_runs_that_are_kept_are_bounded(bridged):
    """The total counts all, and says how many it cannot show."""
    bridge = bridged(max_runs=5)
    for number in range(8):
        bridge.run(number, e.FlowRunStarted)
    assert bridge.one("prefect_flow_runs_total") == 8
    assert sum(bridge.samples("prefect_info_flow_runs").values()) == 5
    assert bridge.samples("flowtell_prefect_metrics_left_out") == {("runs",): 3}


def test_labels_cannot_break_the_page(bridged):
    """Quotes, line ends and a name of a megabyte."""
    bridge = bridged()
    for number, name in enumerate(('a"b', "c\nd", "e\\f", "x" * 1_000_000, "\ud800")):
        bridge.run(number, e.FlowRunStarted, flow=name.encode("utf-8", "replace").decode())
    assert len(bridge.samples("prefect_info_flows")) == 5
    assert len(bridge.text()) < 20_000


# --- for all histories --------------------------------------------------------------------------------------------

_runs = st.sampled_from([f"{number:032x}" for number in range(1, 6)])
_common = {"run": _runs, "flow": st.sampled_from(["a", "b"]), "deployment": st.just("d"), "source": st.just("prefect")}


def _events(kind, **fields):
    ids = st.uuids(version=4).map(lambda each: each.hex)
    return st.builds(kind, id=ids, time=st.integers(START - 60 * S, START), **_common, **fields)


_ahead = {"pool": st.just("p"), "queue": st.just("q")}
_any_event = st.one_of(
    _events(e.FlowRunScheduled, **_ahead),
    _events(e.FlowRunLate, **_ahead),
    _events(e.FlowRunPending, **_ahead),
    _events(e.FlowRunStarted),
    _events(e.FlowRunPaused),
    _events(e.FlowRunFinished, state=st.sampled_from(e.END_STATES), duration=st.sampled_from([None, 2.0])),
)
_piece = st.tuples(
    st.lists(_any_event, max_size=10),
    st.integers(1, 5),
    st.sampled_from(["w1", "w2"]),
    st.sampled_from(["nothing", "restart", "lost commit", "same again"]),
)


@given(st.lists(_piece, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_counts_equal_the_logs_own(pieces):
    """Over duplicates, contradictions, any order and batches, restarts and commits that never were."""
    with tempfile.TemporaryDirectory() as folder:
        harness = PluginHarness(create, folder, name="prefect_metrics", settings=SETTINGS)
        with harness:
            for events, batch, writer, fate in pieces:
                harness.append(events, writer)
                if fate == "lost commit":
                    harness.runner.lose_next_commit()
                    harness.restart()
                harness.deliver(batch)
                if fate == "restart":
                    harness.restart()
                if fate == "same again":
                    harness.feed(events, writer="w3")
            total, states = _of_the_log(harness)
            text = harness.mounted["/metrics/prefect"].text()
            assert _page_total(text) == total
            assert _page_states(text) == states


def _of_the_log(harness):
    """From the lines of the log and from the log's own table of runs, by SQL: nothing of the plugin's."""
    lines = [json.loads(line) for _, line in harness.store.log.read_lines(0, 100_000)]
    with harness.store.reading() as connection:
        rows = connection.exec_driver_sql("SELECT flow, state, count(*) FROM runs GROUP BY flow, state").all()
    names = {"timed_out": "TimedOut"}
    states = Counter({(flow, names.get(state, state.capitalize())): number for flow, state, number in rows})
    return len({line["run"] for line in lines}), states


def _page_total(text):
    return next(s.value for f in parse(text) for s in f.samples if s.name == "prefect_flow_runs_total") if text else 0


def _page_states(text):
    found = Counter()
    for family in parse(text):
        for sample in family.samples:
            if sample.name == "prefect_info_flow_runs":
                found[sample.labels["flow_name"], sample.labels["state_name"]] += sample.value
    return found


# --- served -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_server_serves_it_beside_our_own(home, monkeypatch):
    """Under `/metrics/prefect`, as text 0.0.4 whatever is asked for; off, there is nothing."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    def answer(url, path):
        asked = Request(url + path, headers={"Accept": "application/openmetrics-text"})
        with urlopen(asked, timeout=10) as found:
            return found.headers["Content-Type"], found.read().decode()

    options = {"server.port": 0, "plugins.disable": "dashboard"}
    with running_server(config.load(options)) as (url, _), pytest.raises(HTTPError, match="404"):
        answer(url, "/metrics/prefect")
    monkeypatch.setenv("FLOWTELL_PLUGIN__PREFECT_METRICS__ENABLED", "true")
    with running_server(config.load(options)) as (url, _):
        kind, text = answer(url, "/metrics/prefect")
        assert kind.startswith("text/plain; version=0.0.4")
        assert "prefect_flows_total 0" in text
        assert "flowtell_build_info" in answer(url, "/metrics")[1]
