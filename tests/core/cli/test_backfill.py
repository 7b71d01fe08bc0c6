"""`flowtell backfill`: a flow once for each day or value, in processes, under one run, and what is done stays done."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest

FLOWTELL = Path(sys.executable).with_name("flowtell")
FLOWS = """
    import os, time
    from datetime import date
    from pathlib import Path
    from flowtell import flow, task
    from flowtell.cache_policies import INPUTS

    @task
    def note(folder: Path, word: str):
        with open(folder / "done", "a") as file:
            file.write(f"{word}\\n")

    @flow
    def inner(): ...

    @flow
    def nightly(day: str, shop: str = "berlin", seconds: str = "0"):
        folder = Path(__file__).parent
        with open(folder / "begun", "a") as file:
            file.write(f"{day} {os.getpid()}\\n")
        inner()
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until and not (folder / "let go").exists():
            time.sleep(0.02)
        if (folder / f"closed {shop}").exists():
            raise ValueError("closed")
        note(folder, f"{day} {shop}")

    @task(cache_policy=INPUTS)
    def compute(day: str):
        with open(Path(__file__).parent / "computed", "a") as file:
            file.write(f"{day}\\n")
        return day

    @flow
    def kept(day: str):
        compute(day)

    @flow
    def dated(day: date, other: int = 1): ...
