"""What traces cost: in the server, for each task run sent over a real socket; in the flow, where OpenTelemetry is loaded.

The server's figure is processor time of the plugin and of the log's reading, batches as its runner hands them over, to a
receiver in a process of its own that reads the official messages. Beside it OpenTelemetry's own way: as many spans of the
SDK through the SDK's OTLP exporter. Run: `python benchmarks/traces.py`.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from figure import Figure

RUNS, TASKS = 200, 50
FLOW = """
import sys, time
from flowtell import flow, task
if sys.argv[1] == "loaded":
    import opentelemetry.trace

@task
def step(number):
    return number

@flow
def run(count):
    for number in range(count):
        step(number)

def timed():
    began = time.perf_counter()
    run(2_000)
    return (time.perf_counter() - began) / 2_000 * 1e6

run(500)
print(min(timed() for _ in range(7)))
"""
RECEIVER = """
import sys
from tests.exporters.otlp_receiver import Receiver
made = Receiver()
print(made.url, flush=True)
sys.stdin.readline()
print(len({one.span for one in made.spans}), flush=True)
made.close()
"""


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    command = [sys.executable, "-c", RECEIVER]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.wait()


def history(runs: int) -> list[object]:
    """Flow runs of fifty task runs; every tenth task is retried once, every tenth task has ten upstream."""
    from flowtell import events as e
    from flowtell.ids import new_id

    made: list[object] = []
    for number in range(runs):
        run, base = new_id(), 1_700_000_000_000_000 + number * 1_000_000
        which = {"run": run, "flow": f"flow-{number % 20}", "environment": "prod"}
        made.append(e.FlowRunStarted(id=new_id(), time=base, trace=run, name=f"night {number}", tags=("etl",), **which))
        before: list[str] = []
        for place in range(TASKS):
            task_run, at = new_id(), base + place * 1_000
            task = {**which, "task_run": task_run, "task": f"task-{place % 12}"}
            upstream = tuple(e.UpstreamRun(task_run=one, argument="part") for one in before[-10:]) if place % 10 == 9 else ()
            made.append(e.TaskRunStarted(id=new_id(), time=at, upstream=upstream, **task))
            if place % 10 == 5:
                failure = e.Failure(type="ValueError", message="no")
                made.append(e.TaskRunRetrying(id=new_id(), time=at + 300, attempt=1, error=failure, **task))
                made.append(e.TaskRunStarted(id=new_id(), time=at + 400, attempt=2, **task))
            attempts = 2 if place % 10 == 5 else 1
            made.append(e.TaskRunFinished(id=new_id(), time=at + 900, duration=0.0009, attempts=attempts, **task))
            before.append(task_run)
        made.append(e.FlowRunFinished(id=new_id(), time=base + 900_000, duration=0.9, **which))
    return made


def ours(runs: int) -> tuple[float, float, int]:
    """Task runs a second of processor time and of wall time, and spans that came."""
    from flowtell.testing import PluginHarness
    from flowtell_exporters.otel import traces

    with receiver() as (url, process), tempfile.TemporaryDirectory(prefix="flowtell-bench-") as folder:
        settings = {"enabled": True, "endpoint": f"{url}/v1/traces"}
        with PluginHarness(traces.create, folder, name="otlp_traces", settings=settings) as harness:
            harness.append(history(runs))
            cpu, wall = time.process_time(), time.perf_counter()
            harness.deliver()
            spent, took = time.process_time() - cpu, time.perf_counter() - wall
        print(file=process.stdin, flush=True)
        assert process.stdout is not None
        spans = int(process.stdout.readline())
    return runs * TASKS / spent, runs * TASKS / took, spans


def theirs(runs: int) -> float:
    """The same number of spans with as many attributes by the SDK: made, batched and exported."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    with receiver() as (url, _):
        provider = TracerProvider()
        processor = BatchSpanProcessor(
            OTLPSpanExporter(f"{url}/v1/traces"), max_queue_size=10**6, max_export_batch_size=1_000
        )
        provider.add_span_processor(processor)
        tracer = provider.get_tracer("bench")
        attributes = {f"flowtell.attribute.{number}": "some value" for number in range(6)}
        cpu = time.process_time()
        for _ in range(runs * TASKS):
            tracer.start_span("task", attributes=attributes).end()
        provider.force_flush()
        spent = time.process_time() - cpu
        provider.shutdown()
    return runs * TASKS / spent


def flow_cost(state: str) -> float:
    """µs a task, the best of seven."""
    with tempfile.TemporaryDirectory(prefix="flowtell-bench-") as home:
        environment = {**os.environ, "FLOWTELL_HOME": home, "FLOWTELL_QUIET": "1"}
        done = subprocess.run(
            [sys.executable, "-c", FLOW, state], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
    return float(done.stdout)


def measure(quick: bool = False) -> list[Figure]:
    runs = RUNS if quick else 5 * RUNS
    per_core, per_second, spans = ours(runs)
    sdk = theirs(runs)
    pairs = [(flow_cost("without"), flow_cost("loaded")) for _ in range(2 if quick else 5)]
    more = statistics.median(loaded - without for without, loaded in pairs)
    bare = statistics.median(without for without, _ in pairs)
    note = f"{per_second:,.0f}/s of wall time, {spans:,} spans came; the SDK's own way: {sdk:,.0f} spans/s of processor time"
    return [
        Figure("task runs traced a second, one core", per_core, "/s", at_least=5_000, note=note),
        Figure("a task more with OpenTelemetry loaded", more, "µs", at_most=10, note=f"beside {bare:.1f} µs without"),
    ]


if __name__ == "__main__":
    for figure in measure(quick="--quick" in sys.argv):
        print(figure)
