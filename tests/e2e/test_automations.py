"""Automations with real processes: a flow's event begins a served run; what is killed in between loses and doubles none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FLOWTELL = str(Path(sys.executable).with_name("flowtell"))
ORDERS = "orders.py"

TOML = """
[[automations]]
name = "load what was uploaded"
when = { event = "orders.uploaded", flow = "upload" }
run = "load/main"
parameters = { day = "{{ payload.day }}" }

[[automations]]
name = "pong after ping"
when = { event = "loop.ping" }
run = "pong/main"
max_hops = 3

[[automations]]
name = "ping after pong"
when = { event = "loop.pong" }
run = "ping/main"
max_hops = 3
"""


@pytest.fixture
def orders(house, monkeypatch):
    """The home's folder with automations in it."""
    (house.folder / "flowtell.toml").write_text(TOML)
    monkeypatch.chdir(house.folder)
    monkeypatch.setenv("FLOWTELL_QUIET", "1")
    return house


def ends(house, flow: str) -> list[tuple[str, str, str, int]]:
    """State, deployment, cause and hops of each run of the flow that has ended."""
    rows = house.sql("SELECT data FROM events WHERE type='flow_run.finished' AND flow=? ORDER BY seq", flow)
    found = [json.loads(row[0]) for row in rows]
    names = {"state": "completed", "deployment": "", "caused_by": "", "hops": 0}  # what stands at its default is absent
    return [tuple(one.get(name, default) for name, default in names.items()) for one in found]


def done(house) -> list[dict[str, object]]:
    rows = house.sql("SELECT run, data FROM events WHERE type='action.done' ORDER BY seq")
    return [{"run": run, **json.loads(data)} for run, data in rows]


def command(*words: str) -> str:
    return subprocess.run([FLOWTELL, *words], capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.slow
def test_an_upload_begins_a_load_of_its_day(orders):
    """By the file and by the deployment's own; the run says what it is caused by, and its parameters came from the event."""
    orders.server()
    orders.child(ORDERS, "serve")
    orders.until(lambda: len(orders.sql("SELECT 1 FROM automations_declared")) == 1, 30, "the deployment's is known")
    orders.child(ORDERS, "upload", "2026-11-02").wait(30)
    orders.until(lambda: len(ends(orders, "load")) == 2, 30, "both loads have ended")
    requested = orders.sql("SELECT id, data FROM events WHERE type='action.requested' ORDER BY seq")
    assert {(end[0], end[1], end[3]) for end in ends(orders, "load")} == {
        ("completed", "main", 1),
        ("completed", "coded", 1),
    }
    assert {end[2] for end in ends(orders, "load")} == {row[0] for row in requested}
    uploaded = orders.sql("SELECT id FROM events WHERE type='orders.uploaded'")[0][0]
    assert {json.loads(row[1])["caused_by"] for row in requested} == {uploaded}
    parameters = [json.loads(row[0]) for row in orders.sql("SELECT data FROM events WHERE type='flow_run.started'")]
    shops = sorted(one["parameters"]["shop"] for one in parameters if "shop" in one.get("parameters", {}))
    assert shops == ["berlin", "code"]
    assert all(one["parameters"]["day"] == "2026-11-02" for one in parameters)
    assert [one["outcome"] for one in done(orders)] == ["started", "started"]
    listed = {one["name"]: one for one in json.loads(command("automations", "list", "--json"))}
    assert listed["load what was uploaded"]["begun"] == 1
    assert listed["load/coded:1"]["begun"] == 1
    verdicts = {one["automation"]: one for one in json.loads(command("automations", "test", uploaded, "--json"))}
    assert verdicts["load what was uploaded"]["parameters"] == {"day": "2026-11-02"}
    assert verdicts["pong after ping"]["problem"] == "its type is orders.uploaded"
    assert not list((orders.home / "wanted").iterdir())


@pytest.mark.slow
def test_two_that_trigger_each_other_stop_at_the_bound(orders):
    """Three runs after the first, then it is told, with why."""
    orders.server()
    orders.child(ORDERS, "serve")
    orders.child(ORDERS, "ping").wait(30)
    orders.until(lambda: any(one["outcome"] == "stopped" for one in done(orders)), 60, "it was stopped")
    orders.until(lambda: len(ends(orders, "ping") + ends(orders, "pong")) == 4, 30, "all have ended")
    assert sorted(end[3] for flow in ("ping", "pong") for end in ends(orders, flow)) == [0, 1, 2, 3]
    (stopped,) = (one for one in done(orders) if one["outcome"] == "stopped")
    assert stopped["error"]["type"] == "TooManyHops"
    assert "max_hops of 'ping after pong' is 3" in stopped["error"]["message"]


@pytest.mark.slow
def test_killed_in_between_each_upload_is_loaded_once(orders):
    """The server is killed before anybody serves, and the serving process while its runs begin."""
    days = [f"2026-11-{day:02}" for day in (1, 3, 4, 5)]
    server = orders.server()
    for day in days[:2]:
        orders.child(ORDERS, "upload", day).wait(30)
    orders.until(lambda: len(list((orders.home / "wanted").glob("*.want"))) == 2, 30, "both are wanted")
    orders.kill(server)
    serving = orders.child(ORDERS, "serve")
    for day in days[2:]:
        orders.child(ORDERS, "upload", day).wait(30)
    orders.until(lambda: list((orders.home / "wanted").glob("*.word")), 30, "the first are taken")
    orders.kill(serving)
    orders.server()
    orders.child(ORDERS, "serve")
    orders.until(lambda: len({one["run"] for one in done(orders)}) == 4, 60, "all are taken")
    orders.until(lambda: len(ends(orders, "load")) >= 4, 60, "all have ended")
    assert len(orders.sql("SELECT DISTINCT run FROM events WHERE type='flow_run.scheduled' AND flow='load'")) == 4
    assert len(ends(orders, "load")) == 4


@pytest.mark.slow
def test_what_is_served_elsewhere_is_asked_for(orders, tmp_path_factory):
    """A serving process with a home of its own, whose events are shipped, begins what the server wants."""
    orders.server()
    url = (orders.folder / "address").read_text()
    far = tmp_path_factory.mktemp("elsewhere")
    orders.child(ORDERS, "serve", env={"FLOWTELL_HOME": str(far), "FLOWTELL_URL": url})
    orders.child(ORDERS, "upload", "2026-11-03").wait(30)
    orders.until(lambda: len(ends(orders, "load")) == 1, 60, "the load has ended")
    orders.until(lambda: [one["outcome"] for one in done(orders)] == ["started"], 30, "it was heard")
    assert ends(orders, "load")[0][:2] == ("completed", "main")
    for home in (orders.home, far):
        orders.until(lambda home=home: not list((home / "wanted").iterdir()), 30, "nothing is left")
