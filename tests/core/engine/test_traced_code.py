"""Spans of a user's own nest under the run around them, wherever the code of that run goes."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import urllib3
from opentelemetry import trace
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic_ai import Agent
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.test import TestModel

from flowtell import bind, current_run, flow, task, trace_environment
from flowtell.events import FlowRunStarted, TaskRunStarted
from flowtell.testing import recorder
from flowtell.trace_context import is_kept, within


class Spans:
    """What a user's own provider has recorded."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = self.provider.get_tracer("mine")

    def parents(self) -> dict[str, str]:
        """By name, the span that each is a child of."""
        return {one.name: f"{one.parent.span_id:016x}" if one.parent else "" for one in self._kept.get_finished_spans()}

    def traces(self) -> set[str]:
        return {f"{_context(one).trace_id:032x}" for one in self._kept.get_finished_spans()}


def _context(span: ReadableSpan) -> trace.SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


@pytest.fixture
def spans() -> Iterator[Spans]:
    made = Spans()
    yield made
    made.provider.shutdown()


def here() -> str:
    """The span id of the run around the caller."""
    run = current_run()
    assert run is not None
    return run.id[-16:]


class Noted:
    """Spans that a run's code begins, and the run that each should be a child of."""

    def __init__(self, spans: Spans) -> None:
        self._tracer = spans.tracer
        self.expected: dict[str, str] = {}

    def span(self, name: str) -> None:
        self.expected[name] = here()
        with self._tracer.start_as_current_span(name):
            pass


def test_in_plain_tasks_and_in_the_flow_around_them(spans: Spans) -> None:
    """Also between the steps of a generator, in every attempt, and in the threads of `submit` and `map`."""
    noted = Noted(spans)

    @task
    def plain(name: str) -> None:
        noted.span(name)

    @task(retries=1)
    def flaky() -> None:
        run = current_run()
        assert run is not None
        noted.span(f"attempt {run.attempt}")
        if run.attempt == 1:
            raise ValueError("once")

    @task
    def generator() -> Iterator[int]:
        noted.span("step 1")
        yield 1
        noted.span("step 2")

    @flow
    def outer() -> None:
        plain("called")
        noted.span("after a task")
        for _ in generator():
            noted.span("between steps")
        plain.submit("submitted").result()
        plain.map([f"mapped {number}" for number in range(3)]).result()
        flaky()
        noted.span("after all")

    with recorder() as seen:
        outer()
    assert spans.parents() == noted.expected
    assert len(noted.expected) == 12
    assert spans.traces() == {seen.of(FlowRunStarted)[0].run}


def test_in_async_tasks_of_a_subflow(spans: Spans) -> None:
    """Beside each other on one loop, and between the steps of an async generator; in the trace of the root."""
    noted = Noted(spans)

    @task
    async def coroutine(name: str) -> None:
        await asyncio.sleep(0)
        noted.span(name)

    @task
    async def stream() -> AsyncIterator[int]:
        noted.span("step 1")
        yield 1
        noted.span("step 2")

    @flow
    async def inner() -> None:
        await asyncio.gather(coroutine("first"), coroutine("second"))
        async for _ in stream():
            noted.span("between steps")
        noted.span("the flow's own")

    @flow
    def outer() -> None:
        asyncio.run(inner())
        noted.span("after it")

    with recorder() as seen:
        outer()
    assert spans.parents() == noted.expected
    assert len(noted.expected) == 7
    assert spans.traces() == {seen.of(FlowRunStarted)[0].run}


def test_outside_of_a_run_nothing_is_left_of_it(spans: Spans) -> None:
    """A flow that failed, and one that was called inside a span of the user's own."""

    @flow
    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails()
    assert not trace.get_current_span().get_span_context().is_valid
    with spans.tracer.start_as_current_span("mine") as mine:
        with pytest.raises(ValueError, match="no"):
            fails()
        assert trace.get_current_span() is mine


def test_a_flow_called_in_a_span_is_its_child(spans: Spans) -> None:
    """Its start names trace and parent; a caller that is not sampled is obeyed."""

    @flow
    def called() -> None:
        with spans.tracer.start_as_current_span("inside"):
            pass

    with recorder() as seen, spans.tracer.start_as_current_span("mine") as mine:
        called()
    [started] = seen.of(FlowRunStarted)
    context = mine.get_span_context()
    assert started.trace == f"{context.trace_id:032x}"
    assert started.parent_span == f"{context.span_id:016x}"
    assert started.sampled
    assert spans.traces() == {started.trace}


