"""How a command ends: a stable exit code, one line with a code of its own on stderr, never a traceback unasked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).with_name("flowtell")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["runs", "abcdef"], 1, "Error FT1404: Run 'abcdef' not found: no run, trace or span has it; see 'flowtell runs'."),
        (["rnus"], 2, "Error FT1600: There is no command 'rnus'. Did you mean 'runs'?"),
        (["--unheard-of"], 2, "Error FT1600: There is no command '--unheard-of'. See 'flowtell --help'."),
        (
            ["runs", "--flwo", "x"],
            2,
            "Error FT1600: Unknown option: --flwo. Did you mean --flow? See 'flowtell runs --help'.",
        ),
        (["runs", "--state", "odd"], 2, "Error FT1600: There is no state 'odd'."),
        (["runs", "--limit", "many"], 2, "Error FT1600: Invalid value for --limit"),
        (["logs"], 2, "Error FT1600: Command"),
        (
            ["events", "schema", "flow_run.finish"],
            2,
            "Error FT1600: There is no event type 'flow_run.finish' with a schema.",
        ),
        (["run", "no_such_module:x"], 1, "Error FT1304: Cannot find flow 'no_such_module:x': there is no module"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_wrong_is_told_in_one_line(flowtell, words, code, says):
    outcome = flowtell(*words)
    assert outcome.code == code
    assert outcome.out == ""
    assert outcome.err.startswith(says)
    assert outcome.err.count("\n") == 1


def test_an_unknown_configuration_key_stops_a_command(flowtell, monkeypatch):
    monkeypatch.setenv("FLOWTELL_SERVER__PROT", "1")
    outcome = flowtell("runs")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("Error FT1101: Unknown configuration key 'server.prot'")
    assert "Did you mean 'server.port'?" in outcome.err


def test_an_exception_nobody_thought_of_is_one_line_too(flowtell, monkeypatch):
    monkeypatch.setattr("flowtell.server.discovery.discover", lambda config: 1 / 0)
    outcome = flowtell("plugins", "list")
    assert outcome.code == 1
    assert outcome.err == "Error: ZeroDivisionError: division by zero (FLOWTELL_DEBUG=1 shows where)\n"


@pytest.mark.parametrize("way", ["option", "variable"])
def test_debugging_shows_the_traceback_as_well(flowtell, monkeypatch, way):
    if way == "variable":
        monkeypatch.setenv("FLOWTELL_DEBUG", "1")
    outcome = flowtell("runs", "abcdef", *(["--debug"] if way == "option" else []))
    assert outcome.code == 1
    assert "Traceback (most recent call last)" in outcome.err
    assert "Error FT1404" in outcome.err


def test_a_reader_that_goes_away_is_no_error(history):
    """As with `flowtell events schema | head -1`."""
    process = subprocess.Popen([SCRIPT, "events", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(30) == 128 + signal.SIGPIPE
    process.stderr.close()


def test_ctrl_c_ends_a_command_quietly(history, signals_as_in_a_shell):
    process = subprocess.Popen([SCRIPT, "events", "--follow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b"flow.declared" in process.stdout.readline()
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, b"")
