"""The spans of real runs, as a collector gets them."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("opentelemetry.proto", reason="the extra flowtell-exporters[otlp] is not installed")

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SdkEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.semconv._incubating.attributes import cicd_attributes, code_attributes
from opentelemetry.trace import Link as SdkLink
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode
from sqlalchemy import select
from tests.exporters.otlp_receiver import Receiver, faults_of

from flowtell import Asset, flow, materialize, task
from flowtell.errors import ExtraMissing
from flowtell.events import (
    FlowRunFinished,
    FlowRunPaused,
    FlowRunResumed,
    FlowRunStarted,
    TaskRunFinished,
    TaskRunStarted,
    encode,
)
from flowtell.ids import new_id
from flowtell.plugin import RetryLater
from flowtell.testing import PluginContract, PluginHarness, recorder
from flowtell.trace_context import within
from flowtell.version import VERSION
from flowtell_exporters.otel import traces
from flowtell_exporters.otel.encoding import SCHEMA, request
from flowtell_exporters.otel.spans import ERROR, SERVER, Link, Span, SpanEvent
from flowtell_exporters.otel.tables import attempts, roots

INTERNAL, SERVER_KIND = 1, 2


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def open_plugin(tmp_path, receiver):
    """The plugin over an empty log, sending to the receiver."""
    made = []

    def opened(**settings):
        settings = {"endpoint": f"{receiver.url}/v1/traces", "enabled": True, **settings}
        made.append(PluginHarness(traces.create, tmp_path, name="otlp_traces", settings=settings, environment="prod"))
        return made[-1]

    yield opened
    for harness in made:
        harness.close()


def events_of(*calls):
    """What happens while these are called, whatever they raise."""
    with recorder() as seen:
        for call in calls:
            with suppress(Exception):
                call()
    return seen.events


def test_a_run_its_tasks_and_its_subflow_are_one_trace(open_plugin, receiver):
    """The trace id is the root's run id, a span id the last half of a run's; names are those of flows and tasks."""

    @task
    def extract(day):
        return day

    @flow
    def inner(day):
        extract(day)

    @flow(flow_run_name="night-{day}", tags=["etl"], version="3")
    def nightly(day):
        extract(day)
        inner(day)

    events = events_of(lambda: nightly("monday"))
    open_plugin(url="https://flowtell.example/").feed(events)
    started = {one.flow: one for one in events if isinstance(one, FlowRunStarted)}
    root, sub = receiver.one("nightly"), receiver.one("inner")
    assert not faults_of(receiver.spans)
    assert (root.trace, root.span, root.parent) == (started["nightly"].run, started["nightly"].run[-16:], "")
    assert (sub.trace, sub.parent, sub.kind) == (root.trace, root.span, SERVER_KIND)
    assert {one.parent for one in receiver.named("extract")} == {root.span, sub.span}
    assert {one.kind for one in receiver.named("extract")} == {INTERNAL}
    assert root.attributes["cicd.pipeline.name"] == "nightly"
    assert root.attributes["cicd.pipeline.result"] == "success"
    assert root.attributes["cicd.pipeline.run.url.full"] == f"https://flowtell.example/runs/{root.trace}"
    assert root.attributes["flowtell.run.name"] == "night-monday"
    assert root.attributes["flowtell.tags"] == ["etl"]
    assert root.attributes["code.function.name"].endswith("nightly")
    assert root.attributes["code.file.path"] == __file__
    assert root.resource["service.name"] == "flowtell"
    task_span = receiver.named("extract")[0]
    assert task_span.attributes["cicd.pipeline.task.name"] == "extract"
    assert task_span.attributes["cicd.pipeline.task.run.result"] == "success"
    assert "monday" not in {str(value) for one in receiver.spans for value in one.attributes.values()}


def test_attempts_are_spans_and_a_recovered_task_is_clean(open_plugin, receiver):
    """Three attempts, three spans below the task's own; only those that failed carry an error."""
    tries = []

    @task(retries=3)
    def flaky():
        tries.append(1)
        if len(tries) < 3:
            raise ValueError(f"no {len(tries)}")

    @flow
    def run():
        flaky()

    harness = open_plugin()
    harness.feed(events_of(run))
    outer, *inner = sorted(receiver.named("flaky"), key=lambda one: one.attributes.get("flowtell.attempt", 0))
    assert [one.attributes["flowtell.attempt"] for one in inner] == [1, 2, 3]
    assert {one.parent for one in inner} == {outer.span}
    assert outer.status.code == 0
    assert "error.type" not in outer.attributes
    assert [one.status.message for one in inner] == ["no 1", "no 2", ""]
    assert [one.attributes.get("error.type", "") for one in inner] == ["ValueError", "ValueError", ""]
    assert outer.attributes["flowtell.attempts"] == 3
    assert outer.start_time_unix_nano <= inner[0].start_time_unix_nano
    assert all(one.end_time_unix_nano <= other.start_time_unix_nano for one, other in pairwise(inner))
    assert not faults_of(receiver.spans)
    assert not harness.read(select(attempts))


