"""A server that takes journals, and journals to send to it."""

from __future__ import annotations

import gzip
import http.client
import json
import time
from contextlib import contextmanager

import pytest

from flowtell import config
from flowtell import events as e
from flowtell.ids import new_id
from flowtell.journal import new_header
from flowtell.server.app import running_server
from flowtell.shipping.memory import MemoryJournal

QUIET = {"server.port": 0, "plugins.disable": "dashboard,prometheus,lineage,alerts,notifications"}


class Far:
    """A server elsewhere, as a shipper and as an outsider see it."""

    def __init__(self, url, service, home):
        self.url, self.service, self.home = url, service, home
        self.host, _, self.port = url.removeprefix("http://").partition(":")

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=10)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read()), dict(answer.getheaders())
        finally:
            connection.close()

    def post(self, header, place, lines, *, writer=None, ended=False, **query):
        """Status and answer for a batch of one journal."""
        body = gzip.compress(header + lines)
        more = "".join(f"&{name}={value}" for name, value in query.items()) + "&ended=1" * ended
        path = f"/api/journal?writer={writer or json.loads(header)['writer']}&place={place}{more}"
        return self.ask("POST", path, body, Content_Encoding="gzip")[:2]

    def events(self):
        return self.ask("GET", "/api/events?limit=10000")[1]["events"]

    def until(self, condition, seconds=10.0, what=""):
        began = time.monotonic()
        while not (found := condition()):
            assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
            time.sleep(0.01)
        return found

    def await_events(self, count, seconds=10.0):
        """Until the log has that many events; their messages."""
        self.until(lambda: self.service.store.window.head >= count, seconds, f"{count} events")
        return [event.get("message", event["type"]) for event in self.events()]

    def states(self):
        return {run["flow"]: run["state"] for run in self.ask("GET", "/api/runs")[1]["runs"]}


@pytest.fixture
def serve(tmp_path):
    """Start a server on a home of that name, with settings of shipping."""

    @contextmanager
    def start(name="far", **settings):
        home = tmp_path / name
        given = {f"shipping.{key}": value for key, value in settings.items()}
        token = {"server.token": given.pop("shipping.token")} if "token" in settings else {}
        port = {"server.port": given.pop("shipping.port")} if "port" in settings else {}
        loaded = config.load({**QUIET, "home": str(home), **given, **token, **port}, environ={})
        with running_server(loaded) as (url, service):
            yield Far(url, service, home)

    return start


@pytest.fixture
def far(serve):
    with serve() as server:
        yield server


def line(message="", **fields):
    return e.encode(e.LogRecorded(id=new_id(), time=time.time_ns() // 1000, message=message, **fields)) + b"\n"


def started(flow, run=None):
    run = run or new_id()
    return e.encode(e.FlowRunStarted(id=new_id(), time=time.time_ns() // 1000, run=run, flow=flow)) + b"\n"


@pytest.fixture
def journal():
    """A journal in memory."""
    return MemoryJournal(new_header("test", "", "0"), 1 << 30)


@pytest.fixture
def header():
    """A new journal's header line."""
    return MemoryJournal(new_header("test", "", "0"), 0).header_line
