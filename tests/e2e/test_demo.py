"""`flowtell demo --once`: the tour plays in an empty home, each use sees it, and commands find it afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

FLOWTELL = [sys.executable, "-c", "import sys; from flowtell.cli import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    """The tour played once, and its home."""
    home = tmp_path_factory.mktemp("demo")
    environ = {**os.environ, "FLOWTELL_HOME": str(home), "FLOWTELL_SERVER__PORT": "0"}
    done = subprocess.run(
        [*FLOWTELL, "demo", "--once", "--json"], env=environ, capture_output=True, text=True, timeout=110, check=False
    )
    return done, environ


def ask(environ, *words):
    done = subprocess.run([*FLOWTELL, *words], env=environ, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


def test_it_ends_well_and_every_use_saw_something(tour):
    """A failing and a killed pipeline are part of the tour, and do not make it fail."""
    done, _ = tour
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert {use: seen["saw"] for use, seen in told["uses"].items()} == dict.fromkeys(
        ("pages", "metrics", "lineage", "alerts"), True
    )
    assert [step["state"] for step in told["steps"]] == [step["expected"] for step in told["steps"]]


def test_its_runs_are_there_afterwards(tour):
    _, environ = tour
    runs = json.loads(ask(environ, "runs", "--json"))
    states = {(run["flow"], run["state"]) for run in runs}
    assert states >= {("quality", "failed"), ("quality", "completed"), ("normals", "crashed"), ("months", "completed")}
    assert {run["environment"] for run in runs} == {"demo"}


def test_its_events_are_there_afterwards(tour):
    """The station was really not up: its download was tried again."""
    _, environ = tour
    lines = ask(environ, "events", "--json", "--type", "task_run.retrying").splitlines()
    assert {json.loads(line)["task"] for line in lines} == {"download"}


def test_its_assets_are_there_afterwards(tour):
    """From the station to the months, edge by edge."""
    _, environ = tour
    graph = json.loads(ask(environ, "lineage", "show", "--json"))
    edges = {(edge["upstream"], edge["downstream"]) for edge in graph["edges"]}
    assert edges >= {
        ("http://station/seattle-weather.csv", "file://weather/seattle-weather.csv"),
        ("file://weather/seattle-weather.csv", "sqlite://weather/days"),
        ("sqlite://weather/days", "sqlite://weather/months"),
    }


def test_its_incidents_are_there_afterwards(tour):
    """The check's was resolved by the run that ended well; the killed flow's is still open."""
    _, environ = tour
    incidents = json.loads(ask(environ, "alerts", "list", "--all", "--json"))
    found = {(each["flow"], each["rule"]["kind"]): "resolved" in each and each["resolved"] is not None for each in incidents}
    assert found[("quality", "failed")] is True
    assert found[("normals", "failed")] is False