def test_a_restart_forgets_no_attempt(open_plugin, receiver, tmp_path):
    """The server died after each event in turn: what is sent is the same to the byte."""

    @task(retries=2)
    def fails():
        raise ValueError("always")

    @flow(retries=1)
    def run():
        fails()

    events = events_of(run)
    harness = open_plugin()
    for event in events:
        harness.feed([event])
        harness.restart()
    piecemeal = sorted(one.message.SerializeToString() for one in receiver.spans)
    receiver.spans.clear()
    (tmp_path / "other").mkdir()
    settings = {"endpoint": f"{receiver.url}/v1/traces", "enabled": True}
    with PluginHarness(traces.create, tmp_path / "other", name="otlp_traces", settings=settings) as whole:
        whole.feed(events)
    assert sorted(one.message.SerializeToString() for one in receiver.spans) == piecemeal
    assert not faults_of(receiver.spans)
    assert len(piecemeal) == 11  # a run of two attempts, and in each a task of three


@pytest.mark.parametrize(
    ("state", "result", "status"),
    [("completed", "success", 0), ("cached", "success", 0), ("failed", "failure", 2), ("timed_out", "timeout", 2),
     ("crashed", "error", 2), ("cancelled", "cancellation", 0), ("skipped", "skip", 0)],
)  # fmt: skip
def test_how_ends_are_told(open_plugin, receiver, state, result, status):
    """A failure is the run's own, an error is the system's; nothing but these has a status."""
    run = new_id()
    open_plugin().feed(
        [
            FlowRunStarted(id=new_id(), time=1_000_000, run=run, flow="nightly"),
            FlowRunFinished(id=new_id(), time=3_000_000, run=run, flow="nightly", state=state),
        ]
    )
    [span] = receiver.spans
    assert (span.attributes["cicd.pipeline.result"], span.status.code) == (result, status)
    assert ("error.type" in span.attributes) == (status == 2)
    assert span.end_time_unix_nano - span.start_time_unix_nano == 2_000_000_000


def test_a_join_links_to_each_of_128_and_counts_the_rest(open_plugin, receiver):
    """Every mapped child has its span; the task that gathers them is linked to those whose results came in."""

    @task
    def embed(number):
        return [number]

    @task
    def gather(parts):
        return len(parts)

    @flow
    def fan(count):
        gather(embed.map(range(count)))

    open_plugin().feed(events_of(lambda: fan(150)))
    join, children = receiver.one("gather"), receiver.named("embed")
    assert len(children) == 150
    assert len(join.links) == 128
    assert join.dropped_links_count == 22
    assert {span for _, span, _ in join.links} < {one.span for one in children}
    assert {attributes["flowtell.argument"] for _, _, attributes in join.links} == {"parts"}


def test_a_reader_is_linked_to_the_run_that_made_what_it_reads(open_plugin, receiver):
    """Across runs, also after a restart; not to what was made in its own trace."""
    orders = Asset("s3://lake/orders")

    @materialize(orders)
    def make():
        return 1

    @materialize("s3://lake/report", asset_deps=[orders])
    def report():
        return 2

    @flow
    def writes():
        make()

    @flow
    def reads():
        report()

    harness = open_plugin()
    harness.feed(events_of(writes))
    harness.restart()
    harness.feed(events_of(reads))
    assert receiver.one("report").links == [
        (receiver.one("make").trace, receiver.one("make").span, {"flowtell.asset": "s3://lake/orders"})
    ]
    assert not receiver.one("make").links


