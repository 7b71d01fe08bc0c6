"""`flowtell alerts list` as a program and as a person see it, in processes of their own."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time

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
    assert sum("\tresolved\t" in line for line in lines) == 1


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
    assert "no run is past its bound" in shown


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


# --- rules --------------------------------------------------------------------------------------------------------


def test_the_rules_that_hold_say_who_states_them(world):
    """Code with its place, a tag as it is written; and what was found."""
    world.appends(e.FlowDeclared, flow="nightly", rules=(failed(),), code=e.CodePlace(file="/srv/etl.py", line=7))
    world.appends(e.DeploymentDeclared, flow="nightly", deployment="berlin", tags=("flowtell.late=15m",))
    world.ends("a")
    world.passes()
    lines = [line.split("\t") for line in flowtell("alerts", "rules").stdout.splitlines()]
    assert ["nightly", "test", "failed consecutive=1", "error", "code", "/srv/etl.py:7", "the last run ended well"] in lines
    assert ["nightly/berlin", "test", "late after=900", "warning", "tag", "flowtell.late=15m", "nothing is due"] in lines
    assert ["source server", "test", "blind after=300", "error", "default"] in [line[:5] for line in lines]
    assert len(lines) == 4
    assert not flowtell("alerts", "rules", "--flow", "other").stdout
    found = json.loads(flowtell("alerts", "rules", "--flow", "nightly", "--json").stdout)
    assert {status["place"] for status in found} == {"code", "tag", "default"}


def test_a_rule_of_a_file_that_holds_for_nothing_is_listed(world):
    """It would be taken for kept otherwise."""
    world.appends(e.RuleDeclared, rule=failed(), origin="flowtell.toml:3")
    world.passes()
    (line,) = flowtell("alerts", "rules").stdout.splitlines()
    assert line.split("\t")[-2:] == ["flowtell.toml:3", "holds for no runs known so far"]


def test_without_rules_it_says_how_to_state_one(home):
    """On stderr."""
    done = flowtell("alerts", "rules", "--flow", "nightly")
    assert (done.returncode, done.stdout) == (0, "")
    assert "No rules for flow 'nightly'." in done.stderr


# --- acknowledging and silencing ----------------------------------------------------------------------------------


def test_an_incident_is_acknowledged_by_its_short_id(with_incidents):
    """As the table shows it; the list says who looks after it, and JSON has the state."""
    (incident,) = with_incidents.open
    done = flowtell("alerts", "ack", incident.incident[16:24], "--by", "ada")
    assert done.returncode == 0, done.stderr
    assert "ada looks after it" in done.stderr
    (line,) = flowtell("alerts", "list").stdout.splitlines()
    assert "acknowledged by ada" in line
    (shown,) = json.loads(flowtell("alerts", "list", "--json").stdout)
    assert (shown["state"], shown["acknowledged_by"]) == ("acknowledged", "ada")
    assert shown["subject"] == {"kind": "flow", "name": "nightly"}


def test_what_is_resolved_or_unknown_is_not_acknowledged(with_incidents):
    """With a code, and what to do; nothing is written for the others of the same call."""
    (still,) = with_incidents.open
    over = next(incident for incident in with_incidents.incidents if incident.resolved)
    for wanted, code in ((over.incident, "FT2421"), ("zz", "FT2420"), ("f" * 32, "FT2420")):
        done = flowtell("alerts", "ack", still.incident, wanted)
        assert done.returncode == 1
        assert code in done.stderr
    assert "acknowledged" not in flowtell("alerts", "list").stdout


def test_a_silence_from_its_making_to_its_end(with_incidents):
    """It is listed with author and reason, says what it covers, shows beside the incident, and ends when told."""
    done = flowtell("alerts", "silence", "--flow", "night*", "--for", "2h", "--reason", "upgrade")
    assert done.returncode == 0, done.stderr
    assert "Covers 1 open incident." in done.stderr
    made = done.stdout.strip()
    (line,) = flowtell("alerts", "silences").stdout.splitlines()
    cells = line.split("\t")
    assert cells[:2] == [made, "flow=night*"]
    assert cells[-1] == "upgrade"
    assert "firing, silenced" in flowtell("alerts", "list").stdout
    assert flowtell("alerts", "unsilence", made[16:24]).returncode == 0
    assert flowtell("alerts", "silences").stdout == ""
    assert json.loads(flowtell("alerts", "silences", "--all", "--json").stdout)[0]["expired_by"]
    assert "FT2423" in flowtell("alerts", "unsilence", made).stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--flow", "x", "--for", "1h"], "FT2422"),
        (["--for", "1h", "--reason", "x"], "FT2422"),
        (["--flow", "x", "--reason", "x"], "--for 2h"),
        (["--flow", "x", "--reason", "x", "--for", "1h", "--until", "2099-01-01T00:00"], "--for 2h"),
        (["--flow", "x", "--reason", "x", "--for", "soon"], "--for: 'soon'"),
        (["--flow", "x", "--reason", "x", "--until", "tomorrow"], "--until: 'tomorrow'"),
        (["--flow", "x", "--reason", "x", "--until", "2020-01-01T00:00"], "FT2422"),
        (["--flow", "x", "--reason", "x", "--for", "3w", "--from", "2019-01-01T00:00Z"], "FT2422"),
    ],
)
def test_a_silence_that_lacks_something_is_refused(home, arguments, says):
    """In one line that says what to write."""
    done = flowtell("alerts", "silence", *arguments)
    assert done.returncode != 0
    assert says in done.stderr
    assert flowtell("alerts", "silences").stdout == ""


# --- what would have been told ------------------------------------------------------------------------------------


@pytest.fixture
def lately(world):
    """Twenty minutes ago a run failed, and ten minutes ago one ended well; no rule was stated then."""
    world.clock.now = time.time_ns() // 1000 - 1_200_000_000
    world.ends("a", "failed", error=e.Failure(type="KeyError"))
    world.passes(600)
    world.ends("b")
    world.passes(60)
    world.declares(failed())
    world.passes()
    return world


def test_a_dry_run_says_what_would_have_been_told(lately):
    """As lines and as JSON; nothing is opened."""
    done = flowtell("alerts", "dry-run", "--since", "1h")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.split("\t")[2:] == ["nightly", "test", "failed", "error", "told", "the last run failed (KeyError)"]
    assert "1 incident, of 1 somebody would have been told" in done.stderr
    said = json.loads(flowtell("alerts", "dry-run", "--since", "1h", "--json").stdout)
    assert (said["told"], said["incidents"][0]["state"]) == (1, "resolved")
    assert flowtell("alerts", "list", "--all").stdout == ""


def test_a_dry_run_draws_incidents_over_time(lately):
    """On a terminal, with what the signs mean."""
    shown = on_a_terminal("alerts", "dry-run", "--since", "1h")
    assert "failed nightly" in shown
    assert "█" in shown
    assert "UTC; █ told, ▒ muted, · no incident" in shown


def test_a_dry_run_that_cannot_be_is_refused(home):
    """A span that is none, and a file that is not there."""
    assert "--since: 'soon'" in flowtell("alerts", "dry-run", "--since", "soon").stderr
    assert "no file" in flowtell("alerts", "dry-run", "--rules", "nowhere.toml").stderr


# --- explained ----------------------------------------------------------------------------------------------------


def test_an_incident_is_explained_with_its_history(with_incidents):
    """What, why, since when, and what happened."""
    (incident,) = with_incidents.open
    flowtell("alerts", "ack", incident.incident, "--by", "ada")
    said = flowtell("alerts", "explain", incident.incident[16:24]).stdout
    assert "of\tflow nightly" in said
    assert "state\tacknowledged by ada" in said
    assert "why\tthe last run failed (KeyError)" in said
    assert said.count("acknowledged\terror\tada") == 1
    told = json.loads(flowtell("alerts", "explain", incident.incident, "--json").stdout)
    assert [each["kind"] for each in told["history"]] == ["opened", "acknowledged"]


def test_rules_are_explained_by_their_flow(with_incidents):
    """Those that hold and those that do not."""
    said = flowtell("alerts", "explain", "nightly").stdout
    assert "now\tdoes not hold: runs ended badly" in said
    assert "now\tholds: " in said
    assert "FT2424" in flowtell("alerts", "explain", "nobody").stderr
