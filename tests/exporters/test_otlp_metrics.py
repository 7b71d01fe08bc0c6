"""What is pushed is what is scraped, read by OpenTelemetry's own protocol buffers."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra flowtell-exporters[otlp] is not installed")

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from flowtell.errors import ExtraMissing
from flowtell.testing import PluginContract, PluginHarness, example_history
from flowtell_exporters import otlp_metrics, prometheus
from flowtell_exporters.scrape import Scrape

GAUGES_OF_THE_MOMENT = "flowtell_plugin_"


class Collector:
    """Takes OTLP over HTTP on a port of its own. `status` is what it answers."""

    def __init__(self):
        self.requests, self.status = [], 200
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                if collector.status == 200:
                    collector.requests.append(ExportMetricsServiceRequest.FromString(body))
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1/metrics"

    def metrics(self):
        """Of the requests so far, by name."""
        found = {}
        for request in self.requests:
            for metric in (
                each for one in request.resource_metrics for scope in one.scope_metrics for each in scope.metrics
            ):
                found.setdefault(metric.name, []).append(metric)
        return found

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def pushing(tmp_path, collector):
    """The plugin over a store that the plugin `prometheus` counts, with flows that ran."""
    with PluginHarness(
        prometheus.create, tmp_path, name="prometheus", settings={"task_histograms": ["nightly"]}
    ) as counting:
        counting.feed(example_history())
        settings = {"enabled": True, "endpoint": collector.url}
        url = f"sqlite:///{tmp_path}/flowtell.db"
        with PluginHarness(otlp_metrics.create, tmp_path, name="otlp_metrics", settings=settings, store_url=url) as harness:
            harness.deliver()
            yield harness


def attributes(point):
    return tuple(sorted((each.key, each.value.string_value) for each in point.attributes))


def pushed_samples(collector):
    """As Prometheus would have them, by name and labels."""
    found = {}
    for name, metrics in collector.metrics().items():
        for metric in metrics:
            kind = metric.WhichOneof("data")
            for point in getattr(metric, kind).data_points:
                place = attributes(point)
                if kind != "histogram":
                    found[name, place] = point.as_double or point.as_int
                    continue
                found[f"{name}_sum", place], found[f"{name}_count", place] = point.sum, point.count
                total = 0
                for bound, number in zip([*map(str, point.explicit_bounds), "+Inf"], point.bucket_counts, strict=True):
                    total += number
                    found[f"{name}_bucket", tuple(sorted((*place, ("le", bound))))] = total
    return found


def scraped_samples(harness):
    context = harness.runner.plugin.context
    text = Scrape(context, 1500).text(openmetrics=True)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_is_pushed_is_what_is_scraped(pushing, collector):
    """Every name, label and number; counters are cumulative since the first event was counted."""
    pushing.tick()
    assert pushed_samples(collector) == scraped_samples(pushing)
    (runs,) = collector.metrics()["flowtell_flow_runs_total"]
    assert runs.sum.is_monotonic
    assert runs.sum.aggregation_temporality == 2
    assert {point.start_time_unix_nano for point in runs.sum.data_points} == {pushing.clock.now * 1000}
    assert {name: metrics[0].unit for name, metrics in collector.metrics().items()}[
        "flowtell_flow_run_duration_seconds"
    ] == "s"


def test_exemplars_go_along(pushing, collector):
    """As real ids of a trace and a span."""
    pushing.tick()
    (runs,) = collector.metrics()["flowtell_flow_runs_total"]
    (durations,) = collector.metrics()["flowtell_flow_run_duration_seconds"]
    ended = {event.run for event in pushing.log("flow_run.finished")}
    assert {each.trace_id.hex() for point in runs.sum.data_points for each in point.exemplars} == ended
    spans = {each.span_id.hex() for point in durations.histogram.data_points for each in point.exemplars}
    assert spans <= {run[-16:] for run in ended}
    assert spans


def test_it_says_who_pushes(pushing, collector):
    pushing.tick()
    (resource,) = [each.resource for each in collector.requests[0].resource_metrics]
    assert ("service.name", "flowtell") in attributes(resource)


def test_a_collector_that_refuses_loses_nothing(pushing, collector):
    """The next push brings the same totals and what came since."""
    collector.status = 400
    pushing.tick()
    assert pushing.runner.counters["failed_pushes"] == 1
    collector.status = 200
    pushing.tick()
    assert pushed_samples(collector) == scraped_samples(pushing)


def test_it_is_off_unless_it_is_switched_on():
    assert otlp_metrics.create({}) is None


def test_a_missing_library_is_named():
    code = (
        "import sys; sys.modules['opentelemetry.exporter.otlp.proto.http'] = None\n"
        "from flowtell_exporters.otlp_metrics import create\n"
        "create({'enabled': True})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ExtraMissing.__name__ in done.stderr
    assert 'pip install "flowtell-exporters[otlp]"' in done.stderr


def test_nothing_of_opentelemetry_is_imported_while_it_is_off():
    code = (
        "import sys; from flowtell_exporters.otlp_metrics import create; create({})\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


class TestOtlpMetrics(PluginContract):
    """Beside the plugin `prometheus`, whose tables are there; what the collector was sent last is what the world saw."""

    name = "otlp_metrics"

    @pytest.fixture(autouse=True)
    def _pushing_to(self, collector):
        self.settings = {"enabled": True, "endpoint": collector.url}
        self.collector = collector

    def factory(self):
        return otlp_metrics.create

    def harness(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        PluginHarness(prometheus.create, folder, name="prometheus").close()
        url = f"sqlite:///{folder}/flowtell.db"
        return PluginHarness(self.factory(), folder, name=self.name, settings=self.settings, store_url=url)


def test_without_who_counts_there_is_nothing_to_push(tmp_path, collector, caplog):
    """It says so, and no call of it counts as failed."""
    settings = {"enabled": True, "endpoint": collector.url}
    with PluginHarness(otlp_metrics.create, tmp_path, name="otlp_metrics", settings=settings) as harness:
        harness.tick()
        assert "'prometheus', which counts, is off" in caplog.text
        assert harness.runner.status().errors == 0
    assert collector.requests == []
