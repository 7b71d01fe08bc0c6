"""The timeline in a real browser at 100,000 and 1,000,000 runs, and the lag from an event to its bar under twenty pages.

A server with every plugin on a store of a year, Debian's Chromium. *Cold*: a new browser context opens `/timeline`, until
the canvas was painted from the server's data. *Move*: a zoom or a move by key until the picture with the newly asked data
was painted; half of them also show a longer time than the one before. The floor beside the first is the same address's
document and scripts without any data: an empty store. Run: `python benchmarks/timeline.py [RUNS]`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from figure import Figure

from flowtell.store import open_store
from flowtell.store.tables import runs

FLOWS, YEAR = 350, 365 * 86_400 * 1_000_000
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")
MOVES = (
    "+",
    "+",
    "ArrowLeft",
    "ArrowLeft",
    "+",
    "ArrowRight",
    "-",
    "-",
    "-",
    "ArrowLeft",
    "-",
    "ArrowRight",
    "-",
    "+",
    "ArrowLeft",
)
WHOLE = "body:not(:has(> #stage)) #timeline[data-painted]"
"""The page when Dash has taken the picture over, with all its controls."""

TABS, EVENTS_A_SECOND, LIVE_SECONDS = 20, 500, 20.0

_SERVER = """
from flowtell import config
from flowtell.server.app import run_server
run_server(config.load({"server.port": 0}), announce=lambda url: print(url, flush=True))
"""

_SENDER = """
import sys, time
from flowtell import bus
from flowtell.events import FlowRunFinished, FlowRunStarted
from flowtell.ids import new_id
rate, seconds = float(sys.argv[1]), float(sys.argv[2])
begin, sent = time.monotonic(), 0
while (at := time.monotonic() - begin) < seconds:
    while sent < at * rate:
        named = {"run": new_id(), "flow": f"live-{sent % 40}", "environment": "prod"}
        now = time.time_ns() // 1000
        bus.emit(FlowRunStarted(id=new_id(), time=now, **named))
        bus.emit(FlowRunFinished(id=new_id(), time=now + 1000, state="completed", duration=0.001, **named))
        sent += 2
    time.sleep(0.01)
"""


# --- a store and a server -----------------------------------------------------------------------------------------


def fill(home: str, amount: int) -> None:
    """A year of runs, one in fifty of them failed, of lengths as in life: a minute or two, some hours at times."""
    rng, now = random.Random(7), time.time_ns() // 1000
    store = open_store(f"sqlite:///{os.path.join(home, 'flowtell.db')}")
    fixed = {"source": "", "writer": 1, "first_seq": 1, "last_seq": 1}
    try:
        for first in range(0, amount, 10_000):
            rows = [_row(rng, now, fixed) for _ in range(first, min(first + 10_000, amount))]
            with store.write() as transaction:
                transaction.connection.execute(runs.insert(), rows)
    finally:
        store.close()


def _row(rng: random.Random, now: int, fixed: dict[str, Any]) -> dict[str, Any]:
    started = now - int(rng.random() * YEAR)
    ended = min(started + int(rng.lognormvariate(4.5, 1.5) * 1e6), now)
    number = rng.randrange(FLOWS)
    return {
        **fixed,
        "id": f"{started // 1000:012x}7{rng.getrandbits(76):019x}",
        "flow": f"flow-{number:03}",
        "environment": rng.choice(("prod", "staging")),
        "deployment": rng.choice((None, "nightly")),
        "state": "failed" if rng.random() < 0.02 else "completed",
        "tags": '["finance"]' if number % 5 == 0 else None,
        "changed": ended,
        "started": started,
        "ended": ended,
    }


@contextlib.contextmanager
def serving(home: str) -> Iterator[tuple[str, int]]:
    """A server in a process of its own, with its runs in memory."""
    environment = {**os.environ, "FLOWTELL_HOME": home}
    server = subprocess.Popen([sys.executable, "-c", _SERVER], env=environment, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        address = server.stdout.readline().strip()
        now = time.time_ns() // 1000
        urllib.request.urlopen(f"{address}/_timeline/blocks?from={now - 10_000_000}&to={now}", timeout=120).read()
        yield address, server.pid
    finally:
        server.terminate()
        server.wait(20)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "no Chromium here; on Debian: apt-get install chromium"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


# --- one page -----------------------------------------------------------------------------------------------------


def cold(browser: Any, address: str, path: str = "/timeline") -> float:
    """Seconds until a new context's first page is painted from data."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    began = time.perf_counter()
    page.goto(address + path, wait_until="commit")
    page.wait_for_selector("#timeline[data-painted]", timeout=60_000)
    took = time.perf_counter() - began
    context.close()
    return took


