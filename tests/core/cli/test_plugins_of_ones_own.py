"""A plugin begun, checked, installed as others install it; what it failed on; what it is called with."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from flowtell.events import FlowRunFinished
from flowtell.ids import new_id
from flowtell.plugin import BasePlugin
from flowtell.runner import Runner
from flowtell.testing import PluginHarness

ROOT = Path(__file__).parents[3]


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("effect", [False, True], ids=["projection", "effect"])
def test_a_new_one_passes_its_own_test(flowtell, tmp_path, effect):
    """As it is, before anything is changed in it."""
    folder = tmp_path / "acme-exporter"
    begun = flowtell("plugins", "new", "acme-exporter", str(folder), *(["--effect"] if effect else []), "--json")
    assert begun.json["files"] == ["pyproject.toml", "README.md", "acme_exporter.py", "test_acme_exporter.py"]
    assert "9 passed" in run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder, cwd=folder)


def test_where_it_would_write_over_something(flowtell, tmp_path):
    """It says so, and a name that cannot be one is explained."""
    (tmp_path / "mine.txt").write_text("mine")
    assert "is there and not empty" in flowtell("plugins", "new", "acme", str(tmp_path)).err
    assert "such as acme-exporter" in flowtell("plugins", "new", "Acme Exporter").err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_of_others_in_a_fresh_environment(flowtell, tmp_path):
    """A projection and an effect, built as wheels, installed beside the core alone: found, on by name, passed by the kit."""
    python = tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    wheels = tmp_path / "wheels"
    flowtell("plugins", "new", "acme-counter", str(tmp_path / "counter"))
    flowtell("plugins", "new", "acme-teller", str(tmp_path / "teller"), "--effect")
    for project in (ROOT / "core", tmp_path / "counter", tmp_path / "teller"):
        run(python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", wheels, project)
    run(python, "-m", "pip", "install", "-q", "pytest", *wheels.glob("*.whl"))
    settings = '[plugins]\nenable = ["acme_counter", "acme_teller"]\n[plugin.acme_teller]\npath = "told.txt"\n'
    (tmp_path / "flowtell.toml").write_text(settings)
    command = tmp_path / "venv" / "bin" / "flowtell"
    around = {"cwd": tmp_path, "env": {"PATH": "/usr/bin:/bin", "FLOWTELL_HOME": str(tmp_path / "home")}}
    listed = run(command, "plugins", "list", **around)
    states = {line.split("\t")[0]: line.split("\t")[1] for line in listed.splitlines()}
    assert (states["acme_counter"], states["acme_teller"]) == ("on", "on")
    for name in ("acme_counter", "acme_teller"):
        assert "9 passed" in run(command, "plugins", "check", name, **around)
    (tmp_path / "job.py").write_text("from flowtell import flow\n@flow\ndef nightly(): pass\nnightly()\n")
    run(python, "job.py", **around)
    run(command, "runs", **around)
    with sqlite3.connect(tmp_path / "home" / "flowtell.db") as connection:
        assert connection.execute("SELECT * FROM acme_counter_ended").fetchall() == [("nightly", 1)]
    connection.close()


# --- what it failed on --------------------------------------------------------------------------------------------------


class Picky(BasePlugin):
    """Takes no flow named `bad`, as long as it is not mended."""

    mended = False

    def __init__(self):
        self.taken = []

    def handle(self, events):
        for event in events:
            if event.flow == "bad" and not Picky.mended:
                raise ValueError("bad flow")
            self.taken.append(event.seq)


def test_an_event_that_was_set_aside_is_handed_over_again(tmp_path, monkeypatch):
    """When the plugin takes it, it is set aside no more; as long as it fails, it stays."""
    monkeypatch.setattr(Picky, "mended", False)
    made = []
    with PluginHarness(lambda _: made.append(Picky()) or made[-1], tmp_path, name="picky") as harness:
        harness.append(FlowRunFinished(id=new_id(), time=1, run=new_id(), flow=flow) for flow in ("good", "bad", "good"))
        harness.runner.step(1)
        harness.runner.set_aside(ValueError("bad flow"))
        harness.deliver()
        assert harness.runner.status().dead_events == 1
        with pytest.raises(ValueError, match="bad flow"):
            harness.runner.hand_again(2)
        harness.restart()
        assert harness.runner.status().dead_events == 1
        monkeypatch.setattr(Picky, "mended", True)
        assert harness.runner.hand_again(2)
        assert made[-1].taken == [2]
        harness.restart()
        assert harness.runner.status().dead_events == 0
        assert harness.runner.cursor == 2  # where it was
        assert not harness.runner.hand_again(99)


def test_dead_events_by_the_command(flowtell, history, home, tmp_path, monkeypatch):
    """Listed with type and error; handed over again to a plugin that takes them now."""
    monkeypatch.delenv("FLOWTELL_PLUGINS__DISABLE")
    monkeypatch.setenv("FLOWTELL_PLUGIN__JSONLINES__PATH", str(tmp_path / "out.jsonl"))
    flowtell("runs")
    with sqlite3.connect(home / "flowtell.db") as connection:
        connection.executemany(
            "INSERT INTO dead_events (plugin, seq, at, attempts, error) VALUES ('jsonlines', ?, 1, 3, 'OSError: full')",
            [(2,), (5,), (9_999,)],
        )
    connection.close()
    listed = flowtell("plugins", "dead", "--json").json
    assert [(one["plugin"], one["seq"], one["error"]) for one in listed] == [
        ("jsonlines", 2, "OSError: full"), ("jsonlines", 5, "OSError: full"), ("jsonlines", 9_999, "OSError: full")
    ]  # fmt: skip
    assert listed[2]["type"] == "no longer in the log"
    done = flowtell("plugins", "retry", "jsonlines", "--json")
    assert [(one["seq"], one["outcome"]) for one in done.json] == [
        (2, "taken"),
        (5, "taken"),
        (9_999, "no longer in the log"),
    ]
    assert done.code == 1
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2
    assert [one["seq"] for one in flowtell("plugins", "dead", "--json").json] == [9_999]
    assert "no such event" in flowtell("plugins", "retry", "jsonlines", "--seq", "2").err


def test_each_call_is_said_where_that_is_asked_for(tmp_path, caplog):
    """What it was handed, where it stood, how long it took."""
    with (
        PluginHarness(lambda _: Picky(), tmp_path, name="picky") as harness,
        caplog.at_level(logging.INFO, "flowtell.runner.calls"),
    ):
        runner = Runner("picky", lambda _: Picky(), harness.store, trace=True)
        runner.open()
        harness.append([FlowRunFinished(id=new_id(), time=1, run=new_id(), flow="good")])
        runner.step()
        runner.tick()
        harness.runner.step()  # of one that is not traced nothing is said
        runner.close()
    said = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in said] == [
        "picky.open behind 0",
        "picky.handle 1 events behind 0",
        "picky.tick behind 1",
    ]
    assert all(line.endswith(" ms") for line in said)
