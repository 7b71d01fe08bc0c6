"""Log records of real runs, as a collector gets them: each names the trace and span it belongs to."""

from __future__ import annotations

from contextlib import suppress

import pytest

pytest.importorskip("opentelemetry.proto", reason="the extra flowtell-exporters[otlp] is not installed")

from tests.exporters.otlp_receiver import Receiver

from flowtell import flow, get_run_logger, task
from flowtell.events import FlowRunFinished, FlowRunStarted, LogRecorded, TaskRunFinished, TaskRunStarted
from flowtell.ids import new_id
from flowtell.plugin import RetryLater
from flowtell.testing import PluginContract, PluginHarness, recorder
from flowtell_exporters.otel import logs, traces

INFO, WARNING, ERROR = 9, 13, 17
RUNNING = "flowtell.run.running"


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def harness(tmp_path, receiver):
    settings = {"endpoint": f"{receiver.url}/v1/logs", "enabled": True}
    with PluginHarness(logs.create, tmp_path, name="otlp_logs", settings=settings, environment="prod") as made:
        yield made


def test_lines_and_exceptions_name_their_span(harness, receiver, tmp_path):
    """With Python's levels as OpenTelemetry's numbers; all three signals share the ids."""

    @task(retries=1)
    def fails():
        get_run_logger().warning("careful")
        raise ValueError("no")

    @flow
    def nightly():
        get_run_logger().info("here we go")
        fails()

    with recorder() as seen, suppress(ValueError):
        nightly()
    harness.feed(seen.events)
    (tmp_path / "traces").mkdir()
    settings = {"endpoint": f"{receiver.url}/v1/traces", "enabled": True}
    with PluginHarness(traces.create, tmp_path / "traces", name="otlp_traces", settings=settings) as spans:
        spans.feed(seen.events)
    run, inside = receiver.one("nightly"), receiver.named("fails")
    [outer] = [one for one in inside if "flowtell.attempt" not in one.attributes]
    told = [(one.severity_number, one.body.string_value, one.span) for one in receiver.records]
    assert told == [
        (INFO, "here we go", run.span),
        (WARNING, "careful", outer.span),
        (WARNING, "ValueError: no", outer.span),
        (WARNING, "careful", outer.span),
        (ERROR, "ValueError: no", outer.span),
        (ERROR, "ValueError: no", run.span),
    ]
    assert {one.trace for one in receiver.records} == {run.trace}
    last = receiver.records[-1].attributes
    assert (last["exception.type"], last["exception.message"]) == ("ValueError", "no")
    assert "raise ValueError" in last["exception.stacktrace"]
    assert receiver.records[1].attributes["cicd.pipeline.task.name"] == "fails"
    assert receiver.records[0].resource["service.name"] == "flowtell"


def test_what_runs_is_told_within_two_seconds_and_once(harness, receiver):
    """One that is over by then is not: its span tells of it. What has been told is not told again."""
    now = harness.clock()
    long, short = new_id(), new_id()
    harness.feed(
        [
            FlowRunStarted(id=new_id(), time=now, run=long, flow="nightly"),
            FlowRunStarted(id=new_id(), time=now, run=short, flow="quick"),
            FlowRunFinished(id=new_id(), time=now, run=short, flow="quick"),
        ]
    )
    harness.tick(0.5)
    assert not receiver.records
    harness.tick(1.0)
    [told] = receiver.records
    assert (told.event_name, told.body.string_value, told.trace, told.span) == (
        RUNNING, "nightly is running", long, long[-16:]
    )  # fmt: skip
    assert told.attributes["cicd.pipeline.run.state"] == "executing"
    harness.tick(60.0)
    assert len(receiver.records) == 1


def test_a_task_under_way_is_told_of_as_well(harness, receiver):
    """Under its own span, in its root's trace, which a caller may have begun."""
    now, run, inside = harness.clock(), new_id(), new_id()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    harness.feed(
        [
            FlowRunStarted(id=new_id(), time=now, run=run, flow="nightly", trace=trace),
            TaskRunStarted(id=new_id(), time=now, run=run, flow="nightly", task_run=inside, task="step"),
            TaskRunFinished(id=new_id(), time=now, run=run, flow="nightly", task_run=new_id(), task="step"),
        ]
    )
    harness.tick(1.5)
    assert {(one.body.string_value, one.trace, one.span) for one in receiver.records} == {
        ("nightly is running", trace, run[-16:]),
        ("step is running", trace, inside[-16:]),
    }


def test_a_collector_that_was_away_hears_of_it_later(harness, receiver):
    """Nobody is forgotten, and lines wait as well."""
    now = harness.clock()
    run = new_id()
    harness.feed([FlowRunStarted(id=new_id(), time=now, run=run, flow="nightly")])
    receiver.status = 503
    with pytest.raises(RetryLater):
        harness.tick(2.0)
    harness.append([LogRecorded(id=new_id(), time=now, run=run, flow="nightly", message="hello")])
    with pytest.raises(RetryLater):
        harness.deliver()
    receiver.status = 200
    harness.deliver()
    harness.tick(1.0)
    assert [one.body.string_value for one in receiver.records] == ["hello", "nightly is running"]


def test_of_a_trace_that_is_not_kept_no_trace_is_named(harness, receiver):
    """Its lines are sent, as the logs are asked for; they point nowhere."""
    run, now = new_id(), harness.clock()
    harness.feed(
        [
            FlowRunStarted(id=new_id(), time=now, run=run, flow="nightly", sampled=False),
            LogRecorded(id=new_id(), time=now, run=run, flow="nightly", message="hello"),
        ]
    )
    harness.tick(2.0)
    assert [(one.body.string_value, one.trace, one.flags) for one in receiver.records] == [("hello", "", 0)]


def test_a_line_outside_of_any_run(harness, receiver):
    """As a source may write one: it is in no trace."""
    harness.feed([LogRecorded(id=new_id(), time=5, level="noise", message="hello")])
    [record] = receiver.records
    assert (record.trace, record.severity_number, record.severity_text) == ("", INFO, "noise")


class TestContract(PluginContract):
    """The conformance kit, over a collector that takes everything."""

    name = "otlp_logs"

    @pytest.fixture(autouse=True)
    def _receiving(self, receiver):
        self.receiver = receiver

    @property
    def settings(self):
        return {"endpoint": f"{self.receiver.url}/v1/logs", "enabled": True}

    def factory(self):
        return logs.create

    def observe(self, harness):
        """Records that differ: what is delivered again is sent again."""
        return sorted({one.message.SerializeToString() for one in self.receiver.records if one.event_name != RUNNING})
