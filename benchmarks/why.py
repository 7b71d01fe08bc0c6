"""How long `why` takes with a million runs in the store: of each of the flows, and of runs that are still open.

A store of a year, twelve task runs for each of the 20,000 latest runs, one run in fifty failed; some open ones that wait for
a limit held by another, or are in a task. The floor beside it is reading those runs alone, by `get_run`. Run:
`python benchmarks/why.py [RUNS]`.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from figure import Figure
from sqlalchemy import select
from timeline import FLOWS, fill

from flowtell import events as e
from flowtell.ids import new_id
from flowtell.store import open_store
from flowtell.store.reading import get_run
from flowtell.store.tables import runs, task_runs
from flowtell.why import why

WITH_TASKS, TASKS, OPEN = 20_000, 12, 50


def add_tasks(store: Any, latest: list[Any]) -> None:
    rng = random.Random(3)
    for first in range(0, len(latest), 1_000):
        rows = [row for run in latest[first : first + 1_000] for row in _tasks_of(run, rng)]
        with store.write() as transaction:
            transaction.connection.execute(task_runs.insert(), rows)


def _tasks_of(run: Any, rng: random.Random) -> list[dict[str, Any]]:
    step = max((run.ended - run.started) // TASKS, 1)
    return [
        {
            "run": run.id,
            "id": f"{(run.started + at * step) // 1000:012x}7{rng.getrandbits(76):019x}",
            "flow": run.flow,
            "task": f"task-{at}",
            "state": run.state if at == TASKS - 1 else "completed",
            "changed": run.started + (at + 1) * step,
            "started": run.started + at * step,
            "ended": run.started + (at + 1) * step,
            "duration": step / 1e6,
            "attempts": 1,
            "writer": 1,
            "corrections": 0,
        }
        for at in range(TASKS)
    ]


def add_open(store: Any, now: int) -> list[str]:
    """Runs that wait for a limit, each held by one that is in a task."""
    told: list[e.Event] = []
    waiting = []
    for number in range(OPEN):
        holder, run, flow = new_id(), new_id(), f"flow-{number:03}"
        common = {"flow": flow, "environment": "prod"}
        task = {"run": holder, "task_run": new_id(), "task": "task-3", **common}
        on = (e.WaitsOn(kind="limit", name="db", runs=(holder,)),)
        told += [
            e.FlowRunStarted(id=new_id(), time=now - 60_000_000, run=holder, **common),
            e.TaskRunStarted(id=new_id(), time=now - 50_000_000, **task),
            e.FlowRunScheduled(id=new_id(), time=now - 30_000_000, run=run, due=now - 30_000_000, **common),
            e.FlowRunWaiting(id=new_id(), time=now - 20_000_000, run=run, reason="limit", on=on, **common),
        ]
        waiting.append(run)
    with store.write() as transaction:
        store.log.append_events(transaction, store.log.writer(transaction, "benchmark", "journal"), told, now)
    return waiting


def timed(ask: Callable[[str], Any], subjects: list[str]) -> list[float]:
    seconds = []
    for subject in subjects:
        begin = time.perf_counter()
        ask(subject)
        seconds.append(time.perf_counter() - begin)
    return seconds


def p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1] * 1000


def measure(quick: bool = False, amount: int = 1_000_000) -> list[Figure]:
    amount = 100_000 if quick else amount
    with tempfile.TemporaryDirectory() as home:
        fill(home, amount)
        store = open_store(f"sqlite:///{os.path.join(home, 'flowtell.db')}")
        try:
            wanted = select(runs.c.id, runs.c.flow, runs.c.state, runs.c.started, runs.c.ended)
            latest = list(store.read(wanted.order_by(runs.c.started.desc()).limit(WITH_TASKS)))
            add_tasks(store, latest)
            now = time.time_ns() // 1000
            waiting = add_open(store, now)
            failed = [run.id for run in latest if run.state == "failed"][:200]
            assert why(store.read, waiting[0], now).cause == "limit_full"
            flows = timed(lambda flow: why(store.read, flow, now), [f"flow-{number:03}" for number in range(FLOWS)])
            ended = timed(lambda run: why(store.read, run, now), failed)
            open_ones = timed(lambda run: why(store.read, run, now), waiting)
            floor = timed(lambda run: get_run(store.read, run), failed)
        finally:
            store.close()
    note = f"{amount:,} runs; reading the run alone {p95(floor):.2f} ms"
    return [
        Figure("why, of a flow, p95", p95(flows), "ms", at_most=200, note=note),
        Figure("why, of a failed run, p95", p95(ended), "ms", at_most=200, note=note),
        Figure("why, of a run that waits, p95", p95(open_ones), "ms", at_most=200, note=note),
    ]


if __name__ == "__main__":
    for figure in measure(amount=int(sys.argv[1]) if sys.argv[1:] else 1_000_000):
        print(f"{figure.name}: {figure.value:.3g} {figure.unit} ({figure.bound}; {figure.note})")
