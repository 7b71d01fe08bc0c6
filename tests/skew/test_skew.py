"""Two versions at work: events of an older and of a newer core than the server's, each in a real process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FLOWTELL = Path(sys.executable).with_name("flowtell")
FROZEN = sorted(path.name for path in HERE.glob("v*"))


def run(*command: object, core: Path | None = None, fails: bool = False, **environ: str) -> str:
    """What a command prints; `core` is the folder of another version's."""
    path = {"PYTHONPATH": str(core)} if core else {}
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **path, **environ},
        check=False,
    )
    assert (done.returncode != 0) == fails, (done.returncode, done.stderr)
    return done.stderr if fails else done.stdout


def told(*arguments: object, **options: object) -> list[dict]:
    return [json.loads(line) for line in run(FLOWTELL, *arguments, **options).splitlines()]


def without_the_logs(event: dict) -> dict:
    return {key: value for key, value in event.items() if key not in ("seq", "received", "writer", "n", "environment")}


# --- an older flow, today's server ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", FROZEN)
def test_journals_of_every_release_are_read_for_ever(home, house, version):
    """Every event in, none refused, each run as it was: ended, failed, or crashed where its process was killed."""
    shutil.copytree(HERE / version, home / "journals", ignore=shutil.ignore_patterns("counts.json"))
    counts = json.loads((HERE / version / "counts.json").read_bytes())
    events = told("events", "--json", "--limit", "1000")
    crash = {"flow_run.finished", "task_run.finished"}
    assert {k: v for k, v in Counter(event["type"] for event in events).items() if k not in crash} == {
        k: v for k, v in counts.items() if k not in crash
    }
    assert house.sql("SELECT sum(rejected), sum(dropped) FROM writers") == [(0, 0)]
    states = dict(house.sql("SELECT flow, state FROM runs WHERE flow IN ('good', 'inner', 'bad', 'killed')"))
    assert states == {"good": "completed", "inner": "completed", "bad": "failed", "killed": "crashed"}
    assert house.journals() == []
    assert {one["flow"] for one in json.loads(run(FLOWTELL, "runs", "--json", "--limit", "200"))} >= states.keys()


def test_no_release_is_left_out():
    """A release freezes its journals with `tests/skew/freeze.py`, so that its flows are never forgotten."""
    assert "v0_1" in FROZEN


# --- a newer flow, today's server ----------------------------------------------------------------------------------


def test_tomorrows_events_pass_through_untouched(home, house, tomorrow):
    """Types and fields unknown here are in the log and come out of it as they went in; what is known of them counts."""
    emitted = [json.loads(line) for line in run(sys.executable, HERE / "writes_tomorrow.py", core=tomorrow).splitlines()]
    assert emitted[2]["forecast"] == {"deep": [1, {"x": None}]}
    found = {event["id"]: without_the_logs(event) for event in told("events", "--json", "--limit", "100")}
    for event in emitted:
        assert found[event["id"]] == event
    assert house.sql("SELECT sum(rejected), sum(dropped) FROM writers") == [(0, 0)]
    assert house.sql("SELECT state FROM runs WHERE id = ?", emitted[0]["run"]) == [("failed",)]
    assert house.sql("SELECT state FROM runs WHERE id = ?", emitted[3]["run"]) == [("evaporated",)]
    assert house.sql("SELECT count(*) FROM runs WHERE ended IS NULL") == [(0,)]


@pytest.mark.slow
def test_tomorrows_events_reach_plugins(home, house, tomorrow, monkeypatch):
    """A type unknown here comes with all its fields, in the server's process and in one of its own; metrics go on."""
    for name, isolate in (("inside.jsonl", ""), ("outside.jsonl", "process")):
        lines = house.folder / name
        monkeypatch.setenv("FLOWTELL_PLUGIN__JSONLINES__PATH", str(lines))
        monkeypatch.setenv("FLOWTELL_PLUGIN__JSONLINES__ISOLATE", isolate)
        monkeypatch.setenv("FLOWTELL_PLUGIN__JSONLINES__VALUES", "true")
        server = house.server()
        text = run(sys.executable, HERE / "writes_tomorrow.py", core=tomorrow)
        emitted = [json.loads(line) for line in text.splitlines()]
        house.settled()
        written = {event["id"]: event for event in map(json.loads, filter(None, lines.read_bytes().splitlines()))}
        assert without_the_logs(written[emitted[1]["id"]]) == emitted[1]
        assert written[emitted[2]["id"]]["error"] == {"type": "ValueError"}  # of a known type, the fields known here
        ends = ends_by_state(house.get("/metrics").decode())
        assert ends["other"] == ends["failed"] > 0  # a state without a name here counts all the same
        assert [(sum(ends.values()),)] == house.sql("SELECT count(*) FROM events WHERE type = 'flow_run.finished'")
        house.kill(server)


