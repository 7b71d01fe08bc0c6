"""A hundred thousand schedules watched, and a hundred thousand runs open: how soon what is wrong is told, and what it costs.

The evaluator runs on its real thread over a real SQLite log and on the real clock, in a process of its own; another thread
writes what happens. A tenth of what is due never starts; every open run passes its bound some time. Told is when the log
has the incident. The floor of processor time is the same thread with no rule, which only reads the log.
Run: `python benchmarks/alerts_scale.py`.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

from figure import Figure
from sqlalchemy import func, select

from flowtell import events as e
from flowtell import rules
from flowtell.events import Event, Schedule, encode
from flowtell.ids import derived_id
from flowtell.runner import Runner, RunnerThread
from flowtell.schedules import cron, every, next_due
from flowtell.store import open_store
from flowtell.store.log import Line
from flowtell.store.store import Store
from flowtell.testing import PluginHarness
from flowtell_alerts import tables
from flowtell_alerts.evaluator import RULES_A_TICK, create

SCHEDULES, OPEN_RUNS, FLOWS = 100_000, 100_000, 1_000
GRACE, BOUND = 10, 3_600
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
BATCH = 2_000
S = 1_000_000
TOLD = ("incident.opened", "incident.updated")


def now() -> int:
    return time.time_ns() // 1000


class Hand:
    """Writes the log, and nothing that it could compute again does it remember: the process is to be the evaluator's."""

    def __init__(self, folder: str) -> None:
        self.folder, self._made = folder, 0

    def event(self, kind: type[Event], at: int, **fields: object) -> Event:
        self._made += 1
        return kind(id=derived_id(at, "scale", str(self._made), str(os.getpid())), time=at, environment="prod", **fields)

    def fill(self, events: Iterator[Event]) -> None:
        """What is there before anybody looks, and was judged by a server before this one."""
        with PluginHarness(create, self.folder, name="alerts", clock=now) as harness:
            while batch := list(itertools.islice(events, BATCH)):
                harness.feed(batch)
            time.sleep(3)  # old news is waited for
            for _ in range(2 * SCHEDULES // RULES_A_TICK + 2):
                harness.runner.live = True
                harness.runner.tick()

    def watch(self, seconds: float, begin: Callable[[int], Iterator[tuple[int, Event]]]) -> dict[str, float]:
        """Write each event at its moment while the thread judges; its processor seconds a second, and what it holds."""
        store = open_store(f"sqlite:///{self.folder}/flowtell.db")
        runner = Runner("alerts", create, store, clock=now)
        thread = RunnerThread(runner)
        thread.start()
        settle(runner)
        worker = next(one for one in threading.enumerate() if one.name.endswith("alerts"))
        clock = time.pthread_getcpuclockid(worker.ident or 0)
        happening = begin(now())
        began, used = time.monotonic(), time.clock_gettime(clock)
        waiting = next(happening, None)
        while time.monotonic() - began < seconds:
            due: list[Event] = []
            while waiting is not None and waiting[0] <= now():
                due.append(waiting[1])
                waiting = next(happening, None)
            if due:
                self._append(store, due)
            time.sleep(0.05)
        spent = (time.clock_gettime(clock) - used) / (time.monotonic() - began)
        memory = resident()
        thread.stop(10.0)
        self.told = [event for event in store.log.read(0, 10_000_000, TOLD) if event.rule.kind != "blind"]  # type: ignore[attr-defined]
        store.close()
        return {"cores": spent, "megabytes": memory / 1e6}

    def _append(self, store: Store, events: list[Event]) -> None:
        lines = [Line(event, encode(event), now() + place) for place, event in enumerate(events)]
        with store.write() as transaction:
            store.log.append(transaction, store.log.writer(transaction, "hand", "journal"), lines, now())


def settle(runner: Runner) -> None:
    """Until the thread has judged everything once."""
    until = time.monotonic() + 300
    while time.monotonic() < until and (runner.state != "running" or not _has_judged(runner)):
        time.sleep(0.2)
    time.sleep(2 * SCHEDULES / RULES_A_TICK)  # a restart judges everything anew, so many a tick


def _has_judged(runner: Runner) -> bool:
    unjudged = select(func.count()).select_from(tables.rules).where(tables.rules.c.verdict == "")
    return runner.store.read(unjudged)[0][0] == 0


def resident() -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


# --- late ---------------------------------------------------------------------------------------------------------

LINES = [cron(f"{minute} * * * *", zone) for zone in ZONES for minute in range(60)]


def schedule(number: int) -> Schedule:
    """Hourly: half by cron lines of five zones, half by intervals from any second of the hour."""
    if number % 2:
        return LINES[number * 7919 % len(LINES)]
    return every("1h", anchor=number * 7919 % 3_600 * S + 1_700_000_000 * S)


def lane(number: int) -> dict[str, str]:
    return {"flow": f"flow-{number % FLOWS}", "deployment": f"customer-{number}"}


def fill_late(folder: str) -> None:
    hand, begun = Hand(folder), now()
    flows = (hand.event(e.FlowDeclared, begun, flow=f"flow-{n}", rules=(rules.late(GRACE),)) for n in range(FLOWS))
    deployed = (
        hand.event(e.DeploymentDeclared, begun, schedules=(schedule(number),), **lane(number)) for number in range(SCHEDULES)
    )
    hand.fill(itertools.chain(flows, deployed))


def watch_late(folder: str, seconds: float) -> dict[str, float]:
    hand = Hand(folder)
    begun: list[int] = []

    def begin(at: int) -> Iterator[tuple[int, Event]]:
        """What was due before is not looked at: nobody answered it while the store was filled."""
        begun.append(at)
        for coded in sorted((next_due(schedule(number), at) or 0) * SCHEDULES + number for number in range(SCHEDULES)):
            due, number = divmod(coded, SCHEDULES)
            if number % 10:
                starts = due + number % 5 * S // 5
                yield starts, hand.event(e.FlowRunStarted, starts, run=derived_id(due, str(number)), due=due, **lane(number))

    figures = hand.watch(seconds, begin)
    first = begun[0] + 5 * S
    waits = [(event.received - event.since) / 1e6 for event in hand.told if event.due and event.due > first]
    return figures | spread(waits) | {"told": len(waits)}


# --- too long -----------------------------------------------------------------------------------------------------


def start_of(begun: int, number: int) -> int:
    return begun - number * 7919 % BOUND * S


def fill_too_long(folder: str) -> None:
    hand, begun = Hand(folder), now()
    flows = (hand.event(e.FlowDeclared, begun, flow=f"flow-{n}", rules=(rules.too_long(BOUND),)) for n in range(FLOWS))
    started = (
        hand.event(e.FlowRunStarted, at, run=derived_id(at, "run", str(number)), flow=f"flow-{number % FLOWS}")
        for number in range(OPEN_RUNS)
        for at in [start_of(begun, number)]
    )
    hand.fill(itertools.chain(flows, started))
    with open(f"{folder}/begun", "w", encoding="ascii") as file:
        file.write(str(begun))


def watch_too_long(folder: str, seconds: float) -> dict[str, float]:
    hand = Hand(folder)
    with open(f"{folder}/begun", encoding="ascii") as file:
        begun = int(file.read())
    watched: list[int] = []

    def begin(at: int) -> Iterator[tuple[int, Event]]:
        """As many runs end and begin as pass their bound."""
        watched.append(at)
        step = BOUND * S // OPEN_RUNS
        for number in range(OPEN_RUNS):
            moment, flow = at + number * step, f"flow-{number % FLOWS}"
            run = derived_id(start_of(begun, number), "run", str(number))
            yield moment, hand.event(e.FlowRunFinished, moment, run=run, flow=flow, state="completed")
            yield moment, hand.event(e.FlowRunStarted, moment, run=derived_id(moment, "new", run), flow=flow)

    figures = hand.watch(seconds, begin)
    ends = {derived_id(start_of(begun, n), "run", str(n)): start_of(begun, n) + (BOUND + 2) * S for n in range(OPEN_RUNS)}
    told = [(event.received, ends.get(event.run, 0)) for event in hand.told]
    waits = [(received - end) / 1e6 for received, end in told if end > watched[0]]
    return figures | spread(waits) | {"told": len(waits)}


def spread(waits: list[float]) -> dict[str, float]:
    return {"p95": statistics.quantiles(waits, n=20)[-1], "median": statistics.median(waits), "longest": max(waits)}


# --- figures ------------------------------------------------------------------------------------------------------


def apart(what: str, seconds: float) -> dict[str, float]:
    """Filled in one process and watched in another, so that the latter's memory is of watching alone."""
    with tempfile.TemporaryDirectory(prefix="flowtell-bench-") as home:
        for command in (f"fill_{what}", f"watch_{what}"):
            done = subprocess.run(
                [sys.executable, __file__, command, home, str(seconds)], stdout=subprocess.PIPE, text=True, check=True
            )
    return json.loads(done.stdout.splitlines()[-1])


def measure(quick: bool = False) -> list[Figure]:
    figures = []
    for what, after in (("late", f"{GRACE} s of grace"), ("too_long", "the bound and 2 s")):
        found = apart(what, 60 if quick else 300)
        note = f"after {after}; median {found['median']:.2f}, longest {found['longest']:.2f} s, {found['told']:.0f} told"
        figures.append(Figure(f"{what}, 100,000 watched: told, p95", found["p95"], "s", at_most=1.0, note=note))
        figures.append(Figure(f"{what}, 100,000 watched: processor", found["cores"], "cores", at_most=0.25))
        figures.append(Figure(f"{what}, 100,000 watched: process", found["megabytes"], "MB", at_most=300))
    return figures


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fill_late", folder, _]:
            fill_late(folder)
        case ["fill_too_long", folder, _]:
            fill_too_long(folder)
        case ["watch_late", folder, seconds]:
            print(json.dumps(watch_late(folder, float(seconds))))
        case ["watch_too_long", folder, seconds]:
            print(json.dumps(watch_too_long(folder, float(seconds))))
        case arguments:
            for figure in measure(quick="--quick" in arguments):
                print(figure)
