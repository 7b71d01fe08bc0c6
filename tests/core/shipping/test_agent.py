"""`flowtell up --agent`: ships what flows of the home write, sees their ends by their locks, and ends in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FLOWTELL = Path(sys.executable).with_name("flowtell")
FLOW = """
import sys
from flowtell import flow
@flow
def {name}():
    print("runs", flush=True)
    sys.stdin.readline()
{name}()
"""


class Near:
    """A machine with flows on it, and an agent at times."""

    def __init__(self, home, folder):
        self.home, self.folder = home, folder
        self.started = []

    def start(self, *command, url="", **environ):
        settings = {"FLOWTELL_HOME": str(self.home), "FLOWTELL_URL": url, **environ}
        words = self.folder / f"{len(self.started)}.err"
        with words.open("wb") as errors:
            process = subprocess.Popen(
                [*map(str, command)],
                env={**os.environ, **settings},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        process.words = words
        self.started.append(process)
        return process

    def agent(self, url, **environ):
        process = self.start(FLOWTELL, "up", "--agent", "--url", url, **environ)
        self.said(process, "Ships the journals")
        return process

    def said(self, process, words, seconds=20):
        until = time.monotonic() + seconds
        while words not in process.words.read_text():
            assert time.monotonic() < until, process.words.read_text()
            time.sleep(0.02)

    def flow(self, name, url=""):
        process = self.start(sys.executable, "-c", FLOW.format(name=name), url=url)
        assert process.stdout.readline() == "runs\n"
        return process

    def command(self, *arguments, url=""):
        done = subprocess.run(
            [FLOWTELL, *arguments],
            env={**os.environ, "FLOWTELL_HOME": str(self.home), "FLOWTELL_URL": url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def journals(self):
        folder = self.home / "journals"
        return [path.name for path in folder.iterdir()] if folder.exists() else []

    def close(self):
        for process in self.started:
            process.kill()
            process.communicate()


def end(process, *, number=None):
    if number:
        process.send_signal(number)
    else:
        process.stdin.write("\n")
        process.stdin.flush()
    assert process.wait(20) in (0, -(number or 0))


@pytest.fixture
def near(tmp_path):
    made = Near(tmp_path / "near", tmp_path)
    yield made
    made.close()


def test_it_ships_and_deletes_what_flows_write(far, near):
    """One that ends, one that is killed at once crashed, one that lives on: and nothing is left of those that ended."""
    near.agent(far.url)
    ends, killed, lives = near.flow("ends"), near.flow("killed"), near.flow("lives")
    far.until(lambda: far.states() == {"ends": "running", "killed": "running", "lives": "running"})
    end(ends)
    end(killed, number=signal.SIGKILL)
    began = time.monotonic()
    far.until(lambda: far.states() == {"ends": "completed", "killed": "crashed", "lives": "running"})
    assert time.monotonic() - began < 3
    far.until(lambda: len(near.journals()) == 1)
    end(lives)
    far.until(lambda: near.journals() == [])
    assert set(far.states().values()) == {"completed", "crashed"}


def test_a_flow_that_would_ship_itself_leaves_it_to_the_agent(far, near):
    """And takes it up again when the agent has gone."""
    agent = near.agent(far.url)
    process = near.flow("nightly", url=far.url)
    far.until(lambda: far.states() == {"nightly": "running"})
    time.sleep(0.5)
    assert far.service.presence.open_streams().total() == 1
    end(agent, number=signal.SIGTERM)
    far.until(lambda: far.service.presence.open_streams().total() == 1, 5)
    end(process)
    far.until(lambda: far.states() == {"nightly": "completed"})
    far.until(lambda: near.journals() == [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_agent_that_restarts_crashes_nobody(serve, near, number):
    """Killed or stopped in order, its writers have longer than two heartbeats."""
    with serve(heartbeat_seconds=0.5) as far:
        agent = near.agent(far.url)
        lives, dies = near.flow("lives"), near.flow("dies")
        far.until(lambda: len(far.states()) == 2)
        end(agent, number=number)
        end(dies, number=signal.SIGKILL)
        time.sleep(2.5)
        assert far.states() == {"lives": "running", "dies": "running"}
        near.agent(far.url)
        far.until(lambda: far.states() == {"lives": "running", "dies": "crashed"}, 5)
        end(lives)
        far.until(lambda: far.states() == {"lives": "completed", "dies": "crashed"})


def test_an_agent_that_stays_away_is_no_life(serve, near):
    """After its grace the writers are lost; what comes later is shown as a correction."""
    with serve(heartbeat_seconds=0.5, agent_grace_seconds=1.0) as far:
        agent = near.agent(far.url)
        process = near.flow("nightly")
        far.until(lambda: far.states() == {"nightly": "running"})
        end(agent, number=signal.SIGKILL)
        far.until(lambda: far.states() == {"nightly": "crashed"}, 5)
        near.agent(far.url)
        end(process)
        far.until(lambda: near.journals() == [])
        with far.service.store.reading() as connection:
            assert connection.exec_driver_sql("SELECT value FROM counters WHERE name='late_corrections'").scalar() == 1


def test_it_says_what_it_does(serve, near):
    """Plain lines on stderr: the trouble once, the end of it once, and its own end."""
    with serve() as far:
        url, port = far.url, int(far.port)
    agent = near.agent(url)
    near.flow("nightly")
    near.said(agent, "cannot be reached")
    with serve(port=port) as far:
        near.said(agent, "takes events again")
        far.until(lambda: far.states() == {"nightly": "running"})
        end(agent, number=signal.SIGTERM)
    words = agent.words.read_text()
    assert words.count("cannot be reached") == 1
    assert "Stopped" in words.splitlines()[-1]


def test_one_home_has_one(far, near):
    """A second agent and a server are refused, with who is there."""
    near.agent(far.url)
    for command in (("up", "--agent", "--url", far.url), ("up", "--port", "0")):
        code, _, errors = near.command(*command)
        assert code == 1
        assert "FT1402" in errors
        assert f"agent shipping to {far.url}" in errors


def test_without_an_address_it_says_so(near):
    code, _, errors = near.command("up", "--agent")
    assert code == 1
    assert "FT1814" in errors


@pytest.mark.parametrize("command", [("runs",), ("logs", "0" * 32), ("events",)])
def test_a_reading_command_says_where_to_look(far, near, command):
    """With only an address, and beside an agent: it takes nothing in that would then not be shipped."""
    process = near.flow("nightly", url="http://127.0.0.1:9")
    code, _, errors = near.command(*command, url=far.url)
    assert code == 1
    assert "FT1813" in errors
    assert far.url in errors
    assert not (near.home / "flowtell.db").exists()
    near.agent(far.url)
    code, _, errors = near.command(*command)
    assert (code, "FT1813" in errors, far.url in errors) == (1, True, True)
    end(process)
    far.until(lambda: far.states() == {"nightly": "completed"})


def test_beside_a_store_of_its_own_it_reads_that(far, near):
    """What was read here before the address was set; and it says so."""
    end(near.flow("before"))
    assert "before" in near.command("runs")[1]
    process = near.flow("after", url="http://127.0.0.1:9")
    code, out, errors = near.command("runs", url=far.url)
    assert code == 0
    assert "before" in out
    assert "after" not in out
    assert far.url in errors
    end(process)


def test_doctor_says_whether_the_server_takes_it(serve, near, monkeypatch):
    with serve(token="s3cret") as far:
        code, out, _ = near.command("doctor", url=far.url)
        assert code == 1
        assert "401" in out
        near.home.joinpath("token").write_text("s3cret")
        monkeypatch.setenv("FLOWTELL_TOKEN_FILE", str(near.home / "token"))
        code, out, _ = near.command("doctor", url=far.url)
        assert f"to {far.url}" in out
        assert code == 0
    assert "cannot be reached" in near.command("doctor", url=far.url)[1]
