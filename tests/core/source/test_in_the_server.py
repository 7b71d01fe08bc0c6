"""Sources in a real server: fed from the configuration, killed with it, and none of their runs crashed by that."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from flowtell.config import load
from flowtell.server.app import running_server
from flowtell.source import discovery
from flowtell.store import open_store
from flowtell.store.reading import list_runs

SCRIPT = Path(sys.executable).with_name("flowtell")
NOON = 1_795_500_000_000_000


@pytest.fixture
def feed(tmp_path, monkeypatch):
    """A folder with a configuration that names a source of the kind `lines`, and the file that it reads."""
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps({"run": "a" * 32, "time": NOON, "state": "running"}) + "\n")
    (tmp_path / "flowtell.toml").write_text(f'[source.far]\nkind = "lines"\nenvironment = "prod"\npath = "{path}"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    # the test's own kind, as an installed distribution would name it
    entry = EntryPoint("lines", "lines_source:create", discovery.GROUP)
    monkeypatch.setattr(discovery, "kinds", lambda: {"lines": entry})
    return path


def runs_of(config):
    store = open_store(config.store_url, read_only=True)
    try:
        return list_runs(store.read)
    finally:
        store.close()


def told_of_the_source(address):
    with urllib.request.urlopen(f"{address}/api/sources", timeout=10) as answer:
        (told,) = json.load(answer)["sources"]
    return told


def wait_for(check, seconds=20):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = check()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_a_source_ends_and_its_runs_go_on(feed):
    """The server stops and starts: the run is open all along, then ends as the other side says."""
    config = load({"server.port": 0, "plugins.disable": "dashboard"})
    with running_server(config):
        (run,) = wait_for(lambda: runs_of(config))
        assert (run.state, run.environment, run.source) == ("running", "prod", "far")
    with running_server(config) as (address, _):
        time.sleep(1.0)  # the journal of before has ended by now, and its lock is free
        assert runs_of(config)[0].state == "running"
        with feed.open("a") as file:
            file.write(json.dumps({"run": "a" * 32, "time": NOON + 1, "state": "completed"}) + "\n")
        wait_for(lambda: runs_of(config)[0].state == "completed")
        told = told_of_the_source(address)
        assert (told["name"], told["kind"], told["state"]) == ("far", "lines", "up")


def test_a_table_that_cannot_be_used_stops_nothing(feed):
    """The server runs, and says which source is refused and why."""
    Path("flowtell.toml").write_text('[source.far]\nkind = "nothing"\n')
    with running_server(load({"server.port": 0, "plugins.disable": "dashboard"})) as (address, _):
        told = told_of_the_source(address)
    assert told["state"] == "refused"
    assert "no kind of source 'nothing'" in told["last_error"]


def test_list_says_what_the_log_knows(feed):
    """Without a server too; a kind that is not installed is refused."""
    Path("flowtell.toml").write_text('[source.far]\nkind = "nothing"\n')
    done = subprocess.run([SCRIPT, "sources", "list", "--json"], capture_output=True, check=True, timeout=60)
    (told,) = json.loads(done.stdout)
    assert (told["name"], told["state"]) == ("far", "refused")