def ends_by_state(text: str) -> Counter[str]:
    """Ended flow runs on a page of metrics."""
    found: Counter[str] = Counter()
    for line in text.splitlines():
        if line.startswith("flowtell_flow_runs_total{"):
            labels, _, number = line.rpartition("} ")
            found[labels.rpartition('state="')[2].partition('"')[0]] += int(float(number))
    return found


@pytest.mark.slow
def test_todays_flows_with_tomorrows_server(house, tomorrow):
    """Nothing lost, nothing doubled, totals exact: though server and flows are of two versions."""
    server(house, tomorrow)
    writers = [house.child("writer.py", house.folder / f"side-{n}", 0.001, 20) for n in range(2)]
    house.sides = [house.folder / f"side-{n}" for n in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    house.settled()
    noted, _ = house.check_nothing_lost()
    assert noted == 2 * 20 * 11
    assert house.check_every_run_ended() == {"completed": 40}
    house.check_totals()


@pytest.mark.slow
def test_tomorrows_flows_with_todays_server(house, tomorrow):
    """The same the other way round, and killed flows crash."""
    house.server()
    core = {"env": {"PYTHONPATH": str(tomorrow)}}
    house.writer("writer.py", 0.001, 20, **core).wait(60)
    victim = house.writer("writer.py", **core)
    house.until(victim.side.exists)
    time.sleep(0.3)
    house.kill(victim)
    house.settled()
    house.check_nothing_lost()
    states = house.check_every_run_ended()
    assert states["crashed"] <= 1
    assert states["completed"] >= 20
    house.check_totals()
    versions = {
        json.loads(header)["version"] for (header,) in house.sql("SELECT header FROM writers WHERE kind = 'journal'")
    }
    assert versions == {"9.0.0"}


def server(house, core: Path) -> None:
    """A server of another version."""
    address = house.folder / "address"
    process = house.child("server.py", address, env={"PYTHONPATH": str(core)})
    house.until(lambda: address.exists() or process.poll() is not None, 40)
    assert process.poll() is None, house.errors()


# --- what a version cannot read ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_journal_of_a_later_format_waits_for_its_server(home, house, later_format):
    """Today's commands and server keep it and say so, while others are read; the later server takes all of it."""
    emitted = run(sys.executable, HERE / "writes_tomorrow.py", core=later_format).splitlines()
    run(sys.executable, HERE / "flows.py", "ends")
    (later,) = [name for name in house.journals() if (home / "journals" / name).read_bytes().count(b'"format":2')]
    before = (home / "journals" / later).read_bytes()
    began = time.monotonic()
    ids = {event["id"] for event in told("events", "--json", "--limit", "1000")}
    assert time.monotonic() - began < 10
    assert len(ids) > 10
    assert not ids & {json.loads(line)["id"] for line in emitted}
    assert house.journals() == [later]
    assert "has format 2, this flowtell reads up to 1" in run(FLOWTELL, "doctor", fails=False)
    first = house.server()
    house.until(lambda: house.get("/readyz"), what="ready all the same")
    time.sleep(3)  # longer than it waits before it deletes what it has read
    house.kill(first)
    assert (home / "journals" / later).read_bytes() == before
    server(house, later_format)
    house.settled()
    held = {row[0] for row in house.sql("SELECT id FROM events")}
    assert held >= {json.loads(line)["id"] for line in emitted} | ids


def test_a_later_store_is_refused_and_left_alone(home, house, after_tomorrow):
    """With what to do; the next command of the later version finds it as it was."""
    run(sys.executable, HERE / "flows.py", "ends", core=after_tomorrow)
    told("events", "--json", core=after_tomorrow)
    before = house.sql("SELECT count(*) FROM events")
    message = run(FLOWTELL, "runs", fails=True)
    assert "FT1403" in message
    assert "Upgrade flowtell" in message
    assert house.sql("SELECT count(*) FROM events") == before
    assert told("events", "--json", core=after_tomorrow)
