"""What a flow feels of a collector that takes every request and never answers: its wall time beside one that answers.

Two servers run at once, each with a collector of its own in a process of its own; one hangs. One long-lived process in the
home of each runs the same flow, turn by turn, so that whatever else the machine does falls on both. Half a task's time is
sleep, half is computing, as where time is lost it would be to the server's threads. At the end the collector answers again,
and each run and task run must come. Run: `python benchmarks/hanging_collector.py`.
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
from pathlib import Path

from figure import Figure

TASKS, SECONDS, WAIT_SECONDS = 200, 60, 60
ROOT = Path(__file__).parent.parent
COLLECTOR = """
import sys
from tests.exporters.otlp_receiver import Receiver
made = Receiver()
if sys.argv[1] == "hangs":
    made.hangs.clear()
print(made.url, flush=True)
for line in sys.stdin:
    if line == "answer\\n":
        made.hangs.set()
    elif line == "count\\n":
        print(len({(one.trace, one.span) for one in made.spans}), made.requests, flush=True)
"""
FLOWS = """
import sys, time
from flowtell import flow, task

@task
def step(number):
    time.sleep(0.0005)
    return sum(range(20_000))

@flow
def night(tasks):
    for number in range(tasks):
        step(number)

for line in sys.stdin:
    began = time.perf_counter()
    night(int(line))
    print(time.perf_counter() - began, flush=True)
"""


class Child:
    """A process that answers a line with a line."""

    def __init__(self, code: str, *arguments: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=ROOT,
            env={**os.environ, "FLOWTELL_QUIET": "1", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ask(self, line: str) -> str:
        self.tell(line)
        return self.read()

    def end(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)


class Side(contextlib.ExitStack):
    """A collector, a server that sends to it, and a process that runs flows in the server's home."""

    def __init__(self, collector: str) -> None:
        super().__init__()
        home = self.enter_context(tempfile.TemporaryDirectory(prefix="flowtell-bench-"))
        self.collector = self._child(COLLECTOR, collector)
        settings = {"FLOWTELL_HOME": home, "FLOWTELL_SERVER__PORT": "0"}
        self.server = self._child(
            "from flowtell import config; from flowtell.server.app import run_server; "
            "run_server(config.load(), announce=lambda url: print(url, flush=True))",
            OTEL_EXPORTER_OTLP_ENDPOINT=self.collector.read(),
            FLOWTELL_PLUGINS__DISABLE="dashboard,jsonlines",
            **settings,
        )
        self.server.read()
        self.flows = self._child(FLOWS, **settings)

    def _child(self, code: str, *arguments: str, **environment: str) -> Child:
        child = Child(code, *arguments, **environment)
        self.callback(child.end)
        return child

    def spans(self) -> int:
        return int(self.collector.ask("count").split()[0])

    def requests(self) -> int:
        return int(self.collector.ask("count").split()[1])


def pairs(hangs: Side, answers: Side, seconds: float) -> Iterator[tuple[float, float]]:
    """Seconds of the flow beside either, turn by turn, each being first as often as the other."""
    sides = [hangs, answers]
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        took = {id(side): float(side.flows.ask(str(TASKS))) for side in sides}
        yield took[id(hangs)], took[id(answers)]
        sides.reverse()


def until_all_came(side: Side, expected: int) -> float:
    """Seconds from the collector's first answer until it has every span."""
    side.collector.tell("answer")
    began = time.monotonic()
    while (came := side.spans()) < expected:
        if time.monotonic() - began > WAIT_SECONDS:
            raise AssertionError(f"{came} of {expected} spans came within {WAIT_SECONDS} s")
        time.sleep(0.1)
    return time.monotonic() - began


def measure(quick: bool = False) -> list[Figure]:
    with Side("hangs") as hangs, Side("answers") as answers:
        for side in (hangs, answers):
            side.flows.ask(str(TASKS))  # imports, the journal's first file
        measured = list(pairs(hangs, answers, 10 if quick else SECONDS))
        asked = hangs.requests()
        expected = (1 + len(measured)) * (1 + TASKS)
        took = until_all_came(hangs, expected)
    assert asked, "the hanging collector was never asked"
    slow, usual = (statistics.median(column) for column in zip(*measured, strict=True))
    note = (
        f"{slow * 1e3:.1f} ms to {usual * 1e3:.1f} ms, {len(measured)} pairs, {asked} requests hung; "
        f"{expected:,} spans {took:.1f} s after the first answer"
    )
    ratio = statistics.median(one / other for one, other in measured)
    return [Figure("a flow beside a collector that hangs", ratio, "times", at_most=1.02, note=note)]


if __name__ == "__main__":
    for figure in measure(quick="--quick" in sys.argv):
        print(figure)
