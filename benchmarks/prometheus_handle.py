"""What the Prometheus plugin costs a task run, and what a scrape costs, at 10,000 series.

The floor of `handle` is the least that any counter could do: one dictionary look-up and addition an event (on a quiet
machine 0.6 µs a task run, and 2.5 µs for ours). The peer of
the scrape is the client library's own rendering of the same samples. Run: `python benchmarks/prometheus_handle.py`.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable

from figure import Figure
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from flowtell.events import Event, TaskRunFinished, TaskRunStarted
from flowtell.testing import PluginHarness
from flowtell_exporters.kept_text import KeptText
from flowtell_exporters.prometheus import create
from flowtell_exporters.prometheus_settings import Settings
from flowtell_exporters.tally import Tally

FLOWS, TASKS = 500, 20
BATCH, BATCHES = 2_000, 50


def batches() -> list[list[Event]]:
    """Starts and finishes of task runs over all series, evenly at random: the worst case, as each touches another row."""
    draw = random.Random(7)  # the same load each time
    return [[event for _ in range(BATCH // 2) for event in _task_run(draw)] for _ in range(BATCHES)]


def _task_run(draw: random.Random) -> tuple[Event, Event]:
    where = {"flow": f"flow-{draw.randrange(FLOWS)}", "task": f"task-{draw.randrange(TASKS)}", "environment": "prod"}
    ids = {"run": f"{draw.getrandbits(128):032x}", "task_run": f"{draw.getrandbits(128):032x}"}
    ended = {"duration": draw.random(), "time": 1_800_000_000_000_000}
    return (
        TaskRunStarted(id=f"{draw.getrandbits(128):032x}", **ids, **where),
        TaskRunFinished(id=f"{draw.getrandbits(128):032x}", **ids, **where, **ended),
    )


def warm(tally: Tally) -> None:
    """Every series there, as after the first hours."""
    for flow in range(FLOWS):
        for task in range(TASKS):
            tally.take([TaskRunFinished(flow=f"flow-{flow}", task=f"task-{task}", environment="prod", duration=1.0)])
    tally.changed_totals()


def best_of(rounds: int, call: Callable[[], object]) -> float:
    """Processor seconds of the quickest round: the others were disturbed."""
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return min(taken)


def handle_seconds(load: list[list[Event]]) -> float:
    tally = Tally(Settings())
    warm(tally)

    def handle() -> None:
        for events in load:
            tally.take(events)
            tally.changed_totals()
            tally.changed_runs()

    return best_of(5, handle)


def floor_seconds(load: list[list[Event]]) -> float:
    counts: dict[tuple[str, str, str], int] = {}

    def count() -> None:
        for events in load:
            for event in events:
                key = event.flow, event.task, event.environment
                counts[key] = counts.get(key, 0) + 1

    return best_of(5, count)


class Parsed:
    """A page as the client library's own objects, for it to render."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))

    def collect(self) -> list[object]:
        return self.families


def measure(quick: bool = False) -> list[Figure]:
    load = batches()[: 10 if quick else BATCHES]
    runs = BATCH * len(load) // 2
    handled, floor = handle_seconds(load) / runs * 1e6, floor_seconds(load) / runs * 1e6
    return [
        Figure(
            "prometheus: handle a task run", handled / floor, "ratio", at_most=5, note=f"{handled:.2f} µs, {floor:.2f} µs"
        ),
        *scrape_figures([event for events in load for event in events]),
    ]


def scrape_figures(events: list[Event]) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder, PluginHarness(create, folder, name="prometheus") as harness:
        harness.feed(events)
        page, everything = harness.mounted["/metrics"], KeptText(harness.read)
        text = page.text()
        anew = best_of(3, lambda: (setattr(everything, "_version", 0), everything.refresh()))
        kept = best_of(5, page.text)
    parsed = Parsed(text)
    peer = best_of(3, lambda: generate_latest(parsed))  # type: ignore[arg-type]
    note = f"{sum(not line.startswith('#') for line in text.splitlines()):,} samples; client library {peer * 1e3:.0f} ms"
    return [
        Figure("prometheus: scrape, every series changed", (anew + kept) / peer, "ratio", at_most=1 / 3, note=note),
        Figure("prometheus: scrape, no series changed", kept / peer, "ratio", at_most=1 / 3, note=note),
    ]


if __name__ == "__main__":
    for figure in measure(quick="--quick" in sys.argv):
        print(figure)
