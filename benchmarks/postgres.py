"""A million task runs from eight processes of real flows into PostgreSQL, run read model and exact totals on.

The flows keep a pace above the bound, so that what is measured is whether a server beside them, with PostgreSQL on the same
two cores, holds it: its lag is the age of the last event whose total is committed, asked in SQL twice a second. A second
figure takes the brake off. Needs a server on which databases may be made: FLOWTELL_TEST_POSTGRES, or loopback.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from figure import Figure

PROCESSES, FLOWS, TASKS, TASK_RUNS_A_FLOW = 8, 12, 33, 330
"""96 flows of 33 tasks: some 10,000 series."""

SERVER = os.environ.get("FLOWTELL_TEST_POSTGRES", "postgresql://root@127.0.0.1/postgres")
PACE = 6_600
"""Task runs a second of all processes together: a tenth above the bound."""


def flows(number: int, task_runs: int, pace: float) -> None:
    """One process's flows; `pace` in task runs a second, 0 for as fast as they go."""
    from flowtell import flow, task

    def body(value: int) -> int:
        return value

    tasks = [task(body, name=f"task_{at}") for at in range(TASKS)]

    def run() -> None:
        for at in range(TASK_RUNS_A_FLOW):
            tasks[at % TASKS](at)

    made = [flow(run, name=f"flow_{number}_{at}") for at in range(FLOWS)]
    began = time.monotonic()
    for done in range(0, task_runs, TASK_RUNS_A_FLOW):
        made[done // TASK_RUNS_A_FLOW % FLOWS]()
        if pace:
            time.sleep(max(began + (done + TASK_RUNS_A_FLOW) / pace - time.monotonic(), 0))


def serve(url: str) -> None:
    """A server until standard input ends; then its peak memory, and what it grew over the second half."""
    import resource
    import threading

    from flowtell import config
    from flowtell.server.service import Service

    service = Service(config.load({"store": url, "plugins.disable": "alerts,notifications,lineage,dashboard,jsonlines"}))
    service.start()
    memory: list[float] = []
    stop = threading.Event()
    sampler = threading.Thread(target=lambda: [memory.append(_rss()) for _ in iter(lambda: stop.wait(0.25), True)])
    sampler.start()
    print("ready", flush=True)
    sys.stdin.read()
    stop.set()
    sampler.join()
    service.stop()
    quarter = len(memory) // 4 or 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mb": peak, "growth_mb": max(memory[-quarter:]) - max(memory[: 2 * quarter])}))


def _rss() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


@contextmanager
def database() -> Iterator[str]:
    import psycopg
    from sqlalchemy import make_url

    name = f"flowtell_bench_{os.getpid()}_{time.monotonic_ns()}"
    with psycopg.connect(SERVER, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield make_url(SERVER).set(database=name).render_as_string(hide_password=False)
        finally:
            server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


_LAG = (
    "SELECT e.seq, e.time FROM cursors c JOIN events e ON e.seq = c.seq WHERE c.plugin = 'prometheus' "
    "UNION ALL SELECT 0, 0 LIMIT 1"
)
_COUNTED = (
    "SELECT coalesce(sum((data::json -> 'ends' ->> 'completed')::bigint), 0) FROM prometheus_totals WHERE kind = 'task'"
)


def load(task_runs: int, pace: float) -> dict[str, Any]:
    """Task runs a second from the first emitted to the last counted, the worst lag, memory, and whether totals are exact."""
    import psycopg

    each = -(-task_runs // PROCESSES // TASK_RUNS_A_FLOW) * TASK_RUNS_A_FLOW
    whole = each * PROCESSES
    with tempfile.TemporaryDirectory(prefix="flowtell-bench-") as home, database() as url:
        environment = {**os.environ, "FLOWTELL_HOME": home, "FLOWTELL_QUIET": "true"}
        server = _python(f"import postgres; postgres.serve({url!r})", environment, stdin=subprocess.PIPE)
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        began = time.time()
        writers = [
            _python(f"import postgres; postgres.flows({at}, {each}, {pace / PROCESSES})", environment)
            for at in range(PROCESSES)
        ]
        worst = emitted = 0.0
        with psycopg.connect(url, autocommit=True) as reader:
            while int(reader.execute(_COUNTED).fetchone()[0]) < whole:  # type: ignore[index]
                assert server.poll() is None, "the server has ended"
                time.sleep(0.5)
                alive = any(writer.poll() is None for writer in writers)
                seq, moment = reader.execute(_LAG).fetchone()  # type: ignore[misc]
                if alive and seq:
                    worst, emitted = max(worst, time.time() - moment / 1e6), time.time()
            seconds = time.time() - began
            exact = reader.execute(_COUNTED).fetchone()[0] == whole == _task_runs(reader)  # type: ignore[index]
        assert all(writer.wait() == 0 for writer in writers)
        told = server.communicate()[0].splitlines()[-1]
    return {"rate": whole / seconds, "lag": worst, "exact": exact, "emitting": emitted - began, **json.loads(told)}


def _task_runs(reader: Any) -> int:
    return int(reader.execute("SELECT count(*) FROM task_runs WHERE state = 'completed'").fetchone()[0])


def _python(code: str, environment: dict[str, str], **options: Any) -> subprocess.Popen[bytes]:
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {here!r}); {code}"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, **options)


def measure(quick: bool = False) -> list[Figure]:
    paced = load(60_000 if quick else 1_000_000, PACE)
    flood = load(60_000 if quick else 300_000, 0)
    return [
        Figure(
            "postgres: task runs a second from 8 processes, paced",
            paced["rate"],
            "1/s",
            at_least=6_000,
            note=f"flows emit {PACE:,}/s; totals exact: {paced['exact']}",
        ),
        Figure("postgres: worst lag of the totals meanwhile", paced["lag"], "s", at_most=5.0),
        Figure("postgres: peak memory of the server", paced["peak_mb"], "MB", at_most=300),
        Figure("postgres: memory grown over the second half", paced["growth_mb"], "MB", at_most=30),
        Figure(
            "postgres: task runs a second, as fast as the flows go",
            flood["rate"],
            "1/s",
            at_least=6_000,
            note=f"totals exact: {flood['exact']}",
        ),
        Figure("postgres: totals exact in both", float(paced["exact"] and flood["exact"]), "", at_least=1),
    ]


if __name__ == "__main__":
    for figure in measure(quick="--quick" in sys.argv):
        print(figure)