"""


@pytest.fixture
def flows(tmp_path, monkeypatch):
    """A file of flows, the folder that it lies in being the working one."""
    (tmp_path / "flows.py").write_text(textwrap.dedent(FLOWS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("flows", None)


def lines(folder: Path, name: str) -> list[str]:
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


NOVEMBER = ("backfill", "flows.py:nightly", "--from", "2026-11-01", "--to")


# --- what is to be


def test_a_dry_run_tells_the_runs(flows, flowtell):
    """And runs none."""
    told = flowtell(*NOVEMBER, "2026-11-02", "--into", "day", "-p", "shop=berlin,paris", "--dry-run")
    assert told.rows == [
        ["to run", "day=2026-11-01 shop=berlin"],
        ["to run", "day=2026-11-01 shop=paris"],
        ["to run", "day=2026-11-02 shop=berlin"],
        ["to run", "day=2026-11-02 shop=paris"],
    ]
    listed = flowtell("backfill", "flows.py:nightly", "-p", 'day=["a,b", "c"]', "--dry-run", "--json")
    assert [case["parameters"]["day"] for case in listed.json] == ["a,b", "c"]
    assert lines(flows, "begun") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nightly",), "Say over what"),
        (("nightly", "--from", "2026-11-01"), "A range has two ends"),
        (("nightly", "--into", "day", "-p", "day=a"), "Say over what"),
        (("nightly", "--from", "1", "--to", "2"), "--from 1 is no date"),
        (("nightly", "-p", "day=[a"), "begins as a JSON list"),
        (("nightly", "-p", "dai=a"), "FT2310"),
        (("nightly", "--from", "2026-11-01", "--to", "2026-11-02"), "could be day or shop or seconds"),
        (("dated", "-p", "day=2026-11-01,yesterday"), "FT2310"),
    ],
)
def test_what_cannot_be_is_said(flows, flowtell, words, said):
    name, *options = words
    told = flowtell("backfill", f"flows.py:{name}", *options)
    assert told.code in (1, 2)
    assert said in told.err


# --- what is run


@pytest.mark.slow
def test_each_day_is_a_run_under_one_parent(flows, shell):
    """All in one family and one trace, all told as a back-fill, the flows that they call too."""
    done = shell(*NOVEMBER, "2026-11-03", "--into", "day", "--parallel", "2", "--json")
    assert done.code == 0, done.err
    assert (done.json["completed"], done.json["skipped"]) == (3, 0)
    assert sorted(lines(flows, "done")) == [f"2026-11-0{day} berlin" for day in (1, 2, 3)]
    started = shell("events", "--type", "flow_run.started", "--json").json_lines
    [parent] = [event for event in started if event["flow"] == "nightly backfill"]
    filled = [event for event in started if event["flow"] == "nightly"]
    assert {event["parent_run"] for event in filled} == {parent["run"]}
    assert {event["root_run"] for event in started if event is not parent} == {parent["run"]}
    assert {event["trace"] for event in started} == {parent["run"]}
    assert {event["cause"] for event in started} == {"backfill"}
    assert Counter(event["flow"] for event in started) == {"nightly backfill": 1, "nightly": 3, "inner": 3}
    again = shell(*NOVEMBER, "2026-11-03", "--into", "day", "--json")
    assert (again.code, again.json["completed"], again.json["skipped"]) == (0, 0, 3)


@pytest.mark.slow
def test_what_failed_is_run_again(flows, shell):
    """And nothing else; the first call fails, tells which did, and its parent run has failed."""
    (flows / "closed paris").touch()
    words = ("backfill", "flows.py:nightly", "-p", "day=mon", "-p", "shop=berlin,paris", "--name", "shops")
    failed = shell(*words)
    assert failed.code == 1
    assert [row[0::2] for row in failed.rows] == [["failed", "day=mon shop=paris"]]
    assert "1 of the 2 runs of back-fill 'shops' did not complete" in failed.err
    (flows / "closed paris").unlink()
    mended = shell(*words, "--json")
    assert (mended.code, mended.json["completed"], mended.json["skipped"]) == (0, 1, 1)
    assert lines(flows, "done") == ["mon berlin", "mon paris"]
    states = {run["flow"]: run["state"] for run in reversed(shell("runs", "--json").json)}
    assert states["nightly backfill"] == "completed"
    anew = shell(*words, "--anew", "--json")
    assert (anew.json["completed"], anew.json["skipped"]) == (2, 0)


@pytest.mark.slow
def test_what_is_cached_can_be_made_anew(flows, shell):
    """With --refresh-cache; without it a day that is run anew takes what is known."""
    words = ("backfill", "flows.py:kept", "-p", "day=mon", "--anew")
    for options in ((), (), ("--refresh-cache",)):
        done = shell(*words, *options)
        assert done.code == 0, done.err
    assert len(lines(flows, "computed")) == 2


@pytest.mark.slow
def test_parallel_is_a_bound(flows, shell):
    """No more than so many at a time."""
    done = shell(*NOVEMBER, "2026-11-04", "--into", "day", "-p", "seconds=0.4", "--parallel", "2")
    assert done.code == 0, done.err
    ends = [event for event in shell("events", "--json").json_lines if event.get("flow") == "nightly"]
    going = most = 0
    for event in sorted(ends, key=lambda event: event["time"]):
        going += {"flow_run.started": 1, "flow_run.finished": -1}.get(event["type"], 0)
        most = max(most, going)
    assert most == 2


@pytest.mark.slow
def test_a_back_fill_is_cancelled_with_its_runs(flows, signals_as_in_a_shell, shell):
    """By Ctrl-C's signal: all end as cancelled, and the next call runs them."""
    words = (*NOVEMBER, "2026-11-02", "--into", "day", "-p", "seconds=60", "--parallel", "2")
    process = subprocess.Popen([FLOWTELL, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(lines(flows, "begun")) == 2)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    states = Counter((run["flow"], run["state"]) for run in shell("runs", "--json").json)
    assert states == {("nightly backfill", "cancelled"): 1, ("nightly", "cancelled"): 2, ("inner", "completed"): 2}
    assert shell(*words, "--dry-run").rows[0][0] == "to run"


@pytest.mark.slow
def test_killed_at_random_every_day_is_filled_once(flows, shell, rounds):
    """Whoever calls again waits for the runs that go on, and runs the rest; no run outlives its turn unseen."""
    days = 8
    words = (*NOVEMBER, f"2026-11-{days:02}", "--into", "day", "-p", "seconds=0.2", "--parallel", "3")
    for _ in range(rounds(full=8, ci=3)):
        process = subprocess.Popen([FLOWTELL, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.5, 2.5))
        process.kill()
        process.wait()
    assert shell(*words).code == 0
    assert Counter(lines(flows, "done")) == {f"2026-11-{day:02} berlin": 1 for day in range(1, days + 1)}
    told = shell("runs", "--limit", "100", "--json").json
    assert Counter(run["state"] for run in told if run["flow"] == "nightly") == {"completed": days}


@pytest.mark.slow
def test_a_killed_run_crashes_alone(flows, shell):
    """The others complete; the back-fill fails, and the next call runs that one."""
    words = (*NOVEMBER, "2026-11-02", "--into", "day", "-p", "seconds=60", "--parallel", "2", "--json")
    process = subprocess.Popen([FLOWTELL, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(lines(flows, "begun")) == 2)
    os.kill(int(lines(flows, "begun")[0].split()[1]), signal.SIGKILL)
    (flows / "let go").touch()
    out = process.communicate(timeout=30)[0]
    assert process.returncode == 1
    assert Counter(run["state"] for run in json.loads(out)["runs"]) == {"crashed": 1, "completed": 1}
    states = Counter(run["state"] for run in shell("runs", "--json").json if run["flow"] == "nightly")
    assert states == {"crashed": 1, "completed": 1}
    assert shell(*words).json["completed"] == 1


def wait_for(what, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)
