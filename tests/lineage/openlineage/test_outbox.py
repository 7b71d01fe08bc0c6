"""The plugin `openlineage_out`: its cursor is the outbox, against a catalogue on a real socket that fails in every way."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType

import pytest

pytest.importorskip("openlineage.client", reason="the extra flowtell-lineage[openlineage] is not installed")

from tests.lineage.openlineage.catalogue import Catalogue

from flowtell import events as e
from flowtell.errors import BadValue, UnknownKey
from flowtell.ids import new_id
from flowtell.plugin import RetryLater
from flowtell.testing import PluginContract, PluginHarness
from flowtell_lineage.openlineage.receiving.receiver import Receiver
from flowtell_lineage.openlineage.sending.client import Refused
from flowtell_lineage.openlineage.sending.plugin import create

RAW, DAY = "s3://lake/raw.parquet", "s3://lake/by_day.parquet"


@pytest.fixture
def catalogue():
    made = Catalogue()
    yield made
    made.close()


@pytest.fixture
def opened(tmp_path, catalogue):
    made = []

    def open_plugin(**settings):
        settings = {"url": catalogue.url, **settings}
        made.append(PluginHarness(create, tmp_path, name="openlineage_out", settings=settings))
        return made[-1]

    yield open_plugin
    for harness in made:
        harness.close()


def night(number=0, state="completed"):
    """A flow run with one task that makes an asset."""
    run, task_run, time = new_id(), new_id(), 1_700_000_000_000_000 + number * 1_000_000
    flow = {"run": run, "flow": f"night{number}"}
    task = {**flow, "task_run": task_run, "task": "load"}
    upstream = (e.UpstreamAsset(asset=RAW, evidence="object"),)
    return [
        e.FlowRunStarted(id=new_id(), time=time, **flow),
        e.TaskRunStarted(id=new_id(), time=time + 1, **task),
        e.AssetMaterialized(id=new_id(), time=time + 2, asset=DAY, upstream=upstream, **task),
        e.TaskRunFinished(id=new_id(), time=time + 3, **task),
        e.FlowRunFinished(id=new_id(), time=time + 4, state=state, **flow),
    ]


def told(catalogue):
    return [(event["eventType"], event["job"]["name"]) for event in catalogue.events]


NIGHT = [("START", "night0"), ("START", "night0.load"), ("COMPLETE", "night0.load"), ("COMPLETE", "night0")]


class TestContract(PluginContract):
    name = "openlineage_out"
    settings = MappingProxyType({"transport": {"type": "noop"}})

    def factory(self):
        return create

    def harness(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        transport = {"type": "file", "log_file_path": str(folder / "sent.jsonl"), "append": True}
        return PluginHarness(create, folder, name=self.name, settings={"transport": transport})

    def observe(self, harness):
        """Each event once: one that comes twice is the same to the letter, but for what the graph has of jobs."""
        lines = (json.loads(line) for line in Path(harness.folder, "sent.jsonl").read_bytes().splitlines())
        return sorted({json.dumps(line, sort_keys=True) for line in lines if "run" in line or "dataset" in line})


def test_a_run_goes_out_in_its_order_with_its_data_at_its_end(opened, catalogue):
    opened().feed(night())
    assert told(catalogue) == NIGHT
    [output] = catalogue.events[2]["outputs"]
    assert (output["namespace"], output["name"]) == ("s3://lake", "by_day.parquet")


def test_what_happens_while_the_catalogue_is_away_waits_and_goes_out_once(opened, catalogue):
    """The client tries 503 five times by itself; after that the cursor waits, and what went out is not sent again."""
    harness = opened()
    catalogue.statuses = [201, 201, 400]
    catalogue.statuses[2:] = [404]
    with pytest.raises(RetryLater, match="the catalogue did not take an event"):
        harness.feed(night())
    assert told(catalogue) == NIGHT[:2]
    harness.deliver()
    assert told(catalogue) == NIGHT


def test_a_refused_event_is_an_error_of_its_own_and_the_rest_goes_on(opened, catalogue):
    """The runner then sets it aside, as with any plugin."""
    harness = opened()
    catalogue.refuses = {"night0"}
    with pytest.raises(Refused, match="422"):
        harness.feed([*night(0), *night(1)])


def test_a_restart_in_the_middle_of_a_run_costs_it_neither_its_data_nor_its_start(opened, catalogue):
    harness, events = opened(), night()
    harness.feed(events[:3])
    harness.restart()
    assert harness.rows()["openlineage_out_kept"]
    harness.feed(events[3:])
    assert told(catalogue) == NIGHT
    assert len(catalogue.events[2]["outputs"]) == 1
    assert harness.rows()["openlineage_out_kept"] == []


def test_what_never_ends_is_forgotten_in_the_end(opened):
    harness = opened()
    harness.feed(night()[:2])
    harness.clock.advance(91 * 86_400 + 1_000_000_000)
    harness.tick(3600)
    assert harness.rows()["openlineage_out_kept"] == []


def test_a_parent_from_before_a_restart_is_named_all_the_same(opened, catalogue):
    harness = opened()
    outer, inner, call = new_id(), new_id(), new_id()
    time = 1_700_000_000_000_000
    harness.feed([
        e.FlowRunStarted(id=new_id(), time=time, run=outer, flow="outer"),
        e.TaskRunStarted(id=new_id(), time=time, run=outer, flow="outer", task="call", task_run=call),
    ])  # fmt: skip
    harness.runner.plugin._emitter._open.clear()
    subflow = {"run": inner, "flow": "inner", "root_run": outer}
    harness.feed([e.FlowRunStarted(id=new_id(), time=time, parent_run=outer, parent_task_run=call, **subflow)])
    parent = catalogue.events[-1]["run"]["facets"]["parent"]
    assert (parent["job"]["name"], parent["root"]["job"]["name"]) == ("outer.call", "outer")


def test_the_key_is_sent_and_the_namespace_is_the_users(opened, catalogue):
    opened(api_key="secret", namespace="shop", endpoint="elsewhere").feed(night())
    assert {headers["authorization"] for headers in catalogue.headers} == {"Bearer secret"}
    assert {event["job"]["namespace"] for event in catalogue.events} == {"shop"}


def test_any_transport_of_the_client_by_its_own_words(tmp_path):
    place = tmp_path / "events.jsonl"
    settings = {"transport": {"type": "file", "log_file_path": str(place), "append": True}}
    with PluginHarness(create, tmp_path, name="openlineage_out", settings=settings) as harness:
        harness.feed(night())
    assert len(place.read_text().splitlines()) == 4


def test_it_is_off_until_it_knows_where_to(monkeypatch):
    assert create({}) is None
    monkeypatch.setenv("OPENLINEAGE_URL", "http://marquez.example:5000")
    assert create({}) is not None
    assert create({"enabled": False}) is None


def test_wrong_settings_say_what_to_do():
    with pytest.raises(UnknownKey, match="namespace"):
        create({"namspace": "x"})
    with pytest.raises(BadValue, match="needs a type"):
        create({"transport": {"url": "http://x"}})
    with pytest.raises(BadValue, match="either url or transport"):
        create({"url": "http://x", "transport": {"type": "console"}})


def test_what_comes_back_to_the_store_that_sent_it_is_no_second_run(opened, catalogue, home):
    """As where OPENLINEAGE_URL leads to the very server that sends."""
    harness = opened()
    harness.feed([e.FlowDeclared(id=new_id(), time=1, flow="night0", description="Its own"), *night()])
    receiver = Receiver(str(home), read=harness.read)
    assert receiver.take_all([*catalogue.events, {**catalogue.events[1], "producer": "other"}]) == []
    receiver.close()
    [journal] = home.rglob("*.jsonl")
    kept = journal.read_bytes()
    assert kept.count(b'"flow_run.started"') == kept.count(b"Its own") == 1  # of the other producer's alone
