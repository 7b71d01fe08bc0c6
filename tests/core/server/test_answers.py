"""Answers over HTTP: to runs beside the server and to runs elsewhere, checked, guarded, and kept over a restart."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from flowtell import config
from flowtell.answers.box import Box
from flowtell.server.app import running_server
from flowtell.store.tokens import create_token

QUIET = {"server.port": 0, "plugins.disable": "dashboard,prometheus,lineage,alerts,notifications,jsonlines"}

SCRIPT = """
import sys, time
from flowtell import RunInput, flow, pause_flow_run

class Review(RunInput):
    score: int

@flow(name="reviewed")
def reviewed():
    review = pause_flow_run(Review, key="review", timeout=60)
    print(time.time(), review.score, flush=True)

reviewed()
"""


class Place:
    """A server, and what it answers."""

    def __init__(self, url, service):
        self.url, self.service = url, service
        self.host, _, self.port = url.removeprefix("http://").partition(":")

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=10)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def paused(self):
        """The id of the run, once the server has it as paused."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if runs := self.ask("GET", "/api/runs?state=paused")[1]["runs"]:
                return runs[0]["id"]
            time.sleep(0.05)
        raise AssertionError("nothing paused")


@pytest.fixture
def serve(home, tmp_path):
    @contextmanager
    def start(**settings):
        given = {**QUIET, "home": str(home), **settings}
        with running_server(config.load(given, environ={}, folder=str(tmp_path))) as (url, service):
            yield Place(url, service)

    return start


@pytest.fixture
def place(serve):
    with serve() as started:
        yield started


@pytest.fixture
def flow_process(tmp_path, home):
    """A process with a run that pauses, in the server's home or, with a URL, in one of its own."""
    started = []
    script = tmp_path / "reviewed.py"
    script.write_text(SCRIPT)

    def start(url=""):
        elsewhere = {"FLOWTELL_URL": url, "FLOWTELL_HOME": str(tmp_path / "elsewhere")} if url else {}
        environ = {**os.environ, "FLOWTELL_QUIET": "1", **elsewhere}
        started.append(subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environ))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_run_asks_is_answered_and_goes_on(place, flow_process):
    process = flow_process()
    run = place.paused()
    status, asked = place.ask("GET", f"/api/runs/{run}/questions")
    assert (status, asked["state"], [one["key"] for one in asked["questions"]]) == (200, "paused", ["review"])
    assert asked["questions"][0]["schema"]["required"] == ["score"]
    answer = {"key": "review", "answer": {"score": 4}, "actor": "ada"}
    assert place.ask("POST", f"/api/runs/{run}/resume", answer) == (
        200,
        {"run": run, "key": "review", "outcome": "resumed"},
    )
    said, _ = process.communicate(timeout=20)
    assert said.split()[1] == "4"


def test_what_does_not_fit_names_its_fields(place, flow_process):
    process = flow_process()
    run = place.paused()
    status, told = place.ask("POST", f"/api/runs/{run}/resume", {"answer": {"score": "many", "note": ""}})
    assert (status, told["code"]) == (422, "FT2604")
    assert [problem["field"] for problem in told["problems"]] == ["score", "note"]
    for path, body, expected in [
        (f"/api/runs/{run}/resume", {"answers": 1}, (400, "FT1905")),
        (f"/api/runs/{run}/resume", {"key": "other"}, (409, "FT2605")),
        ("/api/runs/01234567/resume", {}, (404, "FT1404")),
        ("/api/answers/ask", {"run": "../x"}, (400, "FT1905")),
        ("/api/answers/ask", {"run": run, "place": -1}, (400, "FT1905")),
    ]:
        status, told = place.ask("POST", path, body)
        assert (status, told.get("code")) == expected
    assert place.ask("POST", f"/api/runs/{run}/resume", {"answer": {"score": 1}})[0] == 200
    process.communicate(timeout=20)
    time.sleep(0.5)
    status, told = place.ask("POST", f"/api/runs/{run}/resume", {"answer": {"score": 1}})
    assert (status, "it has ended already, as completed" in told["error"]) == (409, True)


def test_a_run_elsewhere_asks_the_server(place, flow_process, tmp_path, home):
    """What it was told is kept in its own home while it runs, and forgotten at the server once it was taken."""
    process = flow_process(place.url)
    run = place.paused()
    assert place.ask("POST", f"/api/runs/{run}/resume", {"answer": {"score": 3}})[0] in (200, 202)
    said, _ = process.communicate(timeout=20)
    assert said.split()[1] == "3"
    assert not Box(str(home), run).exists()
    assert not Box(str(tmp_path / "elsewhere"), run).exists()


@pytest.mark.slow
def test_an_answer_outlives_a_restart_of_the_server(serve, flow_process, home):
    """The run elsewhere cannot reach it meanwhile, and waits."""
    with serve() as first:
        port = first.port
        process = flow_process(first.url)
        run = first.paused()
    with serve(**{"server.port": int(port)}) as second:
        assert second.ask("POST", f"/api/runs/{run}/resume", {"answer": {"score": 2}})[0] in (200, 202)
        said, _ = process.communicate(timeout=30)
    assert said.split()[1] == "2"


def test_who_may_answer(serve):
    ways = [
        ("POST", "/api/runs/01234567/resume"),
        ("POST", "/api/answers/ask"),
        ("GET", "/api/runs/01234567/questions"),
    ]
    with serve(**{"server.token": "s3cret"}) as place:
        asked = {}
        for scope in ("read", "operate", "ingest"):
            _, token = create_token(place.service.store, scope, (scope,), now=time.time_ns() // 1000)
            place.service.tokens.refresh()
            headers = {"Authorization": f"Bearer {token}"}
            asked[scope] = [place.ask(method, path, {}, **headers)[0] for method, path in ways]
    assert asked == {"read": [403, 403, 404], "operate": [404, 403, 404], "ingest": [403, 400, 403]}
