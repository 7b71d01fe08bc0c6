"""Limits over processes that are killed at random, against a diary that the runs themselves keep."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from flowtell.config import load
from flowtell.events import decode
from flowtell.limits.desk import LocalDesk
from flowtell.server.catch_up import catch_up
from flowtell.store import open_store
from flowtell.store.reading import list_runs

WORKER = Path(__file__).with_name("children") / "limited_worker.py"
FLOWTELL = Path(sys.executable).with_name("flowtell")
PROCESSES, LIMIT = 8, 3


class Diary:
    """What the runs wrote, in order: `in` and `out`; `killed` is written by who kills, while the killed one stands still."""

    def __init__(self, path):
        self.path = path
        path.touch()

    def note_killed(self, process):
        """Stopped first: from the note to its death it holds its place and does nothing."""
        process.send_signal(signal.SIGSTOP)
        with open(self.path, "ab") as file:
            file.write(f"killed {process.pid} -\n".encode())
        process.kill()

    def lines(self):
        return [line.split() for line in self.path.read_text().splitlines()]

    def most_at_once(self):
        inside, most = {}, 0
        for word, pid, run in self.lines():
            if word == "in":
                inside[pid] = run
            else:
                inside.pop(pid, None)
            most = max(most, len(inside))
        return most


def start(diary, count, seconds, **environ):
    words = [sys.executable, str(WORKER), str(diary.path), str(count), str(seconds)]
    return subprocess.Popen(words, env={**os.environ, "FLOWTELL_QUIET": "1", **environ})


def await_end(processes, seconds):
    until = time.monotonic() + seconds
    for process in processes:
        assert process.wait(max(until - time.monotonic(), 0.1)) == 0


@pytest.fixture
def diary(tmp_path):
    return Diary(tmp_path / "diary")


@pytest.fixture
def processes():
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        with suppress(OSError):
            process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_three_at_a_time_whatever_is_killed(home, diary, processes, rounds):
    """Eight processes want 200 runs each, and are killed and replaced at random: never a fourth inside, none left behind."""
    wanted = rounds(full=200, ci=40)
    choice = random.Random(4)
    done = dict.fromkeys(range(PROCESSES), 0)
    living = {place: start(diary, wanted, 0.002) for place in range(PROCESSES)}
    processes += living.values()
    kills, until = 0, time.monotonic() + 300
    while living:
        assert time.monotonic() < until, f"stuck: {diary.lines()[-5:]}, {LocalDesk(str(home), {}).look()}"
        time.sleep(choice.uniform(0.02, 0.3))
        outs = _ended_by(diary)
        for place, process in list(living.items()):
            if process.poll() is not None:
                assert process.returncode == 0
                del living[place]
        if living and kills < wanted // 4:
            place = choice.choice(list(living))
            victim = living[place]
            if victim.poll() is None:
                diary.note_killed(victim)
                victim.wait()
                kills += 1
                done[place] += outs.get(str(victim.pid), 0)
                living[place] = start(diary, max(wanted - done[place], 1), 0.002)
                processes.append(living[place])
    assert diary.most_at_once() == LIMIT
    assert kills >= wanted // 8
    _check_events(home)
    _check_log(home)


def _ended_by(diary):
    outs: dict[str, int] = {}
    for word, pid, _ in diary.lines():
        if word == "out":
            outs[pid] = outs.get(pid, 0) + 1
    return outs


def _events(home):
    lines = [line for path in (home / "journals").glob("*.jsonl") for line in path.read_bytes().splitlines()]
    return [decode(line) for line in lines if line.endswith(b"}") and b'"type":"journal.' not in line]


def _check_events(home):
    """Whoever waited named runs that held a place or were about to, by those runs' own events; use was never beyond."""
    events = _events(home)
    started = {event.run: event.time for event in events if event.type == "flow_run.started"}
    finished = {event.run: event.time for event in events if event.type == "flow_run.finished"}
    waiting = [event for event in events if event.type == "flow_run.waiting"]
    second = 1_000_000
    assert waiting
    for event in waiting:
        (on,) = event.on
        assert (event.reason, on.kind, on.name) == ("limit", "limit", "flow:limited")
        assert 1 <= len(on.runs) <= 2 * LIMIT
        for run in on.runs:
            assert started.get(run, event.time) <= event.time + second
            assert finished.get(run, event.time) >= event.time - second
    observed = [event for event in events if event.type == "capacity.observed"]
    assert {event.limit for event in observed} == {LIMIT}
    assert 1 <= max(event.used for event in observed) <= LIMIT  # told now and then: a short play may miss the busiest moment
    assert all(event.used == len(event.holders) for event in observed)
    assert all({holder.run for holder in event.holders} <= started.keys() | finished.keys() for event in observed)


def _check_log(home):
    """Each run has ended: those of the killed, inside or in line, as crashed."""
    config = load({"plugins.disable": "alerts,dashboard,jsonlines,lineage,notifications,prometheus"})
    until = time.monotonic() + 60
    while catch_up(config, timeout=10).message:
        assert time.monotonic() < until
    store = open_store(config.store_url, read_only=True)
    states = [run.state for run in list_runs(store.read, limit=10_000)]
    store.close()
    assert set(states) <= {"completed", "crashed"}
    assert states.count("crashed") >= 1


@pytest.mark.slow
def test_what_a_killed_holder_held_is_free_at_once(home, diary, processes):
    holders = [start(diary, 1, 60) for _ in range(LIMIT)]
    processes += holders
    until = time.monotonic() + 30
    while len(diary.lines()) < LIMIT:
        assert time.monotonic() < until
        time.sleep(0.02)
    waiting = start(diary, 1, 0)
    processes.append(waiting)
    while not any(event.type == "flow_run.waiting" for event in _events(home)):
        assert time.monotonic() < until
        time.sleep(0.02)
    diary.note_killed(holders[0])
    began = time.monotonic()
    await_end([waiting], 20)
    assert time.monotonic() - began < 2
    ((name, page, _),) = LocalDesk(str(home), {}).look()
    assert (name, page.limit, page.used) == ("flow:limited", LIMIT, 2)


@pytest.fixture
def in_line(home, diary, processes):
    """Three hold the limit and one waits: the process that waits, and its run."""
    processes += [start(diary, 1, 60) for _ in range(LIMIT)]
    _until(lambda: len(diary.lines()) == LIMIT)
    waiting = start(diary, 1, 0)
    processes.append(waiting)
    _until(lambda: [event for event in _events(home) if event.type == "flow_run.waiting"])
    return waiting, next(event.run for event in _events(home) if event.type == "flow_run.waiting")


def _until(condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def _flowtell(*words):
    return subprocess.run([FLOWTELL, *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_a_killed_run_that_waited_has_crashed_and_lost_its_turn(home, in_line):
    process, run = in_line
    process.kill()
    process.wait()
    _until(lambda: json.loads(_flowtell("runs", run, "--json").stdout)["run"]["state"] == "crashed")
    (state,) = json.loads(_flowtell("limits", "list", "--json").stdout)
    assert (state["used"], state["waiting"]) == (LIMIT, 0)


@pytest.mark.slow
def test_cancel_reaches_a_run_that_waits(in_line):
    process, run = in_line
    assert json.loads(_flowtell("runs", run, "--json").stdout)["run"]["state"] == "waiting"
    done = _flowtell("cancel", run, "--reason", "not today")
    assert (done.returncode, "cancelled" in done.stderr) == (0, True), done
    assert process.wait(20) != 0
    assert json.loads(_flowtell("runs", run, "--json").stdout)["run"]["state"] == "cancelled"
