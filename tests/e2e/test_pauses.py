"""Paused runs through deaths: of the process that serves them, of their own, of the server; and how fast they go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FLOWTELL = Path(sys.executable).with_name("flowtell")

SERVED = """
import os, sys
from pathlib import Path
from flowtell import every, flow, pause_flow_run, task

@task
def prepare():
    return 1

@flow(name="reviewed")
def reviewed(folder: str):
    with open(Path(folder) / "begun", "a") as file:
        file.write(f"{os.getpid()}\\n")
    prepare()
    first = pause_flow_run(int, key="first", timeout="1h", poll_interval=0.05)
    second = pause_flow_run(int, key="second", timeout="1h", poll_interval=0.05)
    Path(folder, "answers").write_text(f"{first} {second}")

if __name__ == "__main__":
    reviewed.serve("e2e", schedule=every("1s"), parameters={"folder": sys.argv[1]})
"""


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("FLOWTELL_QUIET", "1")


@pytest.fixture
def serve(house, tmp_path, begun):
    """Start a serving process. At the end those of its runs are killed too."""
    script = tmp_path / "served.py"
    script.write_text(SERVED)
    started = []

    def start():
        started.append(house.child(script, tmp_path))
        return started[-1]

    yield start
    for server in started:
        if server.poll() is None:
            house.kill(server)
    for process in begun():
        if alive(process):
            os.kill(process, signal.SIGKILL)


@pytest.fixture
def begun(tmp_path):
    """The processes that have begun the run."""
    path = tmp_path / "begun"
    return lambda: [int(line) for line in path.read_text().split()] if path.exists() else []


def flowtell(*words):
    done = subprocess.run([FLOWTELL, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def runs(*states):
    listed = json.loads(flowtell("runs", "--json", "--limit", "100"))
    return [run for run in listed if run.get("started") and (not states or run["state"] in states)]


def alive(process):
    try:
        return not Path(f"/proc/{process}/stat").read_bytes().rpartition(b") ")[2].startswith(b"Z")
    except OSError:
        return False


@pytest.mark.parametrize("death", ["in order", "killed", "the run's process alone"])
def test_a_served_run_is_begun_again_and_not_asked_again(serve, house, begun, tmp_path, death):
    server = serve()
    house.until(lambda: runs("paused"), what="it pauses")
    (run,) = runs("paused")
    flowtell("resume", run["id"], "10")
    house.until(lambda: "second" in flowtell("events", "--type", "flow_run.paused"), what="it asks again")
    (first,) = begun()
    if death == "in order":
        house.kill(server, signal.SIGTERM)
    elif death == "killed":
        house.kill(server)
    if death != "in order":
        os.kill(first, signal.SIGKILL)
    house.until(lambda: not alive(first), what="its process ends")
    if death != "the run's process alone":
        (left,) = runs()
        assert (left["id"], left["state"]) == (run["id"], "paused")
        flowtell("resume", run["id"], "32")  # nobody is there to take it
        serve()
    house.until(lambda: len(begun()) == 2, what="it is begun again")
    if death == "the run's process alone":
        house.until(lambda: runs("paused"), what="it pauses again")
        flowtell("resume", run["id"], "32")
    house.until((tmp_path / "answers").exists, what="it has both answers")
    assert (tmp_path / "answers").read_text() == "10 32"
    house.until(lambda: [one for one in runs("completed") if one["id"] == run["id"]], what="it ends")
    (ended,) = [one for one in runs("completed") if one["id"] == run["id"]]
    assert ended.get("corrections", 0) == 0
    assert not (house.home / "answers" / f"{run['id']}.jsonl").exists()


def test_a_cancelled_run_is_not_begun_again(serve, house, begun):
    """Whether it has a process or not."""
    server = serve()
    house.until(lambda: runs("paused"), what="it pauses")
    (run,) = runs("paused")
    flowtell("cancel", run["id"])
    house.until(lambda: runs("paused"), what="the next one pauses")
    (other,) = runs("paused")
    assert [one["state"] for one in runs() if one["id"] == run["id"]] == ["cancelled"]
    house.kill(server, signal.SIGTERM)
    flowtell("cancel", other["id"])
    assert {one["state"] for one in runs()} == {"cancelled"}
    count = len(begun())
    serve()
    house.until(lambda: runs("paused"), what="a third pauses")
    assert len(begun()) == count + 1
    assert sorted(one["state"] for one in runs()) == ["cancelled", "cancelled", "paused"]


PLAIN = """
import sys
from flowtell import flow, pause_flow_run

@flow(name="plain")
def plain():
    pause_flow_run(bool, timeout="1h")

plain()
"""


def test_a_run_that_nobody_serves_crashes_with_its_process(house, tmp_path):
    (tmp_path / "plain.py").write_text(PLAIN)
    process = house.child(tmp_path / "plain.py")
    house.until(lambda: runs("paused"), what="it pauses")
    house.kill(process)
    house.until(lambda: runs("crashed"), what="its end is told")
    assert [run["state"] for run in runs()] == ["crashed"]


def test_a_paused_run_goes_on_within_a_second_of_its_answer(house, tmp_path):
    """From the answer on disk to the flow's next line, by the events' own times; with everything installed switched on."""
    (tmp_path / "plain.py").write_text(PLAIN)
    house.server()
    took = []
    for _ in range(10):
        process = house.child(tmp_path / "plain.py")
        house.until(lambda: runs("paused"), what="it pauses")
        (run,) = runs("paused")
        flowtell("resume", run["id"], "yes")
        process.wait(20)
        lines = flowtell("events", "--json", "--type", "action.requested", "--type", "flow_run.resumed").splitlines()
        times = {line["type"]: line["time"] for line in map(json.loads, lines) if line["run"] == run["id"]}
        took.append((times["flow_run.resumed"] - times["action.requested"]) / 1e6)
        time.sleep(0.05)
    print(f"resumed after {sorted(took)} s")
    assert max(took) < 1.0