def test_a_caller_that_is_not_sampled(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run says so, and the user's own spans are not recorded either."""
    monkeypatch.setenv("TRACEPARENT", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")

    @flow
    def called() -> None:
        with spans.tracer.start_as_current_span("inside"):
            pass

    with recorder() as seen:
        called()
    assert not seen.of(FlowRunStarted)[0].sampled
    assert not spans.parents()


def test_a_ratio_keeps_whole_traces(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2,000 runs about a tenth, by the last 56 bits of their ids, and the user's spans with them."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.1")

    @task
    def step() -> None:
        with spans.tracer.start_as_current_span("inside"):
            pass

    @flow
    def run() -> None:
        step()

    with recorder() as seen:
        for _ in range(2_000):
            run()
    kept = {one.run for one in seen.of(FlowRunStarted) if one.sampled}
    assert 120 < len(kept) < 280
    assert kept == {one.run for one in seen.of(FlowRunStarted) if within(one.run, 0.1)}
    assert spans.traces() == kept


@pytest.mark.parametrize(
    ("sampler", "argument", "kept"),
    [("", "", True), ("always_off", "", False), ("traceidratio", "nonsense", True), ("traceidratio", "0", False),
     ("parentbased_always_on", "", True), ("parentbased_always_off", "", False)],
)  # fmt: skip
def test_samplers(monkeypatch: pytest.MonkeyPatch, sampler: str, argument: str, kept: bool) -> None:
    """`OTEL_TRACES_SAMPLER` and its argument as OpenTelemetry has them; nonsense keeps all."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    assert is_kept("0" * 18 + "f" * 14) is kept


def test_in_threads_and_pools_of_ones_own(spans: Spans) -> None:
    """By `bind`."""
    expected: dict[str, str] = {}

    @task
    def spreads() -> None:
        def work(name: str) -> None:
            expected[name] = here()
            with spans.tracer.start_as_current_span(name):
                pass

        thread = threading.Thread(target=bind(work), args=("thread",))
        thread.start()
        thread.join()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(bind(work), ["one", "two"]))

    spreads()
    assert spans.parents() == expected
    assert len(expected) == 3


def _in_a_process() -> str:
    return trace_environment({}).get("TRACEPARENT", "")


def test_in_a_forked_process(spans: Spans) -> None:
    """A pool that forks inside a task carries the run with it."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system cannot fork")

    @task
    def forks() -> tuple[str, str]:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.write(writer, _in_a_process().encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            return pipe.read(), here()

    header, span = forks()
    assert header.split("-")[2] == span


def test_a_child_process_finds_the_run_in_its_environment() -> None:
    """In a copy: this process's own stays as it is. A flow in the child is in the same trace, under the task."""
    program = """
import json
from flowtell import flow
from flowtell.events import FlowRunStarted
from flowtell.testing import recorder
@flow
def child(): pass
with recorder() as seen:
    child()
[one] = seen.of(FlowRunStarted)
print(json.dumps([one.trace, one.parent_span]))
"""

    @task
    def parent() -> Any:
        found = subprocess.run(
            [sys.executable, "-c", program], env=trace_environment(), capture_output=True, text=True, check=True
        )
        return json.loads(found.stdout)

    @flow
    def outer() -> Any:
        return parent()

    with recorder() as seen:
        trace_of_child, span_of_parent = outer()
    assert "TRACEPARENT" not in os.environ
    assert trace_of_child == seen.of(FlowRunStarted)[0].run
    assert span_of_parent == seen.of(TaskRunStarted)[0].task_run[-16:]


def test_a_plain_copy_outside_of_any_run() -> None:
    """And of the environment that is given, if one is."""
    assert trace_environment({"PATH": "/bin"}) == {"PATH": "/bin"}


def test_an_instrumented_http_client(spans: Spans) -> None:
    """urllib3 under OpenTelemetry's instrumentation: its span is the task's child, and the server is told the trace."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers.get("traceparent", ""))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    instrumentor = URLLib3Instrumentor()
    instrumentor.instrument(tracer_provider=spans.provider)
    try:

        @task
        def fetch() -> str:
            with urllib3.PoolManager() as pool:
                pool.request("GET", f"http://127.0.0.1:{server.server_port}/", retries=False)
            return here()

        span = fetch()
    finally:
        instrumentor.uninstrument()
        server.shutdown()
        server.server_close()
        thread.join()
    assert spans.parents() == {"GET": span}
    assert heard[0].split("-")[1] == next(iter(spans.traces()))


def test_an_agent_of_pydantic_ai(spans: Spans) -> None:
    """With the library's own test model and instrumentation, in an async task."""
    agent = Agent(TestModel(custom_output_text="fine"))
    agent.instrument = InstrumentationSettings(tracer_provider=spans.provider)

    @task
    async def ask() -> tuple[str, str]:
        return (await agent.run("how are you?")).output, here()

    answer, span = asyncio.run(ask())
    assert answer == "fine"
    parents = spans.parents()
    assert span in parents.values()
    assert len(spans.traces()) == 1


def test_a_process_that_is_asked_for_traces_loads_opentelemetry() -> None:
    """So that what a task imports later finds its span; another process does not pay for it."""
    program = """
import sys
from flowtell import flow, task
@task
def step():
    from opentelemetry import trace
    return trace.get_current_span().get_span_context().is_valid
@flow
def run():
    return step()
loaded = "opentelemetry" in sys.modules
print(loaded, run())
"""
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "True"]
