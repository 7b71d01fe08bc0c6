"""`flowtell alerts list` as a program and as a person see it, in processes of their own."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from flowtell import events as e
from flowtell.rules import failed, too_long

from .conftest import World

FLOWTELL = [os.path.join(os.path.dirname(sys.executable), "flowtell")]


@pytest.fixture
def world(home):
    """What happens in the home that the command looks at."""
    made = World(home)
    yield made
    made.harness.close()


@pytest.fixture
def with_incidents(world):
    """One open, one resolved."""
    world.declares(failed(), too_long(10))
    world.starts("a")
    world.passes(20)
    world.ends("a", "failed", error=e.Failure(type="KeyError"))
    world.passes()
    return world


def flowtell(*arguments):
    return subprocess.run([*FLOWTELL, *arguments], capture_output=True, text=True, timeout=60, check=False)


def on_a_terminal(*arguments):
    """Its output where stdout is a terminal, 160 columns wide."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "160", "TERM": "xterm"}
    with subprocess.Popen([*FLOWTELL, *arguments], stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 65_536):
                seen += chunk
        except OSError:  # how Linux tells that the other end is closed
            pass
        os.close(ours)
    assert process.returncode == 0
    return seen.decode()


def test_open_incidents_as_lines(with_incidents):
    """One line each, values divided by tabs, whole ids and moments."""
    done = flowtell("alerts", "list")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    (incident,) = with_incidents.open
    cells = line.split("\t")
    assert cells[:5] == [incident.incident, "nightly", "test", "failed", "error"]
    assert cells[-1] == "the last run failed (KeyError)"


def test_all_incidents(with_incidents):
    """Resolved ones are marked."""
    lines = flowtell("alerts", "list", "--all").stdout.splitlines()
    assert len(lines) == 2
    assert sum("\tresolved: " in line for line in lines) == 1


def test_incidents_of_one_flow(with_incidents):
    """Another flow has none."""
    assert flowtell("alerts", "list", "--flow", "nightly").stdout
    assert not flowtell("alerts", "list", "--flow", "other").stdout


def test_incidents_as_json(with_incidents):
    """One document, with the rule and the evidence."""
    (found,) = json.loads(flowtell("alerts", "list", "--json").stdout)
    assert found["flow"] == "nightly"
    assert found["rule"]["kind"] == "failed"
    assert found["evidence"]["states"] == {"failed": 1}


def test_incidents_as_a_table(with_incidents):
    """With a heading, on a terminal."""
    shown = on_a_terminal("alerts", "list", "--all")
    assert "reason" in shown.splitlines()[0]
    assert "the last run failed (KeyError)" in shown
    assert "resolved: no run is past its bound" in shown


def test_without_rules_it_says_how_to_add_one(home):
    """Data on stdout: none. What to do on stderr."""
    done = flowtell("alerts", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.strip() == ("No incidents, and no rules. Add one to a flow: @flow(rules=[failed(), too_long('30m')])")


def test_where_the_plugin_is_off_there_is_nothing_to_list(home, monkeypatch):
    """Its tables were never made; that is no fault of who asks."""
    monkeypatch.setenv("FLOWTELL_PLUGINS__DISABLE", "alerts")
    assert flowtell("alerts", "list", "--json").stdout.strip() == "[]"


def test_where_all_is_well_it_says_what_is_watched(world):
    """Two rules, of which none was broken."""
    world.declares(failed(), too_long(10))
    world.ends("a")
    world.passes()
    assert flowtell("alerts", "list").stderr.strip() == "No open incidents. 2 rules declared, 2 found to hold."
    assert flowtell("alerts", "list", "--json").stdout.strip() == "[]"


def test_looking_opens_nothing(world):
    """A failure that no server has judged is no incident yet, however often somebody looks."""
    world.declares(failed())
    world.ends("a", "failed")
    for _ in range(2):
        assert flowtell("alerts", "list", "--all").stdout == ""
    world.passes()
    assert flowtell("alerts", "list").stdout
