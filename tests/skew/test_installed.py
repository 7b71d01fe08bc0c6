"""A release before this one, really installed, beside today's: each as the flows' and as the server's."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FLOWTELL = Path(sys.executable).with_name("flowtell")

SOON = {"FLOWTELL_SHIPPING__HEARTBEAT_SECONDS": "2"}
"""Of the server, which tells it to whoever ships: the dead are missed after four seconds instead of twenty."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


# --- older flows, today's server -----------------------------------------------------------------------------------


def test_older_flows_with_todays_server(house, installed):
    """By their journals: nothing lost, nothing doubled, killed ones crashed, the totals exact."""
    house.server()
    work(house, installed.python)
    house.settled()
    check(house)
    house.check_totals()


def test_an_agent_of_today_ships_older_flows(house, installed):
    """Also of a release that could not ship: they write journals as ever, and the agent sends those."""
    port = free_port()
    house.server(port=port, **SOON)
    pod = house.folder / "pod"
    elsewhere = {"FLOWTELL_HOME": str(pod), "FLOWTELL_URL": f"http://127.0.0.1:{port}"}
    work(house, installed.python, FLOWTELL_HOME=str(pod))
    send_the_rest(house, sys.executable, pod, elsewhere)
    house.settled()
    check(house)
    house.check_totals()


def test_older_flows_ship_to_todays_server(house, installed):
    """By themselves; what the killed ones had not sent is sent by an agent of their release."""
    if not installed.older.ships:
        pytest.skip("flows of that release do not ship")
    port = free_port()
    house.server(port=port, **SOON)
    ship(house, installed.python, port)
    check(house)
    house.check_totals()


# --- today's flows, an older server --------------------------------------------------------------------------------


def test_todays_flows_with_an_older_server(house, installed):
    """Whatever it does not know passes through: every event is in its log, every run ended."""
    server(house, installed.python)
    work(house, sys.executable)
    house.settled(plugins=False)
    check(house)


def test_todays_flows_ship_to_an_older_server(house, installed):
    """The same by HTTP, to a release that takes it."""
    if not installed.older.ships:
        pytest.skip("a server of that release takes no journals")
    port = free_port()
    server(house, installed.python, port, **SOON)
    ship(house, sys.executable, port)
    check(house)


# --- one after the other -------------------------------------------------------------------------------------------


def test_an_older_store_is_taken_over(house, installed):
    """Today's server goes on where the older one was killed: its log and runs are there, and its successor counts them."""
    first = server(house, installed.python)
    work(house, installed.python)
    house.settled(plugins=False)
    alive = house.writer("writer.py", 0.01, python=installed.python)
    time.sleep(0.5)
    house.kill(first)
    time.sleep(0.3)
    before = house.sql("SELECT count(*) FROM events")[0][0]
    house.server()
    time.sleep(1.0)
    house.kill(alive)
    house.settled()
    check(house)
    house.check_totals()
    assert house.sql("SELECT count(*) FROM events")[0][0] > before > 0
    if installed.older.schema < schema_of_today():
        refused = subprocess.run(
            [installed.python.with_name("flowtell"), "runs"], capture_output=True, text=True, timeout=60, check=False
        )
        assert refused.returncode != 0
        assert "FT1403" in refused.stderr


# --- what is done with them ----------------------------------------------------------------------------------------


def work(house, python: Path | str, **environ: str) -> None:
    """Real flows that end, fail and are killed, and emitters that are killed or end."""
    options = {"python": python, "env": environ}
    running = [house.writer("writer.py", 0.002, 30, **options), house.writer("flows.py", **options)]
    victims = [house.writer("writer.py", **options) for _ in range(3)]
    for name in ("ends", "is_killed"):
        house.child(HERE / "flows.py", name, **options).wait(60)
    house.until(lambda: all(victim.side.exists() for victim in victims), 30, "the first events")
    time.sleep(0.5)
    for victim in victims:
        house.kill(victim)
    assert running[0].wait(60) == 0, house.errors()
    house.kill(running[1])


def ship(house, python: Path | str, port: int) -> None:
    """The same from a home elsewhere, shipping by themselves; an agent of their release sends what the dead had left."""
    pod = house.folder / "pod"
    elsewhere = {"FLOWTELL_HOME": str(pod), "FLOWTELL_URL": f"http://127.0.0.1:{port}"}
    work(house, python, **elsewhere)
    send_the_rest(house, python, pod, elsewhere)
    house.settled(plugins=False)


def send_the_rest(house, python: Path | str, pod: Path, elsewhere: dict[str, str]) -> None:
    agent = house.child("agent.py", python=python, env=elsewhere)
    house.until(lambda: not list(pod.glob("journals/*.jsonl")), 90, "all shipped and deleted")
    house.kill(agent, signal.SIGTERM)
    assert agent.returncode == 0, house.errors()


def check(house) -> None:
    noted, held = house.check_nothing_lost()
    assert noted > 300
    assert held > noted
    assert house.sql("SELECT sum(dropped) FROM writers") == [(0,)]
    refused = {problem for (problem,) in house.sql("SELECT problem FROM rejected_lines")}
    assert refused <= {"cut by the death of its writer"}
    states = house.check_every_run_ended()
    # of a killed one also what was closed before the rest of its journal came
    (pid,) = [process.pid for process in house.processes if process.args[-2:] == ["0.002", "30"]]
    assert house.sql("SELECT id FROM runs WHERE state = 'crashed' AND pid = ?", pid) == [], "it ended by itself"
    assert 1 <= states["crashed"] <= 4 * 5
    assert states["completed"] >= 30
    assert dict(house.sql("SELECT flow, state FROM runs WHERE flow IN ('good', 'bad', 'killed')")) == {
        "good": "completed",
        "bad": "failed",
        "killed": "crashed",
    }


def server(house, python: Path, port: int = 0, **environ: str) -> subprocess.Popen[bytes]:
    """A server of that release."""
    address = house.folder / "address"
    address.unlink(missing_ok=True)
    process = house.child("server.py", address, port, python=python, env=environ)
    house.until(lambda: address.exists() or process.poll() is not None, 40)
    assert process.poll() is None, house.errors()
    return process


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def schema_of_today() -> int:
    from flowtell.store.tables import SCHEMA_VERSION

    return SCHEMA_VERSION


def test_it_is_the_older_one(installed):
    """Its code comes from its own environment, and is not today's."""
    code = "import flowtell, json, sys, os; print(json.dumps([flowtell.__file__, sys.prefix]))"
    file, prefix = json.loads(subprocess.run([installed.python, "-c", code], capture_output=True, check=True).stdout)
    assert file.startswith(prefix)
    assert prefix != sys.prefix
    assert (Path(file).parent / "shipping").exists() == installed.older.ships
