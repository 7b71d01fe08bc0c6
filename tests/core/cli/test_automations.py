"""`flowtell automations`: what there is, what an event would begin, and how one is paused, with and without a server."""

from __future__ import annotations

import json
import os

import pytest

from flowtell import bus, emit_event, flow
from flowtell.engine.assignments import Assignment
from flowtell.engine.drivers import run_to_end
from flowtell.engine.flow_runs import FlowRun
from flowtell.events import FlowRunFinished, FlowRunStarted, UserEvent
from flowtell.ids import new_id
from flowtell.testing import recorder

FILE = """
[[automations]]
name = "load"
when = { event = "orders.*", resource = "s3://*" }
run = "load/main"
parameters = { day = "{{ payload.day }}" }

[[automations]]
name = "miss"
when = { absent = "orders.uploaded", within = "2h" }
run = "remind/main"
active = false
"""


@pytest.fixture(autouse=True)
def automations(tmp_path, monkeypatch):
    """The plugin alone, over a file."""
    others = [name for name in os.environ["FLOWTELL_PLUGINS__DISABLE"].split(",") if name != "automations"]
    monkeypatch.setenv("FLOWTELL_PLUGINS__DISABLE", ",".join(others))
    (tmp_path / "flowtell.toml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    bus.renew()


def test_all_are_listed(flowtell):
    """With what each waits for, and how often it began something."""
    emit_event("orders.uploaded", resource="s3://orders/1", payload={"day": "2026-11-02"})
    listed = flowtell("automations", "list", "--json")
    load, miss = json.loads(listed.out)
    assert (load["name"], load["state"], load["begun"]) == ("load", "active", 1)
    assert len(load["waiting"]) == 1
    assert (miss["state"], miss["when"]["within"]) == ("off", 7200)
    rows = [line.split("\t") for line in flowtell("automations", "list").out.splitlines()]
    assert rows[0][:6] == ["load", "orders.* resource=s3://*", "load/main", "active", "1", "0"]
    assert rows[1][1] == "no orders.uploaded within 2 h 00 m"


def test_none_is_said_with_how_to_make_one(flowtell, tmp_path):
    (tmp_path / "flowtell.toml").unlink()
    bus.renew()
    listed = flowtell("automations", "list")
    assert (listed.code, listed.out) == (0, "")
    assert "[[automations]]" in listed.err


def test_an_event_is_tried_on_each(flowtell):
    """Why not, and with which parameters; a field that is missing is told."""
    fits = emit_event("orders.uploaded", resource="s3://orders/1", payload={"day": "2026-11-02"})
    lacks = emit_event("orders.uploaded", resource="s3://orders/1")
    other = emit_event("orders.uploaded", resource="gs://orders/1")

    def tried(event):
        return json.loads(flowtell("automations", "test", event, "--json").out)

    load, miss = tried(fits)
    assert (load["matches"], load["parameters"]) == (True, {"day": "2026-11-02"})
    assert miss["matches"]
    assert "no field 'payload" in tried(lacks)[0]["problem"]
    assert tried(other)[0]["problem"] == "its resource is gs://orders/1, not s3://*"
    gone = flowtell("automations", "test", "0" * 32)
    assert (gone.code, "FT2753" in gone.err) == (1, True)


def test_paused_and_resumed(flowtell):
    """By an event that the plugin reads, also where no server runs; a name that there is not is refused."""
    assert flowtell("automations", "pause", "load").code == 0
    emit_event("orders.uploaded", resource="s3://orders/1", payload={"day": "2026-11-02"})
    (load, _) = json.loads(flowtell("automations", "list", "--json").out)
    assert (load["state"], load["begun"]) == ("paused", 0)
    assert flowtell("automations", "resume", "load").code == 0
    (load, _) = json.loads(flowtell("automations", "list", "--json").out)
    assert load["state"] == "active"
    refused = flowtell("automations", "pause", "laod")
    assert (refused.code, "There are: load, miss" in refused.err) == (1, True)


def test_what_a_run_emits_carries_what_it_is_caused_by():
    """Its start and end, its own events, and those of flows that it calls; an event that follows another says that one."""

    @flow
    def inner():
        emit_event("a.inner")

    @flow
    def outer():
        emit_event("a.outer")
        emit_event("a.follows", follows="f" * 32)
        inner()

    with recorder() as seen:
        run = FlowRun(outer, (), {}, Assignment(run=new_id(), flow="outer", cause="automation", caused_by="c" * 32, hops=2))
        run_to_end(run, run.work.colour)
    own = {event.type: (event.caused_by, event.hops) for event in seen.of(UserEvent)}
    assert own == {"a.outer": ("c" * 32, 2), "a.follows": ("f" * 32, 2), "a.inner": ("c" * 32, 2)}
    assert {(event.caused_by, event.hops) for event in seen.of(FlowRunStarted)} == {("c" * 32, 2)}
    assert [(event.caused_by, event.hops) for event in seen.of(FlowRunFinished) if event.run == run.id] == [("c" * 32, 2)]
