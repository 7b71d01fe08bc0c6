"""Scrapes of a company's page while 10,000 events a second flow into the server.

The company: 350 flows of 12 tasks in two environments, half of them scheduled in one. A server with every plugin but the
pages, a process that writes, and this one that scrapes over HTTP twice a second, as Prometheus does, packed. The peer is the
client library's rendering of the same samples, in processor time; ours is that of a scrape that comes after 15 seconds of
such a load. Run: `python benchmarks/metrics_company.py`.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator

from figure import Figure
from prometheus_client import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_handle import Parsed, best_of

from flowtell import events as e
from flowtell.ids import new_id
from flowtell.source.writing import SourceJournal
from flowtell.store import open_store
from flowtell_exporters.exposition import page
from flowtell_exporters.kept_text import KeptText

FLOWS, TASKS, ENVIRONMENTS = 350, 12, ("prod", "staging")
PER_SECOND, PER_WRITE = 10_000, 500
EVERY_SECONDS, APART_SECONDS = 0.5, 15.0

_SERVER = """
from flowtell import config
from flowtell.server.app import run_server
run_server(config.load({"plugins.disable": "dashboard"}), announce=lambda url: print(url, flush=True))
"""


# --- what flows ---------------------------------------------------------------------------------------------------


def company() -> Iterator[list[e.Event]]:
    """What all of it has done once: declarations, and a run of each flow in each environment."""
    for environment in ENVIRONMENTS:
        for number in range(FLOWS):
            scheduled = number % 2 == 0 and environment == "prod"
            common = {"flow": f"flow-{number}", "environment": environment}
            if scheduled:
                common["deployment"] = "nightly"
                yield [_new(e.DeploymentDeclared, **common)]
            yield [
                _new(e.FlowDeclared, **{**common, "deployment": ""}, owners=("data",), version="1"),
                *a_run(common, number),
            ]
            if scheduled:
                ahead = time.time_ns() // 1000 + 3_600_000_000
                yield [_new(e.FlowRunScheduled, **common, run=new_id(), due=ahead)]


def a_run(common: dict[str, str], number: int) -> list[e.Event]:
    """26 events: one task in twenty is tried again, one run in twenty fails."""
    run, now = new_id(), time.time_ns() // 1000
    due = {"due": now - 2_000_000} if common.get("deployment") else {}
    made: list[e.Event] = [_new(e.FlowRunStarted, **common, run=run, trace=run, **due)]
    for task in range(TASKS):
        where = {**common, "run": run, "task": f"task-{task}", "task_run": new_id()}
        made.append(_new(e.TaskRunStarted, **where))
        if (number + task) % 20 == 0:
            made.append(_new(e.TaskRunRetrying, **where))
        state = "failed" if (number + task) % 40 == 0 else "completed"
        made.append(_new(e.TaskRunFinished, **where, state=state, duration=1.5))
    state = "failed" if number % 20 == 0 else "completed"
    return [*made, _new(e.FlowRunFinished, **common, run=run, state=state, duration=12.5)]


def _new(kind: type[e.Event], **fields: object) -> e.Event:
    return kind(id=new_id(), time=time.time_ns() // 1000, **fields)  # type: ignore[arg-type]


def write(home: str, seconds: float) -> None:
    """The writing process: the rate by the clock, at random over all flows."""
    journal, draw = SourceJournal(home, "load"), random.Random(7)
    began, written, waiting = time.monotonic(), 0, list[e.Event]()
    while (passed := time.monotonic() - began) < seconds:
        if written > passed * PER_SECOND:
            time.sleep(0.005)
            continue
        while len(waiting) < PER_WRITE:
            number = draw.randrange(FLOWS)
            waiting += a_run({"flow": f"flow-{number}", "environment": draw.choice(ENVIRONMENTS)}, number)
        journal.write(waiting)
        written, waiting = written + len(waiting), []
    journal.close()
    print(written)


# --- the measuring ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _server(home: str) -> Iterator[str]:
    environment = {**os.environ, "FLOWTELL_HOME": home, "FLOWTELL_SERVER__PORT": "0"}
    process = subprocess.Popen([sys.executable, "-c", _SERVER], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(30)


def scrape(url: str) -> str:
    accept = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/metrics", headers=accept), timeout=30) as answer:
        return gzip.decompress(answer.read()).decode()


def events_counted(text: str) -> int:
    return sum(int(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith("flowtell_events_total{"))


def measure(quick: bool = False) -> list[Figure]:
    seconds = 20.0 if quick else 90.0
    with tempfile.TemporaryDirectory(prefix="flowtell-bench-") as home, _server(home) as url:
        journal = SourceJournal(home, "company")
        for events in company():
            journal.write(events)
        journal.close()
        _settle(url)
        command = [sys.executable, __file__, "--write", home, str(seconds)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        before, began, waits = events_counted(scrape(url)), time.monotonic(), list[float]()
        kept, ours = _Kept(home), list[float]()
        while time.monotonic() - began < seconds:
            started = time.perf_counter()
            text = scrape(url)
            waits.append(time.perf_counter() - started)
            if time.monotonic() - began > APART_SECONDS * (len(ours) + 1):
                ours.append(kept.seconds())
            time.sleep(EVERY_SECONDS)
        rate = (events_counted(text) - before) / (time.monotonic() - began)
        written = int(writer.communicate()[0]) / seconds
        kept.close()
    samples = sum(not line.startswith("#") for line in text.splitlines())
    parsed = Parsed("")
    parsed.families = list(text_string_to_metric_families(text))
    peer = best_of(3, lambda: generate_latest(parsed))  # type: ignore[arg-type]
    p99 = statistics.quantiles(waits, n=100)[98] * 1000
    flowing = f"{written:,.0f} events a second written, {rate:,.0f} counted, {len(waits)} scrapes"
    note = f"{statistics.median(ours) * 1e3:.0f} ms after {APART_SECONDS:g} s, client library {peer * 1e3:.0f} ms"
    return [
        Figure("metrics of a company: samples", samples, "samples", at_most=50_000),
        Figure("metrics of a company: events a second", rate, "1/s", at_least=0.95 * written, note=flowing),
        Figure(
            "metrics of a company: scrape p99", p99, "ms", at_most=250, note=f"median {statistics.median(waits) * 1e3:.0f}"
        ),
        Figure("metrics of a company: scrape", statistics.median(ours) / peer, "ratio", at_most=1 / 3, note=note),
    ]


class _Kept:
    """A page over the server's store, in this process so that its processor time can be told."""

    def __init__(self, home: str) -> None:
        self._store = open_store(f"sqlite:///{home}/flowtell.db", read_only=True)
        self._text = KeptText(self._store.read, exemplars=True)
        self.seconds()

    def seconds(self) -> float:
        began = time.process_time()
        self._text.refresh()
        page(self._text.texts(), openmetrics=True)
        return time.process_time() - began

    def close(self) -> None:
        self._store.close()


def _settle(url: str) -> None:
    """Until all of the company is counted."""
    counted, last = events_counted(scrape(url)), -1
    while counted != last:
        time.sleep(2.0)
        counted, last = events_counted(scrape(url)), counted


if __name__ == "__main__":
    if "--write" in sys.argv:
        write(sys.argv[2], float(sys.argv[3]))
    else:
        for figure in measure(quick="--quick" in sys.argv):
            print(figure)
