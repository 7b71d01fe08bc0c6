"""Serving processes as a machine treats them: killed, stopped in order, two at a time, and asked to cancel."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from flowtell.cli import main

FLOWTELL = Path(sys.executable).with_name("flowtell")


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("FLOWTELL_QUIET", "1")


@pytest.fixture
def begun(tmp_path):
    """Run, due time and process of each call of the function."""

    def read() -> list[list[str]]:
        path = tmp_path / "begun"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    return read


@pytest.fixture
def flowtell():
    """Run a command as a process, and give what it says."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([FLOWTELL, *words], capture_output=True, text=True, timeout=60, check=False)

    return run


def runs(flowtell) -> dict[str, dict[str, object]]:
    listed = flowtell("runs", "--limit", "1000", "--json")
    return {run["id"]: run for run in json.loads(listed.stdout)}


def ended(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b") ")[2].startswith(b"Z")
    except OSError:
        return True


def test_asked_to_end_it_lets_runs_clean_up_and_ends_in_order(house, tmp_path, begun, flowtell):
    """SIGTERM to the serving process alone; the run is cancelled, and nothing is left."""
    server = house.child("served.py", tmp_path, "1s", 60)
    house.until(begun, what="a run begins")
    house.kill(server, signal.SIGTERM)
    assert server.returncode == 0
    assert (tmp_path / "cleaned").exists()
    (run,) = [run for run in runs(flowtell).values() if run.get("started")]
    assert (run["state"], run["signal"], run["deployment"]) == ("cancelled", "SIGTERM", "e2e")
    assert not list((house.home / "deployments").glob("*.run"))
    assert not list((house.home / "journals").glob("*.control"))


def test_a_run_that_will_not_clean_up_in_time_is_killed(house, tmp_path, flowtell):
    """It has one end, cancelled, whichever journal is read first: it has said itself that it was asked to end."""
    script = tmp_path / "deaf.py"
    script.write_text(DEAF)
    server = house.child(script, env={"FLOWTELL_SERVE__GRACE_SECONDS": "0.5"})
    house.until((tmp_path / "deaf.begun").exists, what="a run begins")
    house.kill(server, signal.SIGTERM)
    (run,) = [run for run in runs(flowtell).values() if run.get("started")]
    assert (run["state"], run["error"]["type"], run.get("corrections", 0)) == ("cancelled", "Cancelled", 0)


@pytest.mark.parametrize("first", ["the run's", "the serving process's"])
def test_a_killed_runs_end_is_the_same_whichever_journal_is_read_first(house, tmp_path, flowtell, first):
    script = tmp_path / "deaf.py"
    script.write_text(DEAF)
    server = house.child(script, env={"FLOWTELL_SERVE__GRACE_SECONDS": "0.5"})
    house.until((tmp_path / "deaf.begun").exists, what="a run begins")
    house.kill(server, signal.SIGTERM)
    journals = sorted((house.home / "journals").glob("*.jsonl"))
    own = [path for path in journals if b'"flow_run.started"' in path.read_bytes()]
    later = own if first == "the serving process's" else [path for path in journals if path not in own]
    aside = tmp_path / "aside"
    aside.mkdir()
    for path in later:
        path.rename(aside / path.name)
    runs(flowtell)
    for path in later:
        (aside / path.name).rename(path)
    (run,) = [run for run in runs(flowtell).values() if run.get("started")]
    assert (run["state"], run.get("corrections", 0)) == ("cancelled", 0)


DEAF = """
import time
from pathlib import Path
from flowtell import every, flow

@flow
def deaf():
    Path(__file__).with_suffix(".begun").touch()
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass

if __name__ == "__main__":
    deaf.serve("x", schedule=every("1s"))
"""


