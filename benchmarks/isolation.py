"""What a process of its own costs a plugin: events a second through the runner, beside the same plugin in process.

Both get their events from the window in memory, as at the log's tail. The floor of a start is a bare interpreter that
imports the store's libraries. Run: `python benchmarks/isolation.py`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from figure import Figure
from sqlalchemy import Column, Integer, MetaData, String, Table, bindparam, update

from flowtell.events import Event
from flowtell.plugin import BasePlugin
from flowtell.runner.apart import apart
from flowtell.testing import PluginHarness, example_history

RUNS = 2_000
ROUNDS = 3
tables = MetaData()
seen = Table("plugin_seen", tables, Column("id", String, primary_key=True), Column("n", Integer))
_note = update(seen).where(seen.c.id == bindparam("key"))


class Nothing(BasePlugin):
    """Takes every event and does nothing with it: what is left is the way there and back."""

    def handle(self, events: Sequence[Event]) -> None:
        pass


class Noting(BasePlugin):
    """Writes a row for each event, which come back through the pipe."""

    tables = tables

    def handle(self, events: Sequence[Event]) -> None:
        self.context.write(_note, [{"key": event.id, "n": event.seq} for event in events])


def nothing(settings: Mapping[str, Any]) -> Nothing:
    return Nothing()


def noting(settings: Mapping[str, Any]) -> Noting:
    return Noting()


def rate(factory: Any, events: list[Event], *, isolated: bool) -> float:
    """Events a second, the best of some rounds: the others were disturbed."""
    best = 0.0
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder, PluginHarness(factory, folder, isolated=isolated) as harness:
            harness.append(events)
            began = time.perf_counter()
            harness.deliver()
            best = max(best, len(events) / (time.perf_counter() - began))
    return best


def start_seconds() -> tuple[float, int]:
    """From the factory's call to an open plugin, and the resident bytes of the process then."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with PluginHarness(nothing, folder, isolated=True) as harness:
            taken, process = time.perf_counter() - began, apart(harness.runner.plugin)
            return taken, process.memory() if process else 0


def bare_seconds() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import msgspec, sqlalchemy"], check=True)
    return time.perf_counter() - began


def measure(quick: bool = False) -> list[Figure]:
    events = example_history(runs=RUNS // 10 if quick else RUNS)
    figures = []
    for what, factory in (("nothing done", nothing), ("a row an event", noting)):
        inside, outside = rate(factory, events, isolated=False), rate(factory, events, isolated=True)
        note = f"in process {inside:,.0f}/s, {len(events):,} events"
        figures.append(Figure(f"isolated plugin, {what}", outside, "events/s", at_least=30_000, note=note))
    bare = min(bare_seconds() for _ in range(ROUNDS))
    started, memory = min(start_seconds() for _ in range(ROUNDS))
    note = f"{started * 1e3:.0f} ms, interpreter with libraries {bare * 1e3:.0f} ms, resident {memory / 1e6:.0f} MB"
    return [*figures, Figure("isolated plugin: start", started / bare, "ratio", at_most=3, note=note)]


if __name__ == "__main__":
    import isolation  # the plugins' process imports them by that name

    for figure in isolation.measure(quick="--quick" in sys.argv):
        print(figure)
