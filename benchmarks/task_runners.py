"""What it takes to map 10,000 trivial tasks with all events journaled: on threads, two worker processes, two Dask workers.

The quickest of some rounds counts, as on a busy machine the others were disturbed.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

from figure import Figure

MANY = 10_000


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(FLOWTELL_HOME=home, FLOWTELL_QUIET="1")
        from flowtell import bus

        bus.renew()
        try:
            return [_threads(quick), *_processes(quick), *_dask(quick)]
        finally:
            bus.renew()


def _threads(quick: bool) -> Figure:
    from flowtell import ThreadPoolTaskRunner

    count = 1_000 if quick else MANY
    mapped = _mapping_flow(ThreadPoolTaskRunner())
    mapped(10)
    seconds = min(_seconds(lambda: mapped(count)) for _ in range(3))
    return Figure("10,000 mapped tasks on threads", seconds * MANY / count, "s", at_most=2)


def _processes(quick: bool) -> list[Figure]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from flowtell import ProcessPoolTaskRunner

    count = 200 if quick else 2_000
    mapped = _mapping_flow(ProcessPoolTaskRunner(max_workers=2))
    start = _seconds(lambda: mapped(2))
    seconds = min(_seconds(lambda: mapped(count)) for _ in range(2)) - start
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(abs, range(2)))
        floor = min(_seconds(lambda: list(pool.map(abs, range(count)))) for _ in range(2))
    note = f"concurrent.futures, of two processes that run: {floor / count * 1e6:.0f} µs a call"
    return [
        Figure("a flow of two tasks on two new processes", start * 1e3, "ms"),
        Figure("10,000 mapped tasks on two processes", seconds * MANY / count, "s", note=note),
    ]


def _dask(quick: bool) -> list[Figure]:
    """Against `Client.map` of the function itself, on the same cluster, in turn with it."""
    import logging

    from distributed import Client, LocalCluster

    from flowtell import DaskTaskRunner

    logging.getLogger("distributed").setLevel(logging.ERROR)
    count = 500 if quick else MANY
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        mapped = _mapping_flow(DaskTaskRunner(address=cluster.scheduler_address))
        mapped(10)
        client.gather(client.map(_same, range(10)))
        floor = _seconds(lambda: client.gather(client.map(_same, range(count), pure=False)))
        seconds = _seconds(lambda: mapped(count))
    note = f"Client.map of the bare function: {floor * MANY / count:.1f} s"
    return [
        Figure("10,000 mapped tasks on two Dask workers", seconds * MANY / count, "s", note=note),
        Figure("the same in bare Client.map", seconds / floor, "times", at_most=3, note=note),
    ]


def _same(x: int) -> int:
    return x


def _mapping_flow(runner: Any) -> Callable[[int], Any]:
    from flowtell import flow, task

    @task
    def trivial(x: int) -> int:
        return x

    @flow(task_runner=runner)
    def many(count: int) -> None:
        trivial.map(range(count)).result()

    return many


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    for figure in measure(quick=False):
        print(f"{figure.name:44}{figure.value:10.2f} {figure.unit:6} {figure.bound}  {figure.note}")