def test_a_flow_whose_file_cannot_be_imported_any_more_fails_with_the_reason(house, tmp_path, flowtell, children):
    """Somebody broke the file after serving had begun: each due run says so, rather than none."""
    script = tmp_path / "broken.py"
    script.write_text((children / "served.py").read_text())
    server = house.child(script, tmp_path, "500ms", 0)
    house.until(lambda: list((house.home / "deployments").glob("*.json")), what="served")
    script.write_text("import nothing_of_this_name\n")
    house.until(lambda: any(run["state"] == "failed" for run in runs(flowtell).values()), what="a failed run")
    house.kill(server, signal.SIGTERM)
    failed = next(run for run in runs(flowtell).values() if run["state"] == "failed")
    assert "nothing_of_this_name" in failed["error"]["message"]


def test_a_second_process_takes_over_when_the_first_is_killed(house, tmp_path, begun):
    """And starts no due time that the first has answered."""
    first = house.child("served.py", tmp_path, "500ms", 0)
    house.until(lambda: len(begun()) >= 2, what="runs")
    second = house.child("served.py", tmp_path, "500ms", 0)
    time.sleep(0.5)
    house.kill(first)
    before = len(begun())
    house.until(lambda: len(begun()) >= before + 3, what="runs of the second")
    house.kill(second, signal.SIGTERM)
    assert max(Counter(due for _, due, _ in begun()).values()) == 1


@pytest.mark.slow
def test_killed_at_random_no_due_time_is_answered_twice_or_left_out(house, tmp_path, begun, flowtell, rounds):
    """The serving process is killed again and again, in the middle of whatever it does; its runs go on.

    Two of them at a time, so that takeover is part of it. In the end each due time from the first to the last has one run
    that began once and one end.
    """
    servers = [house.child("served.py", tmp_path, "300ms", 0.05, "queue") for _ in range(2)]
    house.until(begun, what="a run begins")
    for number in range(rounds(full=40, ci=8)):
        time.sleep(random.uniform(0.05, 1.2))
        house.kill(servers[number % 2])
        servers[number % 2] = house.child("served.py", tmp_path, "300ms", 0.05, "queue")
    house.until(lambda: not list((house.home / "deployments").glob("*.run")), 60, "all caught up")
    for server in servers:
        house.kill(server, signal.SIGTERM)
    dues = sorted(float(due) for _, due, _ in begun())
    assert max(Counter(dues).values()) == 1
    gaps = [round(later - earlier, 3) for earlier, later in pairwise(dues)]
    assert set(gaps) == {0.3}, "due times were left out"
    states = Counter(run["state"] for run in runs(flowtell).values() if run["id"] in {run for run, _, _ in begun()})
    assert set(states) == {"completed"}
    (ledger,) = (house.home / "deployments").glob("*.json")
    still_claimed = set(json.loads(ledger.read_bytes()).get("claims", {}))
    assert {row[0] for row in house.sql("SELECT id FROM runs WHERE ended IS NULL")} <= still_claimed


def test_cancel_reaches_a_run_that_a_schedule_began(house, tmp_path, begun, flowtell):
    """Its code cleans up; the serving process goes on, and starts the next."""
    server = house.child("served.py", tmp_path, "1s", 60)
    house.until(begun, what="a run begins")
    run = begun()[0][0]
    done = flowtell("cancel", run, "--reason", "wrong day")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cleaned").exists()
    told = [json.loads(line) for line in flowtell("events", "--json", "--limit", "1000").stdout.splitlines()]
    mine = [event for event in told if event.get("run") == run]
    cancelling = next(event for event in mine if event["type"] == "flow_run.cancelling")
    assert cancelling["reason"] == "wrong day"
    assert cancelling["actor"]
    assert [event["type"] for event in mine if event["type"].startswith("action")] == ["action.requested", "action.done"]
    assert [event["state"] for event in mine if event["type"] == "flow_run.finished"] == ["cancelled"]
    house.until(lambda: len(begun()) >= 2, what="the next run begins")
    house.kill(server, signal.SIGTERM)


