"""Journal to log, run read model and exact Prometheus totals, in one server, against a bare SQLite loop over the same rows.

The workload: 100 flows of 33 tasks, so about 10,000 series, two events a task run, one journal. The server is a process
of its own; its clock starts when it opens the store and stops when the last total is committed. The floor writes the same
rows to tables of the same shape with the driver alone, in batches of the same size, in the same run.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from figure import Figure

FLOWS, TASKS = 100, 33
BATCH = 2_000


def write_journal(home: str, task_runs: int) -> None:
    """The journal that a process with so many trivial task runs leaves, through the real encoder and ids."""
    from flowtell import events as e
    from flowtell.ids import new_id
    from flowtell.journal import open_journal

    journal = open_journal(home, environment="bench", version="bench")
    runs = [new_id() for _ in range(FLOWS)]
    now = time.time_ns() // 1000
    lines = [e.encode(e.FlowRunStarted(id=new_id(), time=now, run=run, flow=f"flow_{at}")) for at, run in enumerate(runs)]
    for number in range(task_runs):
        flow, task = number % FLOWS, number // FLOWS % TASKS
        same = {"run": runs[flow], "task_run": new_id(), "flow": f"flow_{flow}", "task": f"task_{task}"}
        lines.append(e.encode(e.TaskRunStarted(id=new_id(), time=now + number, **same, dynamic_key=str(number))))
        lines.append(
            e.encode(e.TaskRunFinished(id=new_id(), time=now + number, **same, duration=0.000012, cpu_seconds=0.000011))
        )
        if len(lines) >= BATCH:
            journal.write(b"\n".join(lines) + b"\n")
            lines.clear()
    lines += [
        e.encode(e.FlowRunFinished(id=new_id(), time=now, run=run, flow=f"flow_{at}", duration=1.0))
        for at, run in enumerate(runs)
    ]
    journal.write(b"\n".join(lines) + b"\n")
    journal.close()


def serve(home: str, events: int) -> dict[str, float]:
    """Ingest all of it with the Prometheus plugin on; seconds, peak memory, and what lies on disk after a checkpoint."""
    import resource

    from flowtell import config
    from flowtell.server.service import Service

    os.environ["FLOWTELL_HOME"] = home
    os.environ["FLOWTELL_PLUGINS__DISABLE"] = "alerts,notifications,lineage,dashboard,jsonlines"
    began = time.perf_counter()
    service = Service(config.load())
    service.start()
    memory = []
    while not service.runners or min(runner.cursor for runner in service.runners) < events:
        time.sleep(0.02)
        memory.append(_rss())
    seconds = time.perf_counter() - began
    while os.listdir(os.path.join(home, "journals")):
        time.sleep(0.05)
    service.stop()
    quarter = len(memory) // 4 or 1
    return {
        "seconds": seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "growth_mb": max(memory[-quarter:]) - max(memory[: 2 * quarter]),
        "disk": sum(entry.stat().st_size for entry in os.scandir(home) if entry.name.startswith("flowtell.db")),
    }


def _rss() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


def floor(database: str, target: str) -> float:
    """Seconds of a bare loop that writes the rows of `database` to `target`."""
    source = sqlite3.connect(database)
    bare = sqlite3.connect(target, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-65536", "wal_autocheckpoint=4000"):
        bare.execute(f"PRAGMA {pragma}")
    for (sql,) in source.execute(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name IN ('events', 'task_runs')"
    ):
        bare.execute(sql)
    spent = 0.0
    for events, task_runs in zip(_batches(source, "events", BATCH), _batches(source, "task_runs", BATCH // 2), strict=False):
        began = time.perf_counter()
        bare.execute("BEGIN IMMEDIATE")
        bare.executemany(f"INSERT INTO events VALUES ({','.join('?' * len(events[0]))})", events)
        bare.executemany(f"INSERT INTO task_runs VALUES ({','.join('?' * len(task_runs[0]))})", task_runs)
        bare.execute("COMMIT")
        spent += time.perf_counter() - began
    return spent


def _batches(source: sqlite3.Connection, table: str, size: int) -> Iterator[list[tuple[object, ...]]]:
    order = "seq" if table == "events" else "started"
    cursor = source.execute(f"SELECT * FROM {table} ORDER BY {order}")
    while rows := cursor.fetchmany(size):
        yield rows


def measure(quick: bool = False) -> list[Figure]:
    task_runs = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="flowtell-bench-") as folder:
        home = os.path.join(folder, "home")
        write_journal(home, task_runs)
        os.sync()  # neither side pays for bringing to disk what was written before it
        done = _in_a_process(home, 2 * task_runs + 2 * FLOWS)
        os.sync()
        bare = floor(os.path.join(home, "flowtell.db"), os.path.join(folder, "bare.db"))
    rate = task_runs / done["seconds"]
    return [
        Figure("ingest: task runs a second, all in", rate, "1/s", at_least=15_000, note=f"{task_runs:,} task runs"),
        Figure(
            "ingest: part of a bare SQLite loop's speed",
            bare / done["seconds"],
            "ratio",
            at_least=0.5,
            note=f"floor {task_runs / bare:,.0f}/s",
        ),
        Figure("ingest: peak memory of the server", done["peak_mb"], "MB", at_most=300),
        Figure("ingest: memory grown over the second half", done["growth_mb"], "MB", at_most=30),
        Figure(
            "ingest: disk a task run",
            done["disk"] / task_runs,
            "B",
            at_most=1024,
            note="after a checkpoint, journal deleted",
        ),
    ]


def _in_a_process(home: str, events: int) -> dict[str, float]:
    here = str(Path(__file__).parent)
    code = (
        f"import sys, json; sys.path.insert(0, {here!r}); import ingest; print(json.dumps(ingest.serve({home!r}, {events})))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return dict(json.loads(output.splitlines()[-1]))


if __name__ == "__main__":
    for figure in measure(quick="--quick" in sys.argv):
        print(figure)
