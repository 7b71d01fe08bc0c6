"""Servers that keep limits, and processes elsewhere that ask them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from flowtell import config
from flowtell.ids import new_id
from flowtell.limits.book import Request
from flowtell.limits.desk import LocalDesk
from flowtell.limits.remote import RemoteDesk
from flowtell.server.app import running_server

QUIET = {"server.port": 0, "plugins.disable": "dashboard,prometheus,lineage,alerts,notifications,jsonlines"}

WORKER = """
import os, sys, time
from flowtell import flow
from flowtell import current_run

@flow(name="far", concurrency_limit=1)
def far(seconds):
    print("in", current_run().id, flush=True)
    time.sleep(seconds)
    print("out", flush=True)

far(float(sys.argv[1]))
"""


class Keeper:
    """A server, its address and its home."""

    def __init__(self, url, service, home):
        self.url, self.service, self.home = url, service, home
        self.port = int(url.rpartition(":")[2])

    def states(self):
        return {state.name: state for state in self.service.limits.states()}


@pytest.fixture
def serve(tmp_path):
    @contextmanager
    def start(name="far", **settings):
        home = tmp_path / name
        given = {**QUIET, "home": str(home), **settings}
        with running_server(config.load(given, environ={}, folder=str(tmp_path))) as (url, service):
            yield Keeper(url, service, home)

    return start


@pytest.fixture
def keeper(serve):
    with serve() as server:
        yield server


class Elsewhere:
    """A process elsewhere, as far as a desk knows of one."""

    def __init__(self, url, home, warned):
        self.writer = new_id()
        self.near = LocalDesk(str(home), {})
        self.desk = RemoteDesk(url, "", {}, self.near, writer=lambda: self.writer, warn=warned.append)

    def ask(self, ticket, *names, limit=None):
        request = Request(ticket=ticket, owner="", run=f"run {ticket}", limits=dict.fromkeys(names, limit))
        return self.desk.ask([request])[0]


@pytest.fixture
def warned():
    return []


@pytest.fixture
def elsewhere(tmp_path, warned):
    made = []

    def make(url):
        made.append(Elsewhere(url, tmp_path / f"near{len(made)}", warned))
        return made[-1]

    yield make
    for one in made:
        one.near.close()
        one.desk.close()


@pytest.fixture
def far_worker(tmp_path):
    """Start a process on another machine: a home of its own, and the server's address."""
    started = []
    script = tmp_path / "far_worker.py"
    script.write_text(WORKER)

    def start(url, seconds):
        home = tmp_path / f"machine{len(started)}"
        environ = {**os.environ, "FLOWTELL_HOME": str(home), "FLOWTELL_URL": url, "FLOWTELL_QUIET": "1"}
        words = [sys.executable, str(script), str(seconds)]
        started.append(subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.stdout.close()
        process.wait()


@pytest.fixture
def until():
    def wait(condition, seconds=15.0, what=""):
        began = time.monotonic()
        while not (found := condition()):
            assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
            time.sleep(0.02)
        return found

    return wait