_MOVE = """(key) => new Promise((done) => {
    const timeline = document.getElementById("timeline");
    const began = performance.now(), before = Number(timeline.dataset.answers);
    const watch = () => {
        if (Number(timeline.dataset.answers) > before && timeline.dataset.paintedAnswer === timeline.dataset.answers)
            done(performance.now() - began);
        else requestAnimationFrame(watch);
    };
    document.getElementById("timeline-lanes").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    watch();
})"""


def moves(browser: Any, address: str, *, year: bool) -> list[float]:
    """Milliseconds from each key to the picture that the server's answer made."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(f"{address}/timeline?last={'365d' if year else '7d'}")
    page.wait_for_selector(WHOLE, timeout=60_000)
    page.wait_for_timeout(1500)
    taken = [page.evaluate(_MOVE, key) for key in MOVES * 2]
    context.close()
    return [float(one) for one in taken]


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(int(len(values) * part), len(values) - 1)]


# --- live ---------------------------------------------------------------------------------------------------------

_PAINTS = """() => {
    window.paints = [];
    const timeline = document.getElementById("timeline");
    new MutationObserver(() => {
        const newest = Number(timeline.dataset.newest), last = window.paints.at(-1);
        if (newest && (!last || last[1] !== newest)) window.paints.push([Date.now(), newest]);
    }).observe(timeline, { attributeFilter: ["data-painted"] });
}"""
"""Notes when each picture with a newer run was painted, and when that run began; both in ms."""


def lags_of(paints: list[list[float]], since: float) -> list[float]:
    """Milliseconds that events after `since` waited for the picture that first shows them, at one event in 10 ms."""
    lags = []
    for (_, before), (painted, newest) in itertools.pairwise(paints):
        lags += [painted - at for at in range(int(newest), int(max(before, since)), -10)]
    return lags


def processor_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def live(browser: Any, address: str, home: str, pid: int, seconds: float) -> tuple[list[float], float]:
    """Milliseconds from an event to the picture that shows it, on all pages; and the server's part of a core."""
    pages = []
    for _ in range(TABS):
        page = browser.new_context(viewport={"width": 1200, "height": 700}).new_page()
        page.goto(f"{address}/timeline?last=1h")
        page.wait_for_selector(WHOLE, timeout=60_000)
        page.evaluate(_PAINTS)
        pages.append(page)
    environment = {**os.environ, "FLOWTELL_HOME": home}
    command = [sys.executable, "-c", _SENDER, str(EVENTS_A_SECOND), str(seconds)]
    used, began, since = processor_seconds(pid), time.monotonic(), time.time() * 1000
    sender = subprocess.Popen(command, env=environment)
    while sender.poll() is None:
        pages[0].wait_for_timeout(200)
    part = (processor_seconds(pid) - used) / (time.monotonic() - began)
    lags = [lag for page in pages for lag in lags_of(page.evaluate("() => window.paints"), since)]
    for page in pages:
        page.context.close()
    return lags, part


# --- figures ------------------------------------------------------------------------------------------------------


def measure(quick: bool = False) -> Iterator[Figure]:
    with chromium() as browser:
        with tempfile.TemporaryDirectory() as home, serving(home) as (address, _):
            floor = statistics.median(cold(browser, address) for _ in range(3))
        for amount, first, then in ((100_000, 1.0, 100.0), (1_000_000, 1.5, 150.0)):
            if quick and amount > 100_000:
                continue
            yield from _at(browser, amount, floor, first, then, quick=quick)


def _at(browser: Any, amount: int, floor: float, first: float, then: float, *, quick: bool) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as home:
        fill(home, amount)
        with serving(home) as (address, pid):
            opened = [cold(browser, address) for _ in range(3 if quick else 7)]
            note = f"an empty store's page {floor:.2f} s, so {statistics.median(opened) / floor:.2f} times"
            yield Figure(f"{amount:,} runs: cold page to painted", statistics.median(opened), "s", at_most=first, note=note)
            moved = [*moves(browser, address, year=False), *moves(browser, address, year=True)]
            spread = f"p50 {quantile(moved, 0.5):.0f}, max {max(moved):.0f}"
            yield Figure(
                f"{amount:,} runs: move or zoom to painted, p95", quantile(moved, 0.95), "ms", at_most=then, note=spread
            )
            if amount == 100_000:
                lags, part = live(browser, address, home, pid, 5.0 if quick else LIVE_SECONDS)
                note = f"p50 {quantile(lags, 0.5):.0f}, {len(lags):,} of the events on {TABS} pages"
                yield Figure("event to bar, 20 pages, 500 events/s, p95", quantile(lags, 0.95), "ms", at_most=500, note=note)
                yield Figure("the server meanwhile", part, "cores", at_most=1.0)


if __name__ == "__main__":
    for figure in measure("--quick" in sys.argv):
        print(f"{figure.name:55} {figure.value:8.3f} {figure.unit:6} {figure.bound:10} {figure.note}")
