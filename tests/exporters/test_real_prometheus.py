"""What a real Prometheus sees: the demo in every panel of every dashboard, the first failure, exemplars, the alarms."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from flowtell import events as e
from flowtell.ids import new_id
from flowtell.source.writing import SourceJournal
from flowtell_exporters.grafana.files import DASHBOARDS, Places, files
from flowtell_exporters.grafana.rules import Thresholds

_spec = importlib.util.spec_from_file_location("real_prometheus", Path(__file__).parent / "real_prometheus.py")
real = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(real)

FLOWTELL = [sys.executable, "-c", "import sys; from flowtell.cli import main; sys.exit(main())"]
VARIABLES = {
    "$__rate_interval": "1m",
    "$__range": "10m",
    "$__interval": "15s",
    "$flow": ".*",
    "$environment": ".*",
    "$owner": ".*",
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Scraped:
    """A flowtell process that serves, and a Prometheus beside it."""

    def __init__(self, home, folder, *words):
        self.home, self.port = home, real.free_port()
        self.environ = {**os.environ, "FLOWTELL_HOME": str(home), "FLOWTELL_SERVER__PORT": str(self.port)}
        self.log = folder / "flowtell.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([*FLOWTELL, *words], env=self.environ, stdout=log, stderr=log, cwd=folder)
        for name, text in files(Places(), Thresholds(late_seconds=1)).items():
            path = folder / "exported" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        rules = folder / "exported" / "prometheus" / "flowtell.rules.yml"
        self.prometheus = real.RealPrometheus(folder, f"127.0.0.1:{self.port}", rules)
        self.source = SourceJournal(str(home), "prefect", "demo")
        self.prometheus.until(lambda: self.page() and self.prometheus.query("flowtell_build_info"), "a first scrape")

    def page(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
                return answer.read().decode()
        except URLError:
            return ""

    def close(self):
        self.source.close()
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self.prometheus.close()


@pytest.fixture
def scraped(home, tmp_path):
    made = []

    def start(*words):
        made.append(Scraped(home, tmp_path, *words))
        return made[-1]

    yield start
    for each in made:
        each.close()


def now():
    return time.time_ns() // 1000


def made(kind, /, **fields):
    return kind(
        **{"id": new_id(), "time": now(), "flow": "orders", "environment": "demo", "deployment": "orders/k8s", **fields}
    )


def declarations():
    """What a Prefect server's bridge tells before anything runs."""
    rule = e.RuleData(kind="late", severity="error")
    return [
        made(e.SourceUp, flow="", deployment=""),
        made(e.FlowDeclared, owners=("shop",), version="3", rules=(rule,)),
        made(e.DeploymentDeclared),
        made(e.CapacityObserved, kind="pool", pool="k8s", name="k8s", limit=10, used=4),
        made(e.CapacityObserved, kind="queue", pool="k8s", name="default", limit=5, used=5),
        made(e.CapacityObserved, kind="worker", pool="k8s", name="w1", last_seen=now(), status="online"),
        made(e.CapacityObserved, kind="limit", name="database", limit=2, used=1),
        made(e.FlowRunScheduled, run=new_id(), due=now() + 3_600_000_000),
        *a_run(),
    ]


def a_run(state="completed", late=2.0):
    run, due = new_id(), now() - int(late * 1e6)
    return [
        made(e.FlowRunStarted, run=run, due=due, trace=run),
        made(e.MeasureRecorded, run=run, task="load", name="rows", value=7.0),
        made(e.FlowRunFinished, run=run, state=state, duration=0.5),
    ]


def test_every_panel_of_every_dashboard_has_data_after_the_demo(scraped):
    """Of the demo's own flows; and of what a Prefect server would tell, which no demo can have."""
    scraped = scraped("demo")
    prometheus = scraped.prometheus
    scraped.source.write(declarations())
    prometheus.until(
        lambda: 'flow="quality",environment="demo",state="completed"} 1' in scraped.page(), "the end of the tour", 120
    )
    for _ in range(3):
        prometheus.scrapes(2)
        scraped.source.write(a_run())
    prometheus.scrapes(3)
    empty = [
        f"{board.uid}: {panel['title']}"
        for board in DASHBOARDS
        for panel in panels(board)
        if not has_data(prometheus, panel)
    ]
    assert empty == []
    assert exemplar_traces(prometheus)
    assert prometheus.value('ALERTS{alertname="FlowtellWatchdog"}') == 1
    assert prometheus.ask("targets")["activeTargets"][0]["lastError"] == ""


def panels(board):
    return [panel for panel in board.document("http://x")["panels"] if panel["type"] != "row"]


def has_data(prometheus, panel):
    return any(numbers(prometheus, target) for target in panel["targets"])


def numbers(prometheus, target):
    """What the panel would draw: values that are numbers."""
    expr = target["expr"]
    for variable, value in VARIABLES.items():
        expr = expr.replace(variable, value)
    if target["instant"]:
        found = [series["value"] for series in prometheus.query(expr)]
    else:
        span = {"start": time.time() - 30, "end": time.time(), "step": 5}
        found = [
            value for series in prometheus.ask("query_range", query=expr, **span)["result"] for value in series["values"]
        ]
    return [float(value) for _, value in found if not math.isnan(float(value))]


def exemplar_traces(prometheus):
    span = {"start": time.time() - 120, "end": time.time()}
    found = prometheus.ask("query_exemplars", query="flowtell_flow_runs_total", **span)
    return {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}


def test_the_increase_over_the_first_failure_is_one(scraped):
    """The flow ran well before; this is its first failure. Asked at the moment of a scrape, so that nothing is guessed."""
    scraped = scraped("up")
    prometheus = scraped.prometheus
    scraped.source.write(declarations())
    failed = 'flowtell_flow_runs_total{flow="orders",state="failed"}'
    prometheus.until(lambda: prometheus.value(failed) == 0, "the series at 0")
    prometheus.scrapes(2)
    failing = a_run("failed")
    scraped.source.write(failing)
    prometheus.until(lambda: prometheus.value(failed) == 1, "the failure")
    prometheus.scrapes(2)
    at = prometheus.value(f"timestamp({failed})")
    assert prometheus.value(f"increase({failed}[5m])", time=at) == 1
    assert exemplar_traces(prometheus) >= {failing[0].run}
    prometheus.until(lambda: prometheus.query('ALERTS{alertname="FlowtellFlowFailing",alertstate="firing"}'), "the alarm")
    scraped.source.write(a_run())
    prometheus.until(lambda: not prometheus.query('ALERTS{alertname="FlowtellFlowFailing"}'), "its end")


def test_what_a_command_shows_of_the_exemplars_trace(scraped):
    """The id beside the number is one that commands take."""
    scraped = scraped("up")
    failing = a_run("failed")
    scraped.source.write(failing)
    scraped.prometheus.until(lambda: exemplar_traces(scraped.prometheus), "an exemplar")
    (trace,) = exemplar_traces(scraped.prometheus)
    done = subprocess.run(
        [*FLOWTELL, "runs", trace, "--json"], env=scraped.environ, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["run"]["id"] == failing[0].run
