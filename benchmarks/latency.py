"""From `emit` to visible in `/metrics`: one process emits, another serves, this one scrapes every five milliseconds."""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator

from figure import Figure

_COUNT = re.compile(rb'^flowtell_flow_runs_total\{[^}]*flow="beat"[^}]*state="completed"[^}]*\} (\d+)', re.MULTILINE)
_SERVER = """
from flowtell import config
from flowtell.server.app import run_server
run_server(config.load(), announce=lambda url: print(url, flush=True))
"""


@contextlib.contextmanager
def _server(home: str) -> Iterator[str]:
    environment = {**os.environ, "FLOWTELL_HOME": home, "FLOWTELL_SERVER__PORT": "0"}
    process = subprocess.Popen([sys.executable, "-c", _SERVER], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(15)


def _ended(url: str) -> int:
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
        found = _COUNT.search(answer.read())
    return int(found.group(1)) if found else 0


def _beats(url: str, count: int) -> list[float]:
    from flowtell import bus
    from flowtell import events as e
    from flowtell.ids import new_id

    waits = []
    for number in range(1, count + 1):
        time.sleep(0.013 * (number % 10))  # not in step with the server's own pace
        now = time.time_ns() // 1000
        run = new_id(now)
        bus.emit(e.FlowRunStarted(id=new_id(now), time=now, run=run, flow="beat"))
        bus.emit(e.FlowRunFinished(id=new_id(now), time=now, run=run, flow="beat", duration=0.1))
        emitted = time.perf_counter()
        while _ended(url) < number:
            if time.perf_counter() - emitted > 10:
                raise TimeoutError(f"run {number} did not come to /metrics within 10 s")
            time.sleep(0.005)
        waits.append(time.perf_counter() - emitted)
    return waits


def measure(quick: bool = False) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="flowtell-bench-") as home:
        os.environ["FLOWTELL_HOME"] = home
        with _server(home) as url:
            waits = _beats(url, 40 if quick else 200)
    p95 = statistics.quantiles(waits, n=20)[-1] * 1000
    note = f"median {statistics.median(waits) * 1000:.0f} ms, {len(waits)} runs"
    return [Figure("emit to /metrics: p95", p95, "ms", at_most=500, note=note)]


if __name__ == "__main__":
    for figure in measure(quick="--quick" in sys.argv):
        print(figure)
