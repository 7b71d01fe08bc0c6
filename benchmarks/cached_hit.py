"""What a run costs that takes a known result: its key, the file with its checksum, the value, and one event.

Rounds of both alternate in one process and the quickest of each counts: on a busy machine the others were disturbed.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

from figure import Figure

RUNS = 20


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(FLOWTELL_HOME=home, FLOWTELL_QUIET="1")
        from flowtell import bus

        bus.renew()
        try:
            return _figures(rounds=50 if quick else 300)
        finally:
            bus.renew()


def _figures(rounds: int) -> list[Figure]:
    from flowtell import flow, task
    from flowtell.cache_policies import INPUTS, TASK_SOURCE

    def rows(day: str) -> list[int]:
        return [1, 2, 3]

    @flow
    def many(step: Any) -> None:
        for _ in range(RUNS):
            step("2026-11-21")

    plain, kept = task(rows), task(cache_policy=INPUTS + TASK_SOURCE)(rows)
    many(kept)
    best = {plain: float("inf"), kept: float("inf")}
    for _ in range(rounds):
        for step, quickest in best.items():
            best[step] = min(quickest, _seconds(lambda step=step: many(step)))
    note = f"a plain task with the same argument: {best[plain] / RUNS * 1e6:.1f} µs"
    return [Figure("a run that takes a known result", best[kept] / RUNS * 1e6, "µs", at_most=200, note=note)]


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    for figure in measure(quick=False):
        print(f"{figure.name:40}{figure.value:10.2f} {figure.unit:6} {figure.bound}  {figure.note}")
