"""`flowtell run`: finds the flow, runs it here, and exits as it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).with_name("flowtell")

MODULE = """
from flowtell import flow
import time

@flow
def add(left: int, right: int = 1) -> int:
    print("sum", left + right)
    return left + right

@flow
async def later() -> None:
    print("later")

@flow
def steps():
    yield 1
    print("stepped")

@flow
def broken() -> None:
    raise ValueError("two\\nlines")

@flow
def leaves() -> None:
    raise SystemExit(3)

@flow
def waits() -> None:
    print("waiting", flush=True)
    time.sleep(30)

def plain(): ...
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with a module of flows in it, which is forgotten afterwards."""
    (tmp_path / "sums.py").write_text(MODULE)
    (tmp_path / "raises.py").write_text("import flowtell\nimport no_such_library\n")
    (tmp_path / "one.py").write_text("from flowtell import flow\n\n@flow\ndef only():\n    print('only one')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("sums", "raises", "one"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("target", ["sums:add", "sums.py:add", "./sums.py:add"])
def test_a_flow_runs_with_its_parameters_converted(flowtell, target):
    outcome = flowtell("run", target, "-p", "left=2", "--param", "right=3")
    assert (outcome.code, outcome.out) == (0, "sum 5\n")
    (run,) = flowtell("runs", "--json").json
    assert (run["flow"], run["state"], run["parameters"]) == ("add", "completed", {"left": 2, "right": 3})


def test_the_only_flow_of_a_module_needs_no_name(flowtell):
    assert flowtell("run", "one.py").out == "only one\n"
    assert "it has add, broken, later" in flowtell("run", "sums").err


@pytest.mark.parametrize(("name", "says"), [("later", "later\n"), ("steps", "stepped\n")])
def test_flows_of_every_colour_run_to_their_end(flowtell, name, says):
    assert flowtell("run", f"sums:{name}")[:2] == (0, says)
    assert flowtell("runs").rows[0][3] == "completed"


def test_how_it_ended_as_json(flowtell):
    outcome = flowtell("run", "sums:broken", "--json")
    ended = json.loads(outcome.out)
    assert (outcome.code, ended["flow"], ended["state"]) == (1, "broken", "failed")
    assert ended["error"]["message"] == "two\nlines"


def test_a_flow_that_raises_is_told_in_one_line(flowtell, folder):
    """The traceback is kept with the run, and shown with --debug."""
    outcome = flowtell("run", "sums:broken")
    assert outcome.code == 1
    assert outcome.err.startswith("Error FT1601: Flow 'broken' failed: ValueError: two lines (")
    assert "sums.py, line 21)" in outcome.err
    assert outcome.err.count("\n") == 1
    assert "Traceback" in flowtell("run", "sums:broken", "--debug").err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sums:add"], "Error FT1301: Parameters of flow 'add' do not fit: missing a required argument: 'left'"),
        (["sums:add", "-p", "left=x"], "Error FT1301: Parameters of flow 'add' do not fit: left: Input should be"),
        (["sums:add", "-p", "up=1"], "Error FT1301: Parameters of flow 'add' do not fit: "),
        (["sums:ad"], "Error FT1304: Cannot find flow 'sums:ad': the module has no 'ad'. Did you mean 'add'?"),
        (["sums:plain"], "Error FT1304: Cannot find flow 'sums:plain': 'plain' is no flow. Decorate it with @flow."),
        (["smus:add"], "Error FT1304: Cannot find flow 'smus:add': there is no module 'smus' here or installed."),
        (["smus.py:add"], "Error FT1304: Cannot find flow 'smus.py:add': there is no file smus.py."),
        (["raises:x"], "Error FT1304: Cannot find flow 'raises:x': importing it raised ModuleNotFoundError"),
    ],
    ids=["missing", "wrong type", "unknown", "misspelt flow", "no flow", "no module", "no file", "import raises"],
)
def test_what_cannot_run_is_told_with_a_code(flowtell, words, says):
    outcome = flowtell("run", *words)
    assert outcome.code == 1
    assert outcome.err.startswith(says)
    assert outcome.err.count("\n") == 1


def test_a_failure_inside_a_library_names_the_users_line(flowtell, tmp_path):
    script = tmp_path / "reads.py"
    script.write_text("""from pathlib import Path
from flowtell import flow

@flow
def reads():
    Path("/nowhere/x").read_text()
""")
    assert flowtell("run", f"{script}:reads").err.strip().endswith(f"({script}, line 6)")


def test_a_parameter_needs_its_sign(flowtell):
    assert flowtell("run", "sums:add", "-p", "left")[::2] == (
        2,
        "Error FT1600: 'left' is no parameter: write -p key=value.\n",
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_cancels_the_run(flowtell, number, signals_as_in_a_shell):
    """As a container's stop does; the exit code is a shell's for that signal."""
    process = subprocess.Popen([SCRIPT, "run", "sums:waits"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"waiting\n"
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (128 + number, b"")
    assert flowtell("runs").rows[0][3] == "cancelled"
    (run,) = flowtell("runs", "--json").json
    assert run["signal"] == signal.Signals(number).name


def test_a_killed_run_has_crashed(flowtell):
    process = subprocess.Popen([SCRIPT, "run", "sums:waits"], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"waiting\n"
    process.kill()
    process.communicate()
    assert flowtell("runs").rows[0][3] == "crashed"


def test_a_flow_that_exits_gives_its_exit_code(shell):
    assert shell("run", "sums:leaves").code == 3
