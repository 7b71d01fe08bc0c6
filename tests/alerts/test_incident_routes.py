"""`/api/incidents` and `/api/silences`: what is read, what is refused, and that a write is a line in a journal."""

from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient

from flowtell import events as e
from flowtell.rules import failed, too_long
from flowtell.runner import Runner
from flowtell.testing import PluginContract
from flowtell_alerts.incident_routes import MAX_BODY, create

HOUR = 3_600_000_000


class TestContract(PluginContract):
    name = "incidents"

    def factory(self):
        return create


@pytest.fixture
def http(world):
    """The routes as a server mounts them, over a flow with one incident open and one resolved."""
    world.declares(failed(), too_long(10))
    world.starts("a")
    world.passes(20)
    world.ends("a", "failed", error=e.Failure(type="KeyError", message="'secret'"))
    world.passes()
    mounted = {}
    pages = Runner("incidents", create, world.harness.store, home=str(world.folder), environment="test", clock=world.clock)
    pages.on_mount = lambda _, path, app: mounted.__setitem__(path, app)
    pages.open()
    world.others.append(pages)
    return TestClient(_as_mounted(mounted), base_url="http://127.0.0.1")


def _as_mounted(mounted):
    async def app(scope, receive, send):
        path = next((path for path in mounted if scope.get("path", path).startswith(path)), None)
        await mounted[path]({**scope, "root_path": path}, receive, send)

    return app


def written(world):
    """What stands in the server's journal, without its header."""
    lines = [line for file in (world.folder / "journals").glob("*") for line in file.read_bytes().splitlines()]
    return [event for event in map(json.loads, lines) if event["type"] != "journal.opened"]


@pytest.fixture
def world(world, tmp_path):
    world.folder = tmp_path
    return world


def test_incidents_are_listed(http):
    """Open ones, or all; by flow, environment, kind and severity; with state and subject, without any secret."""
    answer = http.get("/api/incidents")
    assert answer.status_code == 200
    (incident,) = answer.json()["incidents"]
    assert incident["state"] == "firing"
    assert incident["subject"] == {"kind": "flow", "name": "nightly"}
    assert "secret" not in answer.text

    def count(**query):
        return len(http.get("/api/incidents", params={"state": "all", **query}).json()["incidents"])

    assert count() == 2
    assert (count(kind="failed"), count(kind="fail"), count(kind="too_long")) == (1, 0, 1)
    assert (count(flow="nightly"), count(flow="other"), count(environment="test"), count(severity="error")) == (2, 0, 2, 1)
    assert count(limit=1) == 1


def test_an_incident_has_its_history(http, world):
    """By its id or the eight digits that people see."""
    (incident,) = world.open
    for wanted in (incident.incident, incident.incident[16:24]):
        answer = http.get(f"/api/incidents/{wanted}").json()
        assert answer["incident"] == incident.incident
        assert [happened["kind"] for happened in answer["history"]] == ["opened"]
    assert http.get("/api/incidents/zz").status_code == 404
    assert http.get("/api/incidents/zz").json()["code"] == "FT2420"


def test_an_acknowledgement_is_a_line_in_a_journal(http, world):
    """It is answered when it is written, and says all that a channel needs to know of the incident."""
    (incident,) = world.open
    answer = http.post(f"/api/incidents/{incident.incident}/ack", json={"actor": "ada"})
    assert answer.status_code == 202
    (line,) = written(world)
    assert (line["type"], line["incident"], line["actor"]) == ("incident.acknowledged", incident.incident, "ada")
    assert (line["key"], line["flow"], line["severity"]) == (incident.key, "nightly", "error")
    world.harness.feed([e.decode(json.dumps(line).encode())])
    assert http.get(f"/api/incidents/{incident.incident}").json()["state"] == "acknowledged"


def test_what_is_resolved_is_not_acknowledged(http, world):
    """Nothing is written."""
    over = next(incident for incident in world.incidents if incident.resolved)
    answer = http.post(f"/api/incidents/{over.incident}/ack", json={"actor": "ada"})
    assert (answer.status_code, answer.json()["code"]) == (409, "FT2421")
    assert written(world) == []


def test_a_silence_from_its_making_to_its_end(http, world):
    """Made, listed, ended: two lines."""
    made = http.post("/api/silences", json={"matchers": {"flow": "night*"}, "actor": "ada", "reason": "x", "lasts": "2h"})
    assert made.status_code == 202
    assert made.json()["until"] == world.clock() + 2 * HOUR
    world.harness.feed([e.decode(json.dumps(line).encode()) for line in written(world)])
    (silence,) = http.get("/api/silences").json()["silences"]
    assert silence == made.json()
    assert http.delete(f"/api/silences/{silence['silence'][16:24]}?actor=bob").status_code == 202
    world.harness.feed([e.decode(json.dumps(line).encode()) for line in written(world)][1:])
    assert http.get("/api/silences").json()["silences"] == []
    assert http.get("/api/silences?state=all").json()["silences"][0]["expired_by"] == "bob"
    assert http.delete(f"/api/silences/{silence['silence']}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[" * 5000,
        b'{"matchers":{"flow":"x"},"actor":"ada","reason":"x"}',
        b'{"matchers":{"flow":"x"},"actor":"ada","reason":"x","lasts":"soon"}',
        b'{"matchers":{"flow":"x"},"actor":"ada","reason":"x","lasts":"2h","until":5}',
        b'{"matchers":{"flow":"x"},"actor":"ada","reason":"x","until":5}',
        b'{"matchers":{"flow":"x"},"actor":" ","reason":"x","lasts":"2h"}',
        b'{"matchers":{"flow":"x"},"actor":"ada","reason":" ","lasts":"2h"}',
        b'{"matchers":{"colour":"x"},"actor":"ada","reason":"x","lasts":"2h"}',
        b'{"matchers":{},"actor":"ada","reason":"x","lasts":"2h"}',
        b'{"matchers":{"flow":"x"},"actor":"ada","reason":"x","lasts":"2h","more":1}',
        b'{"matchers":{"flow":"x"},"actor":"ada","reason":"x","lasts":1e300}',
        b'{"matchers":{"flow":"' + b"x" * MAX_BODY + b'"},"actor":"ada","reason":"x","lasts":"2h"}',
        b"\xff\xfe",
    ],
)
def test_a_body_that_makes_no_silence_is_refused(http, world, body):
    """With 400 and a text, and nothing is written."""
    answer = http.post("/api/silences", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert written(world) == []


def test_what_else_is_refused(http):
    """Queries out of bounds, packed bodies, other methods and paths."""
    assert http.get("/api/incidents?limit=0").status_code == 400
    assert http.get("/api/incidents?limit=1001").status_code == 400
    assert http.get("/api/incidents?state=shut").status_code == 400
    assert http.get("/api/silences?state=shut").status_code == 400
    packed = {"Content-Encoding": "gzip"}
    assert http.post("/api/silences", content=b"x", headers=packed).status_code == 400
    assert http.put("/api/incidents").status_code == 405
    assert http.get("/api/incidents/a/b/c").status_code == 404
