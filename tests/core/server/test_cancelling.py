"""Runs are cancelled over HTTP: they clean up, or are killed; who may not, and what cannot, is told."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from flowtell import bus, config, flow
from flowtell.server.app import running_server
from flowtell.store.tokens import create_token

QUIET = {"server.port": 0, "plugins.disable": "dashboard,prometheus,lineage,alerts,notifications,jsonlines"}

SCRIPT = """
import signal, sys, time
from flowtell import flow

@flow(name="long")
def long():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.argv[1] == "deaf":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("begun", flush=True)
    try:
        while True:
            time.sleep(0.05)
    finally:
        print("cleaned up", flush=True)

long()
"""


class Place:
    def __init__(self, url, service):
        self.url, self.service = url, service

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def run(self, state):
        """The run, once it is in this state."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if runs := self.ask("GET", f"/api/runs?state={state}")[1]["runs"]:
                return runs[0]
            time.sleep(0.05)
        raise AssertionError(f"nothing is {state}")

    def told(self, kind):
        """What events of one type say, once there is one."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if events := self.ask("GET", f"/api/events?type={kind}")[1]["events"]:
                return events
            time.sleep(0.05)
        raise AssertionError(f"no {kind}")


@pytest.fixture
def place(home, tmp_path):
    given = {**QUIET, "home": str(home)}
    with running_server(config.load(given, environ={}, folder=str(tmp_path))) as (url, service):
        yield Place(url, service)
    bus.renew()


@pytest.fixture
def script(tmp_path):
    """A process with one run, as a context; a deaf one does not heed Ctrl-C."""
    path = tmp_path / "long.py"
    path.write_text(SCRIPT)

    @contextmanager
    def start(how="quick"):
        with subprocess.Popen([sys.executable, path, how], stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout.readline() == "begun\n"
                yield process
            finally:
                process.kill()

    return start


def test_a_run_cleans_up_and_is_cancelled(place, script):
    """By whom and why is in the log."""
    with script() as process:
        run = place.run("running")["id"]
        body = {"actor": "Ann", "reason": "the wrong day"}
        assert place.ask("POST", f"/api/runs/{run}/cancel", body) == (200, {"run": run, "outcome": "cancelled"})
        assert "cleaned up" in process.stdout.read()
    assert place.run("cancelled")["id"] == run
    said = place.told("flow_run.cancelling")[0]
    assert (said["actor"], said["reason"]) == ("Ann", "the wrong day")
    assert place.told("action.done")[0]["outcome"] == "cancelled"


def test_one_that_does_not_end_is_killed(place, script):
    with script("deaf"):
        run = place.run("running")["id"]
        assert place.ask("POST", f"/api/runs/{run}/cancel", {"grace": 0.5})[1]["outcome"] == "killed"
    ended = place.run("cancelled")
    assert (ended["id"], ended["signal"]) == (run, "SIGKILL")


def test_asked_twice_it_is_asked_once(place, script):
    """While it may still clean up, a second request waits for the same end."""
    with script("deaf"):
        run = place.run("running")["id"]
        assert place.ask("POST", f"/api/runs/{run}/cancel", {"grace": 5}) == (202, {"run": run, "outcome": "cancelling"})
        assert place.ask("POST", f"/api/runs/{run}/cancel", {"grace": 0})[1]["outcome"] == "killed"
    assert len(place.told("action.requested")) == 1


def test_what_cannot_be_cancelled_says_why(place):
    """One that has ended, one that is not there, one in the server's own process, and a body that makes no sense."""

    @flow
    def quick():
        return place.ask("POST", f"/api/runs/{place.run('running')['id']}/cancel", {})

    status, said = quick()
    assert (status, said["code"]) == (409, "FT2304")
    assert "very process" in said["error"]
    run = place.run("completed")["id"]
    status, said = place.ask("POST", f"/api/runs/{run}/cancel", {})
    assert status == 409
    assert "ended already, as completed" in said["error"]
    assert place.ask("POST", f"/api/runs/{'e' * 32}/cancel", {})[0] == 404
    for body in ({"grace": -1}, {"grace": 1e9}, {"kill": True}, [1]):
        assert place.ask("POST", f"/api/runs/{run}/cancel", body)[0] == 400


def test_it_takes_the_scope_operate(place):
    _, reader = create_token(place.service.store, "reader", ("read",), now=time.time_ns() // 1000)
    _, operator = create_token(place.service.store, "operator", ("operate",), now=time.time_ns() // 1000)
    place.service.tokens.refresh()
    path = f"/api/runs/{'e' * 32}/cancel"
    assert place.ask("POST", path, {})[0] == 401
    assert place.ask("POST", path, {}, Authorization=f"Bearer {reader}")[0] == 403
    assert place.ask("POST", path, {}, Authorization=f"Bearer {operator}")[0] == 404


def test_a_server_that_stops_waits_for_nobody(home, tmp_path, script):
    """And does not kill afterwards: whoever asks the next one gets the run's end."""
    given = config.load({**QUIET, "home": str(home)}, environ={}, folder=str(tmp_path))
    with script("deaf") as process:
        with running_server(given) as (url, service):
            place = Place(url, service)
            run = place.run("running")["id"]
            assert place.ask("POST", f"/api/runs/{run}/cancel", {"grace": 60})[0] == 202
        assert process.poll() is None
