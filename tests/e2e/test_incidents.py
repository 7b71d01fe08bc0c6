"""Incidents over HTTP in a real server: acknowledged and silenced by a request, known after a kill."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

FLOWTELL = str(Path(sys.executable).with_name("flowtell"))


def post(house, path, body):
    url = (house.folder / "address").read_text() + path
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 202
        return json.loads(answer.read())


@pytest.mark.slow
def test_what_is_said_over_http_survives_a_kill(house, monkeypatch):
    """The answer comes when the line is written: a server that is killed then knows it after its restart."""
    (house.folder / "flowtell.toml").write_text('[[rules]]\nkind = "failed"\n')
    monkeypatch.chdir(house.folder)
    server = house.server()
    house.until(lambda: house.sql("SELECT 1 FROM events WHERE type='rule.declared'"), 30, "the rule is declared")
    subprocess.run([FLOWTELL, "exec", "--flow", "backup", "--", "false"], capture_output=True, check=False)
    house.until(lambda: json.loads(house.get("/api/incidents"))["incidents"], 30, "the incident is open")
    (incident,) = json.loads(house.get("/api/incidents"))["incidents"]
    post(house, f"/api/incidents/{incident['incident']}/ack", {"actor": "ada"})
    post(house, "/api/silences", {"matchers": {"flow": "back*"}, "actor": "ada", "reason": "moving", "lasts": "1h"})
    house.kill(server)
    house.server()

    def known():
        shown = json.loads(house.get(f"/api/incidents/{incident['incident']}"))
        silences = json.loads(house.get("/api/silences"))["silences"]
        return shown["state"] == "acknowledged" and [each["reason"] for each in silences] == ["moving"]

    house.until(known, 30, "both are known")
    assert house.sql("SELECT count(*) FROM events WHERE type='incident.acknowledged'") == [(1,)]
