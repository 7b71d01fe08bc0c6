"""Shipping by HTTP: events a second of many writers into one server, and what it costs the flow that ships.

The server is a process of its own, with the Prometheus plugin on. Writers are threads of the real shipper over journals in
memory, in two processes; the clock runs from the first event to the last one in the log. The flow's cost is measured in
pairs in one process: short rounds of the same flow, with a shipper on its journal and without.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from figure import Figure

WRITERS, PROCESSES = 50, 2
TASKS, ROUNDS = 100, 1_000
HERE = Path(__file__).parent


def measure(quick: bool = False) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="flowtell-bench-") as folder:
        with _server(os.path.join(folder, "far")) as url:
            rate, events = _rate(url, os.path.join(folder, "far"), 400 if quick else 4_000)
        with _server(os.path.join(folder, "other"), nice=19) as url:
            local, shipped = _costs(url, folder, 2 if quick else 7)
            arrived = _logged(os.path.join(folder, "other"))
            assert arrived > 0, "the flow that ships has shipped nothing"
    return [
        Figure(
            "shipping: events a second, 50 writers",
            rate,
            "1/s",
            at_least=10_000,
            note=f"{events:,} events by HTTP, all in the log",
        ),
        Figure(
            "shipping: cost of a task against local",
            shipped / local,
            "times",
            at_most=1.5,
            note=f"{shipped * 1e6:.1f} µs to {local * 1e6:.1f} µs",
        ),
    ]


@contextmanager
def _server(home: str, nice: int = 0) -> Iterator[str]:
    code = (
        f"import os; os.nice({nice}); from flowtell import config; from flowtell.server.app import run_server; "
        "run_server(config.load({'server.port': 0}), announce=lambda url: print(url, flush=True))"
    )
    environment = {
        **os.environ,
        "FLOWTELL_HOME": home,
        "FLOWTELL_URL": "",
        "FLOWTELL_PLUGINS__DISABLE": "alerts,notifications,lineage,dashboard,jsonlines",
    }
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


# --- many writers -----------------------------------------------------------------------------------------------------


def _rate(url: str, home: str, task_runs: int) -> tuple[float, int]:
    """Events a second until all are in the log, and how many there were."""
    each = WRITERS // PROCESSES
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import shipping; shipping.write({url!r}, {each}, {task_runs})"
    writers = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()  # its lines are made
    began = time.perf_counter()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    total = WRITERS * task_runs * 2
    while _logged(home) < total:
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    for writer in writers:
        writer.communicate("\n", timeout=30)
    return total / seconds, total


def _logged(home: str) -> int:
    import sqlite3

    connection = sqlite3.connect(f"file:{home}/flowtell.db?mode=ro", uri=True, timeout=10)
    try:
        return int(connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])
    finally:
        connection.close()


def write(url: str, writers: int, task_runs: int) -> None:
    """Ship so many task runs of each of so many writers, from the word on stdin to the next one."""
    from flowtell import config
    from flowtell.journal import new_header
    from flowtell.shipping.memory import MemoryJournal
    from flowtell.shipping.shipper import Shipper

    settings = config.load({"url": url})
    journals = [MemoryJournal(new_header("bench", "", "bench"), 1 << 30) for _ in range(writers)]
    lines = [_lines(number, task_runs) for number in range(writers)]
    shippers = [Shipper(journal, settings, lambda error: print(error, file=sys.stderr)) for journal in journals]
    print("ready", flush=True)
    sys.stdin.readline()
    for shipper in shippers:
        shipper.start()
    for at in range(0, 2 * task_runs, 40):  # all write at the same time, as fast as it goes
        for journal, own in zip(journals, lines, strict=True):
            for line in own[at : at + 40]:
                journal.write(line)
        time.sleep(0.001)
    sys.stdin.readline()
    for shipper in shippers:
        shipper.stop()


def _lines(number: int, task_runs: int) -> list[bytes]:
    from flowtell import events as e
    from flowtell.ids import new_id

    run, now = new_id(), time.time_ns() // 1000
    lines = []
    for at in range(task_runs):
        same = {"run": run, "task_run": new_id(), "flow": f"flow_{number}", "task": f"task_{at % 33}"}
        lines.append(e.encode(e.TaskRunStarted(id=new_id(), time=now + at, **same, dynamic_key=str(at))) + b"\n")
        finished = e.TaskRunFinished(id=new_id(), time=now + at, **same, duration=0.000012, cpu_seconds=0.000011)
        lines.append(e.encode(finished) + b"\n")
    return lines


# --- the flow's side --------------------------------------------------------------------------------------------------


def _costs(url: str, folder: str, pairs: int) -> tuple[float, float]:
    """Median seconds of a task in a flow that keeps its journal here, and in one that ships it.

    Stretches of a few shipping periods each, in turn, and all of a stretch counts: what the shipper's thread takes from
    the flow comes in bursts.
    """
    from statistics import median

    from flowtell import bus, flow, task

    @task
    def trivial(x: int) -> int:
        return x

    @flow
    def many(count: int) -> None:
        for number in range(count):
            trivial(number)

    def stretch(way: str, where: str) -> float:
        os.environ.update(FLOWTELL_HOME=os.path.join(folder, way), FLOWTELL_URL=where, FLOWTELL_QUIET="1")
        bus.renew()
        many(10)
        began = time.perf_counter()
        for _ in range(ROUNDS):
            many(TASKS)
        seconds = time.perf_counter() - began
        bus.renew()
        return seconds / (ROUNDS * TASKS)

    rounds = [(stretch("local", ""), stretch("shipped", url)) for _ in range(pairs)]
    for name in ("FLOWTELL_HOME", "FLOWTELL_URL", "FLOWTELL_QUIET"):
        os.environ.pop(name, None)
    ratio = median(shipped / local for local, shipped in rounds)
    local = median(local for local, _ in rounds)
    return local, ratio * local


if __name__ == "__main__":
    for figure in measure(quick="--quick" in sys.argv):
        print(figure)