def test_a_caller_has_the_run_as_its_child(open_plugin, receiver, monkeypatch):
    """`TRACEPARENT` names trace and parent, also when the server restarted before the run's end."""
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    monkeypatch.setenv("TRACEPARENT", f"00-{trace}-{parent}-01")

    @task
    def step():
        pass

    @flow
    def called():
        step()

    first, *rest = events_of(called)
    harness = open_plugin()
    while not isinstance(first, FlowRunStarted):
        harness.feed([first])
        first, *rest = rest
    harness.feed([first])
    harness.restart()
    harness.feed(rest)
    assert not faults_of(receiver.spans, outside={parent})
    assert receiver.one("called").parent == parent
    assert receiver.one("called").flags & 0x200  # the parent is another process's
    assert {one.trace for one in receiver.spans} == {trace}


def test_a_trace_that_is_not_kept_is_not_sent(open_plugin, receiver, monkeypatch):
    """Nor is any task of it after a restart; other runs are."""
    monkeypatch.setenv("TRACEPARENT", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")

    @task
    def step():
        pass

    @flow
    def called():
        step()

    events = events_of(called)
    monkeypatch.delenv("TRACEPARENT")
    harness = open_plugin()
    middle = next(place for place, one in enumerate(events) if isinstance(one, TaskRunStarted))
    harness.feed(events[:middle])
    assert len(harness.read(select(roots))) == 1
    harness.restart()
    harness.feed(events[middle:])
    harness.feed(events_of(called))
    assert len({one.trace for one in receiver.spans}) == 1
    assert len(receiver.spans) == 2


def test_a_ratio_keeps_whole_traces(open_plugin, receiver, monkeypatch):
    """0.1 over 20,000 runs: a tenth of them, each with all its tasks."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.1")

    def run_events(number):
        run, one = new_id(), new_id()
        moment = {"time": number, "run": run, "flow": "nightly"}
        yield FlowRunStarted(id=new_id(), **moment)
        yield TaskRunStarted(id=new_id(), task_run=one, task="step", **moment)
        yield TaskRunFinished(id=new_id(), task_run=one, task="step", **moment)
        yield FlowRunFinished(id=new_id(), **moment)

    harness = open_plugin()
    runs = []
    for part in range(10):
        events = [event for number in range(2_000) for event in run_events(part * 2_000 + number + 1)]
        runs += [event.run for event in events if isinstance(event, FlowRunStarted)]
        harness.feed(events)
    assert {one.trace for one in receiver.spans} == {run for run in runs if within(run, 0.1)}
    assert 0.09 < len(receiver.named("nightly")) / 20_000 < 0.11
    assert len(receiver.named("step")) == len(receiver.named("nightly"))


def test_hours_of_pause_break_nothing(open_plugin, receiver):
    """The span is sent at the run's end, and is as long as the run was."""
    run, began, hour = new_id(), 1_700_000_000_000_000, 3_600_000_000
    harness = open_plugin()
    harness.feed([FlowRunStarted(id=new_id(), time=began, run=run, flow="review")])
    harness.feed([FlowRunPaused(id=new_id(), time=began + hour, run=run, flow="review", key="ok")])
    harness.restart()
    harness.feed([FlowRunResumed(id=new_id(), time=began + 9 * hour, run=run, flow="review", key="ok")])
    harness.feed([FlowRunFinished(id=new_id(), time=began + 10 * hour, run=run, flow="review", duration=36_000.0)])
    [span] = receiver.spans
    assert span.end_time_unix_nano - span.start_time_unix_nano == 36_000 * 10**9


def test_a_run_of_which_the_start_is_unknown(open_plugin, receiver):
    """It ends when it ended and began as long before as it says it took, or at that moment."""
    first, second = new_id(), new_id()
    open_plugin().feed(
        [
            FlowRunFinished(id=new_id(), time=5_000_000, run=first, flow="a", duration=2.0),
            FlowRunFinished(id=new_id(), time=5_000_000, run=second, flow="b"),
        ]
    )
    assert receiver.one("a").start_time_unix_nano == 3_000_000_000
    assert receiver.one("b").start_time_unix_nano == receiver.one("b").end_time_unix_nano == 5_000_000_000


def test_a_later_contrary_end_is_no_second_span(open_plugin, receiver):
    """The first end in the log decides."""
    run = new_id()
    harness = open_plugin()
    harness.feed([FlowRunFinished(id=new_id(), time=5, run=run, flow="a", state="crashed")])
    harness.feed([FlowRunFinished(id=new_id(), time=6, run=run, flow="a", state="completed")])
    assert [one.attributes["cicd.pipeline.result"] for one in receiver.spans] == ["error"]


def test_names_are_few_however_runs_are_named(open_plugin, receiver):
    """A thousand generated run names: two span names."""

    @task(task_run_name="task-{number}")
    def step(number):
        pass

    @flow(flow_run_name="run-{number}")
    def run(number):
        step(number)

    open_plugin().feed(events_of(*(lambda number=number: run(number) for number in range(1_000))))
    assert {one.name for one in receiver.spans} == {"run", "step"}
    assert len(receiver.spans) == 2_000


def _deprecated():
    """Attributes that OpenTelemetry's own list of `code.*` calls deprecated."""
    text = Path(code_attributes.__file__).read_text()
    found = set(re.findall(r'= "(code[^"]*)"\n"""\nDeprecated: ', text))
    assert {"code.function", "code.filepath", "code.lineno"} <= found
    return found


def test_random_runs_make_whole_traces(open_plugin, receiver):
    """Retries, maps, subflows and failures of every kind, delivered in pieces, with restarts between."""
    trace_random_runs(open_plugin, receiver, 150)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_random_runs_make_whole_traces(open_plugin, receiver, rounds):
    count = trace_random_runs(open_plugin, receiver, rounds(full=4_500, ci=450))
    assert count > rounds(full=10_000, ci=1_000)
    print(f"{count:,} flow runs, {len(receiver.spans):,} spans")


def trace_random_runs(open_plugin, receiver, calls):
    """How many flow runs there were."""
    dice = random.Random(11)

    @task(retries=2)
    def maybe(number):
        if dice.random() < 0.3:
            raise ValueError(number)
        return [number]

    @task
    async def waits(value):
        await asyncio.sleep(0)

    @flow
    def inner(depth):
        asyncio.run(asyncio.wait_for(waits(depth), 10))
        if depth:
            inner(depth - 1)
        maybe(depth)

    @flow(retries=1)
    def outer(number):
        futures = maybe.map(range(dice.randrange(4))) if number % 3 else []
        inner(dice.randrange(3))
        return [future.result() for future in futures]

    events = events_of(*(lambda number=number: outer(number) for number in range(calls)))
    harness = open_plugin()
    while events:
        size = dice.randrange(1, max(400, len(events) // 50))
        harness.feed(events[:size])
        events = events[size:]
        harness.restart()
    assert not faults_of(receiver.spans)
    ended = [one for one in harness.log("flow_run.finished", "task_run.finished") if not one.contrary]
    outer_spans = [one for one in receiver.spans if "flowtell.attempt" not in one.attributes]
    assert sorted(one.span for one in outer_spans) == sorted((one.task_run or one.run)[-16:] for one in ended)
    assert {one.name for one in receiver.spans} == {"outer", "inner", "maybe", "waits"}
    known = {value for name, value in vars(cicd_attributes).items() if name.isupper()}
    used = {name for one in receiver.spans for name in one.attributes}
    assert {name for name in used if name.startswith("cicd.")} <= known
    assert not used & _deprecated()
    return sum(one.type == "flow_run.finished" for one in ended)


# --- a collector that misbehaves ----------------------------------------------------------------------------------


def test_a_collector_that_is_away_is_waited_for(open_plugin, receiver):
    """Nothing is lost, and nothing is sent twice when half of a batch had been taken."""
    runs = [new_id() for _ in range(2_500)]
    harness = open_plugin()
    harness.append(FlowRunFinished(id=new_id(), time=5, run=run, flow="a") for run in runs)
    receiver.status = 503
    with pytest.raises(RetryLater) as raised:
        harness.deliver()
    assert raised.value.seconds == 1.0
    with pytest.raises(RetryLater) as raised:
        harness.deliver()
    assert raised.value.seconds == 2.0
    receiver.status = 200
    harness.deliver()
    assert sorted(one.trace for one in receiver.spans) == sorted(runs)


def test_what_was_taken_is_not_sent_again(open_plugin, receiver):
    """The second part of a batch is refused for a while: the first is not sent with it again."""
    harness = open_plugin()
    harness.append(FlowRunFinished(id=new_id(), time=5, run=new_id(), flow="a") for _ in range(1_500))
    taken = receiver.take

    def once(path, body):
        taken(path, body)
        receiver.status = 503

    receiver.take = once
    with pytest.raises(RetryLater):
        harness.deliver()
    assert len(receiver.spans) == 1_000
    receiver.take, receiver.status = taken, 200
    harness.deliver()
    assert len(receiver.spans) == 1_500
    assert not faults_of(receiver.spans)


def test_a_collector_says_when_to_come_again(open_plugin, receiver):
    """`Retry-After` in seconds."""
    harness = open_plugin()
    harness.append([FlowRunFinished(id=new_id(), time=5, run=new_id(), flow="a")])
    receiver.status, receiver.headers = 429, {"Retry-After": "7"}
    with pytest.raises(RetryLater) as raised:
        harness.deliver()
    assert raised.value.seconds == 7.0


def test_what_cannot_wait_is_dropped_and_counted(open_plugin, receiver):
    """With `when_down = "drop"` the cursor goes on, and a collector that is away is not asked each time."""
    harness = open_plugin(when_down="drop")
    receiver.status = 503
    for _ in range(5):
        harness.feed([FlowRunFinished(id=new_id(), time=5, run=new_id(), flow="a")])
    assert receiver.requests == 1
    assert harness.runner.status().dropped == 5


def test_what_is_refused_for_ever_holds_nothing_up(open_plugin, receiver):
    """400 to what it cannot read, and a success that rejects a part: counted, and the next batch is sent."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    harness = open_plugin()
    receiver.status = 400
    harness.feed([FlowRunFinished(id=new_id(), time=5, run=new_id(), flow="a") for _ in range(3)])
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 2
    receiver.status, receiver.answer = 200, answer.SerializeToString()
    harness.feed([FlowRunFinished(id=new_id(), time=5, run=new_id(), flow="a") for _ in range(3)])
    assert harness.runner.status().dropped == 5


def test_a_batch_that_is_too_large_goes_in_parts(open_plugin, receiver):
    """A collector that takes 20 kB at once gets all of them all the same."""
    receiver.limit = 20_000
    harness = open_plugin()
    harness.feed([FlowRunFinished(id=new_id(), time=5, run=new_id(), flow="a") for _ in range(300)])
    assert len(receiver.spans) == 300
    assert harness.runner.status().dropped == 0


def test_a_collector_that_hangs_is_given_up(open_plugin, receiver, monkeypatch):
    """After the time-out that the environment names."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "200")
    harness = open_plugin()
    harness.append([FlowRunFinished(id=new_id(), time=5, run=new_id(), flow="a")])
    receiver.hangs.clear()
    began = time.monotonic()
    with pytest.raises(RetryLater, match="ReadTimeout"):
        harness.deliver()
    assert time.monotonic() - began < 5
    receiver.hangs.set()


# --- configured by the environment --------------------------------------------------------------------------------


def test_off_unless_the_environment_names_a_collector(monkeypatch):
    """And off where it is switched off; the configuration decides over both."""
    assert traces.create({}) is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    assert traces.create({}) is not None
    assert traces.create({"enabled": False}) is None
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert traces.create({}) is None
    monkeypatch.delenv("OTEL_TRACES_EXPORTER")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert traces.create({}) is None


def test_headers_compression_and_resource_of_the_environment(open_plugin, receiver, monkeypatch):
    """The signal's own variable goes before the one for all."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc,x-team=data")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "warehouse")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=data")
    open_plugin().feed([FlowRunFinished(id=new_id(), time=5, run=new_id(), flow="a", environment="prod")])
    [heard] = receiver.heard
    assert (heard["authorization"], heard["x-team"], heard["content-encoding"]) == ("Basic abc", "data", "gzip")
    [span] = receiver.spans
    assert span.resource["service.name"] == "warehouse"
    assert span.resource["team"] == "data"
    assert span.resource["deployment.environment.name"] == "prod"


def test_exceptions_stand_in_spans_where_that_is_asked_for(open_plugin, receiver, monkeypatch):
    """Else in log records alone."""

    @task(retries=1)
    def fails():
        raise ValueError("no")

    monkeypatch.setenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "logs/dup")
    open_plugin().feed(events_of(fails))
    told = {one.attributes.get("flowtell.attempt", 0): [event.name for event in one.events] for one in receiver.spans}
    assert told == {0: [], 1: ["exception"], 2: ["exception"]}
    receiver.spans.clear()
    monkeypatch.delenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN")
    open_plugin().feed(events_of(fails))
    assert all(not one.events for one in receiver.spans)


def test_over_grpc(tmp_path, monkeypatch):
    """The same spans by the official service, where `OTEL_EXPORTER_OTLP_PROTOCOL` asks for it."""
    grpc = pytest.importorskip("grpc", reason="the extra flowtell-exporters[otlp-grpc] is not installed")
    from concurrent.futures import ThreadPoolExecutor

    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    got = []

    class Service(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request, context):  # noqa: N802  # the official name
            got.append((request, dict(context.invocation_metadata())))
            if len(got) == 1:
                context.abort(grpc.StatusCode.UNAVAILABLE, "on its way up")
            return ExportTraceServiceResponse()

    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Service(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=data")
        with PluginHarness(traces.create, tmp_path, name="otlp_traces") as harness:
            harness.append([FlowRunFinished(id=new_id(), time=5, run=new_id(), flow="a")])
            with pytest.raises(RetryLater, match="on its way up"):
                harness.deliver()
            harness.deliver()
        server.stop(None).wait()
    last, metadata = got[-1]
    assert last.resource_spans[0].scope_spans[0].spans[0].name == "a"
    assert metadata["x-team"] == "data"


def test_without_the_extra_it_says_what_to_install(tmp_path):
    """Also: the plugin's module brings none of it."""
    program = """
import sys
for name in ("opentelemetry.proto", "opentelemetry.sdk", "urllib3"):
    sys.modules[name] = None
from flowtell_exporters.otel import logs, traces
for module in (traces, logs):
    assert module.create({}) is None
    try:
        module.create({"enabled": True})
    except Exception as error:
        print(type(error).__name__, error)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.count(ExtraMissing.__name__) == 2
    assert found.stdout.count("flowtell-exporters[otlp]") == 2


# --- the encoding -------------------------------------------------------------------------------------------------


def test_our_encoding_decodes_to_what_the_sdk_makes():
    """The same span, built by us and by the SDK's objects and encoder: equal when decoded."""
    attributes = {"text": "ä", "truth": True, "whole": 3, "broken": 0.5, "list": ["a", "b"]}
    ours = Span(
        trace="4bf92f3577b34da6a3ce929d0e0e4736", id="00f067aa0ba902b7", parent="00f067aa0ba902b8", name="nightly",
        kind=SERVER, start=1_700_000_000_000_000, end=1_700_000_001_000_000, attributes=attributes, status=ERROR,
        message="no", links=[Link("4bf92f3577b34da6a3ce929d0e0e4737", "00f067aa0ba902b9", {"a": "b"})], dropped_links=4,
        events=[SpanEvent("exception", 1_700_000_000_500_000, {"exception.type": "ValueError"})],
    )  # fmt: skip

    def context(trace, span):
        return SpanContext(int(trace, 16), int(span, 16), is_remote=False)

    theirs = ReadableSpan(
        name="nightly",
        context=context(ours.trace, ours.id),
        parent=context(ours.trace, ours.parent),
        kind=SpanKind.SERVER,
        resource=Resource({"service.name": "flowtell"}, SCHEMA),
        instrumentation_scope=InstrumentationScope("flowtell", VERSION, SCHEMA),
        attributes=attributes,
        events=[SdkEvent("exception", {"exception.type": "ValueError"}, 1_700_000_000_500_000_000)],
        links=[SdkLink(context("4bf92f3577b34da6a3ce929d0e0e4737", "00f067aa0ba902b9"), {"a": "b"})],
        status=Status(StatusCode.ERROR, "no"),
        start_time=1_700_000_000_000_000_000,
        end_time=1_700_000_001_000_000_000,
    )
    expected = encode_spans([theirs])
    expected.resource_spans[0].scope_spans[0].spans[0].dropped_links_count = 4  # it counts them as they are added
    assert ExportTraceServiceRequest.FromString(request([ours], {"service.name": "flowtell"})) == expected


class TestContract(PluginContract):
    """The conformance kit, over a collector that takes everything: what it has is compared."""

    name = "otlp_traces"

    @pytest.fixture(autouse=True)
    def _receiving(self, receiver):
        self.receiver = receiver

    @property
    def settings(self):
        return {"endpoint": f"{self.receiver.url}/v1/traces", "enabled": True}

    def factory(self):
        return traces.create

    def observe(self, harness):
        """Spans by their ids: a batch that is delivered again is sent again, and a store keeps one of each."""
        return sorted({one.message.SerializeToString() for one in self.receiver.spans}), harness.rows()[
            "otlp_traces_attempts"
        ]


def test_no_value_leaves(open_plugin, receiver):
    """What a flow was called with is in no message."""

    @task
    def step(day):
        return day

    @flow
    def run(day):
        step(day)

    open_plugin().feed(events_of(lambda: run("hunter2")))
    assert receiver.bodies
    assert not any(b"hunter2" in body for body in receiver.bodies)
    assert any(b"hunter2" in encode(event) for event in events_of(lambda: run("hunter2")))
