"""What a trivial task costs with its events journaled, against two bare encodes and writes of the same lines.

Rounds of both alternate in one process and the quickest of each counts: on a busy machine the others were disturbed.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable

from figure import Figure

TASKS, PAIRS = 100, 300  # rounds of one length, short enough to find an undisturbed moment


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(FLOWTELL_HOME=home, FLOWTELL_QUIET="1")
        from flowtell import bus

        bus.renew()
        try:
            return _figures(home, rounds=100 if quick else 1000)
        finally:
            bus.renew()


def _figures(home: str, rounds: int) -> list[Figure]:
    from flowtell import flow, task

    @task
    def trivial(x: int) -> int:
        return x

    @flow
    def many(count: int) -> None:
        for number in range(count):
            trivial(number)

    many(10)
    bare = _bare_pair(home)
    flows, floors, empty, forty = [], [], [], []
    for _ in range(rounds):
        flows.append(_seconds(lambda: many(TASKS)))
        floors.append(_seconds(lambda: [bare() for _ in range(PAIRS)]))
        empty.append(_seconds(lambda: many(0)))
        forty.append(_seconds(lambda: many(40)))
    task_cost = (min(flows) - min(empty)) / TASKS
    floor = min(floors) / PAIRS
    note = f"two bare encodes and writes: {floor * 1e6:.1f} µs"
    return [
        Figure("marginal cost of a trivial task", task_cost * 1e6, "µs", at_most=25, note=note),
        Figure("the same in bare encodes and writes", task_cost / floor, "times", at_most=4, note=note),
        Figure("a flow of 40 trivial tasks", min(forty) * 1e3, "ms", at_most=10),
        Figure("a flow of no tasks", min(empty) * 1e6, "µs"),
    ]


def _bare_pair(home: str) -> Callable[[], None]:
    """Encode and write the two lines that the last trivial task has left."""
    from flowtell import bus
    from flowtell.events import decode, encode

    with open(bus.journal_path(), "rb") as file:
        started, finished = [decode(line) for line in file if b'"type":"task_run.' in line][-2:]
    descriptor = os.open(os.path.join(home, "bare"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def pair() -> None:
        os.write(descriptor, encode(started) + b"\n")
        os.write(descriptor, encode(finished) + b"\n")

    return pair


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    for figure in measure(quick=False):
        print(f"{figure.name:40}{figure.value:10.2f} {figure.unit:6} {figure.bound}  {figure.note}")