def test_cancel_reaches_a_run_that_waits(house, tmp_path, begun, flowtell):
    """It never begins; the one that it waited for goes on."""
    server = house.child("served.py", tmp_path, "1s", 60)
    house.until(lambda: any(run["state"] == "waiting" for run in runs(flowtell).values()), what="a run waits")
    waiting = min(run["id"] for run in runs(flowtell).values() if run["state"] == "waiting")
    done = flowtell("cancel", waiting)
    assert done.returncode == 0, done.stderr
    assert runs(flowtell)[waiting]["state"] == "cancelled"
    assert not ended(int(begun()[0][2]))
    house.kill(server, signal.SIGTERM)
    assert waiting not in {run for run, _, _ in begun()}


STUBBORN = """
import sys, time
from flowtell import flow

@flow
def stubborn():
    print("begun", flush=True)
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass

@flow
def inner():
    stubborn()

if __name__ == "__main__":
    globals()[sys.argv[1]]()
"""


@pytest.mark.parametrize("listens", [True, False], ids=["flowtell run", "a plain script"])
def test_a_run_that_will_not_end_is_killed_after_its_grace(house, tmp_path, flowtell, listens):
    """It counts as cancelled, not as crashed, and says why."""
    script = tmp_path / "stubborn.py"
    script.write_text(STUBBORN)
    command = [FLOWTELL, "run", f"{script}:stubborn"] if listens else [sys.executable, script, "stubborn"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    house.processes.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    (run,) = runs(flowtell)
    done = flowtell("cancel", run, "--grace", "1s")
    process.stdout.close()
    assert process.wait(10) == -signal.SIGKILL
    assert done.returncode == 0, done.stderr
    assert "killed" in done.stderr
    found = runs(flowtell)[run]
    assert (found["state"], found["signal"]) == ("cancelled", "SIGKILL")
    assert found.get("corrections", 0) == 0
    assert not list((house.home / "journals").glob("*.control"))


def test_what_cannot_be_cancelled_is_refused_in_words(house, tmp_path, flowtell, capsys):
    """A run that has ended, and one inside another."""
    script = tmp_path / "stubborn.py"
    script.write_text(STUBBORN)
    process = subprocess.Popen([FLOWTELL, "run", f"{script}:inner"], stdout=subprocess.PIPE)
    house.processes.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    listed = runs(flowtell)
    inside = next(run["id"] for run in listed.values() if run["flow"] == "stubborn")
    outer = next(run["id"] for run in listed.values() if run["flow"] == "inner")
    refused = flowtell("cancel", inside)
    assert refused.returncode == 1
    assert f"FT2304: Run {inside} was not cancelled: it is part of run {outer}" in refused.stderr
    process.stdout.close()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    house.until(lambda: runs(flowtell)[outer]["state"] == "crashed", what="crashed")
    refused = flowtell("cancel", outer)
    assert "it has ended already, as crashed" in refused.stderr


def test_serve_as_a_command(house, tmp_path, begun, children, capfd):
    """`flowtell serve FILE.py:FLOW --every`, and what `flowtell deployments` says of it."""
    words = ["serve", f"{children / 'served.py'}:tick", "--every", "300ms", "-p", f"folder={tmp_path}", "--name", "cli"]
    server = subprocess.Popen([FLOWTELL, *words])
    house.processes.append(server)
    house.until(lambda: len(begun()) >= 2, what="runs")
    capfd.readouterr()
    assert main(["deployments", "--json"]) == 0
    (listed,) = json.loads(capfd.readouterr().out)
    assert (listed["name"], listed["pid"]) == ("tick/cli", str(server.pid))
    assert listed["next_due"] > time.time_ns() // 1000 - 1_000_000
    assert main(["deployments", "remove", "tick/cli"]) == 1
    assert "FT2306" in capfd.readouterr().err
    house.kill(server, signal.SIGTERM)
    assert main(["deployments", "remove", "tick/cly"]) == 1
    assert "Did you mean 'tick/cli'?" in capfd.readouterr().err
    assert main(["deployments", "remove", "tick/cli"]) == 0
    assert not list((house.home / "deployments").iterdir())
    assert main(["serve", f"{children / 'served.py'}:tick"]) == 2
