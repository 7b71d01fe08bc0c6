"""What `@materialize` costs in a flow above a plain task: two more events, and the look at what comes in.

Rounds of all alternate in one process and the quickest of each counts: on a busy machine the others were disturbed.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable

from figure import Figure

TASKS = 50


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(FLOWTELL_HOME=home, FLOWTELL_QUIET="1")
        from flowtell import bus

        bus.renew()
        try:
            return _figures(rounds=100 if quick else 500)
        finally:
            bus.renew()


def _figures(rounds: int) -> list[Figure]:
    runs = _chains() | _numbers()
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for name, run in runs.items():
            best[name] = min(best[name], _seconds(run))
    cost = {name: seconds / TASKS * 1e6 for name, seconds in best.items()}
    note = f"a plain task with the same argument: {cost['plain']:.1f} µs"
    return [
        Figure("@materialize above a task", cost["made"] - cost["plain"], "µs", at_most=100, note=note),
        Figure("the same in tasks", (cost["made"] - cost["plain"]) / cost["plain"], "times", at_most=3, note=note),
        Figure("@materialize with a declared dependency above a task", cost["declared"] - cost["plain"], "µs", at_most=100),
        Figure(
            "a trivial task of a flow that has made an asset", cost["numbers after"], "µs", at_most=50,
            note=f"of one that has not: {cost['numbers']:.1f} µs",
        ),
    ]  # fmt: skip


def _chains() -> dict[str, Callable[[], None]]:
    """Flows whose every task gets the last one's list."""
    from flowtell import materialize, task

    def copied(rows: list[int]) -> list[int]:
        return [*rows]

    return {
        "plain": _chain(task(copied)),
        "made": _chain(materialize("s3://lake/orders")(copied)),
        "declared": _chain(materialize("s3://lake/report", asset_deps=["s3://lake/prices"])(copied)),
    }


def _chain(step: Callable[[list[int]], list[int]]) -> Callable[[], None]:
    from flowtell import flow

    @flow
    def run() -> None:
        rows = [1, 2, 3]
        for _ in range(TASKS):
            rows = step(rows)

    return run


def _numbers() -> dict[str, Callable[[], None]]:
    """Flows of trivial tasks, without and with an asset made before."""
    from flowtell import flow, materialize, task

    @task
    def trivial(x: int) -> int:
        return x

    make = materialize("s3://lake/orders")(list)

    @flow
    def run(*, after: bool) -> None:
        if after:
            make()
        for number in range(TASKS):
            trivial(number)

    return {"numbers": lambda: run(after=False), "numbers after": lambda: run(after=True)}


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
