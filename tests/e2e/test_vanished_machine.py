"""A machine that goes without a word: no packet comes from it any more, nor an end of its connections."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

from flowtell import config
from flowtell.server.app import running_server

FLOW = """
import time
from flowtell import flow
@flow
def nightly():
    time.sleep(60)
nightly()
"""
HEARTBEAT = 3.0


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def machine():
    """A network of its own, with a cable to here; where neither may be made there is nothing to test with."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("a network namespace needs root and iproute2")
    name = f"ft{os.getpid() % 100_000}"
    if ip("netns", "add", name).returncode:
        pytest.skip("no network namespace may be made here")
    cable = (("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name),)
    here = (("addr", "add", "10.213.77.1/30", "dev", f"{name}a"), ("link", "set", f"{name}a", "up"))
    there = (("addr", "add", "10.213.77.2/30", "dev", f"{name}b"), ("link", "set", f"{name}b", "up"))
    if any(ip(*step).returncode for step in (*cable, *here, *(("-n", name, *step) for step in there))):
        ip("netns", "del", name)
        pytest.skip("no cable between networks may be made here")
    yield name
    ip("netns", "del", name)
    ip("link", "del", f"{name}a")


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["nothing on its way", "a beat on its way"])
def test_its_runs_have_crashed(machine, tmp_path, monkeypatch, moment):
    """Noticed by unanswered keepalive in five seconds, or by a beat unacknowledged for five; then the grace."""
    beat = 1.0 if moment.startswith("a beat") else 60.0
    monkeypatch.setattr("flowtell.server.journal_routes._BEAT_SECONDS", beat)
    settings = {
        "server.host": "10.213.77.1",
        "server.port": 0,
        "server.token": "s3cret",
        "home": str(tmp_path / "far"),
        "plugins.disable": "dashboard,prometheus,lineage,alerts,notifications",
        "shipping.heartbeat_seconds": HEARTBEAT,
    }
    environ = {
        **os.environ,
        "FLOWTELL_HOME": str(tmp_path / "near"),
        "FLOWTELL_TOKEN": "s3cret",
        "FLOWTELL_SHIPPING__HEARTBEAT_SECONDS": str(HEARTBEAT),
    }
    with running_server(config.load(settings, environ={})) as (url, service):
        command = ["ip", "netns", "exec", machine, sys.executable, "-c", FLOW]
        process = subprocess.Popen(command, env={**environ, "FLOWTELL_URL": url})
        try:
            until(lambda: states(service) == ["running"] and service.presence.open_streams(), 20)
            time.sleep(1)
            ip("link", "set", f"{machine}a", "down")
            cut = time.monotonic()
            until(lambda: states(service) == ["crashed"], 30)
            took = time.monotonic() - cut
        finally:
            process.kill()
            process.wait()
    print(f"{moment}: crashed {took:.1f} s after the cable was cut")
    assert took < 5 + 2 * HEARTBEAT + (2 * beat if moment.startswith("a beat") else 0)  # which may go out later


def states(service):
    with service.store.reading() as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT state FROM runs")]


def until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_this_machine_has_the_options():
    """Those that notice it; on macOS a part of them."""
    assert hasattr(socket, "TCP_KEEPCNT")
