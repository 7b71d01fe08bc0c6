"""Our own exporters keep the contract that any plugin must keep."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import MappingProxyType

import pytest

from flowtell import events as e
from flowtell.errors import NotIsolable
from flowtell.ids import derived_id
from flowtell.testing import PluginContract, PluginHarness
from flowtell.testing.histories import START
from flowtell_exporters import jsonlines, prometheus


def others() -> list[e.Event]:
    """What flows of the core alone do not make: due and open runs, capacity, incidents, notifications, sources."""
    numbers = itertools.count()

    def made(kind, /, **fields):
        at = START + next(numbers) * 1_000_000
        return kind(**{"id": derived_id(at, kind.__name__), "time": at, "flow": "due", "environment": "test", **fields})

    run, rule = derived_id(START, "due"), e.RuleData(kind="late", severity="error")
    return [
        made(e.FlowRunScheduled, run=run, due=START),
        made(e.FlowRunScheduled, run=derived_id(START, "ahead"), due=START + 3_600_000_000),
        made(e.FlowRunStarted, run=run, due=START, trace=derived_id(START, "a trace from elsewhere")),
        made(e.CapacityObserved, kind="pool", pool="k8s", name="k8s", limit=3, used=1),
        made(e.IncidentOpened, run=run, incident="1", rule=rule, severity="error"),
        made(e.IncidentOpened, run=run, incident="2", rule=rule, severity="error"),
        made(e.NotificationSent, incident="1", channel="slack"),
        made(e.IncidentResolved, run=run, incident="1", rule=rule, severity="error"),
        made(e.AssetFailed, run=run, asset="s3://lake/orders"),
        made(e.FlowDeclared, tags=("task-histograms",)),
        made(e.TaskRunFinished, run=run, task="load", task_run=derived_id(START, "load"), duration=7.0),
        made(e.SourceUp, source="prefect"),
    ]


class TestPrometheus(PluginContract):
    name = "prometheus"

    def factory(self):
        return prometheus.create

    def history(self):
        return [*super().history(), *others()]

    def observe(self, harness):
        return harness.mounted["/metrics"].text(openmetrics=True)


@pytest.mark.postgres
class TestPrometheusOnPostgreSQL(TestPrometheus):
    @pytest.fixture(autouse=True)
    def _databases(self, new_database):
        self.store_url = lambda folder: new_database()


class TestJsonLines(PluginContract):
    name = "jsonlines"
    settings = MappingProxyType({"path": "never-opened.jsonl"})

    def factory(self):
        return jsonlines.create

    def harness(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        settings = {"path": str(folder / "events.jsonl")}
        return PluginHarness(self.factory(), folder, name=self.name, settings=settings, isolated=self.isolated)

    def observe(self, harness):
        """Each event once: what a crash wrote twice is told by its id."""
        lines = Path(harness.folder, "events.jsonl").read_bytes().splitlines()
        return list(dict.fromkeys(lines))


@pytest.mark.slow
class TestIsolatedJsonLines(TestJsonLines):
    """The same from a process of its own; what the world saw is the same file."""

    isolated = True


def test_metrics_need_the_servers_process(tmp_path):
    """Whoever isolates what serves a page is told so."""
    with pytest.raises(NotIsolable, match="it serves /metrics"):
        PluginHarness(prometheus.create, tmp_path, name="prometheus", isolated=True)
