"""OpenLineage out: what goes out is valid, tells each run's cycle once, and gives another flowtell the same graph."""

from __future__ import annotations

import pytest

pytest.importorskip("openlineage.client", reason="the extra flowtell-lineage[openlineage] is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.lineage.openlineage.conformance import faults, kinds, plain
from tests.lineage.openlineage.taking import events_of, written

from flowtell import Asset, flow, materialize, task
from flowtell import events as e
from flowtell.ids import new_id
from flowtell.testing import PluginHarness
from flowtell_lineage import tables as stored
from flowtell_lineage.openlineage.sending.emitter import Emitter
from flowtell_lineage.plugin import create as lineage

ORDERS = Asset("postgres://shop/shop/public/orders", owners=["data@shop.example", "ann"], tags=["pii", "team:data"],
               description="Every order", kind="table", name="orders", metadata={"sla": 3})  # fmt: skip
RAW, DAY, RATES = "s3://lake/raw.parquet", "s3://lake/by_day.parquet", "s3://lake/rates.parquet"


@materialize(RAW)
def extract():
    Asset(RAW).materialize(rows=3, bytes=99, version="v7")
    return [{"price": 1}, {"price": 2}]


@materialize(ORDERS, columns={"price": [(RAW, "price", "DIRECT:IDENTITY")], "day": []}, by="duckdb")
def load(rows):
    Asset(RATES).observe(version="v3")
    ORDERS.check("no negative price", True, value=1, column="price", severity="error")
    ORDERS.check("fresh", False, severity="warn")
    return list(rows)


@materialize(DAY, ORDERS, asset_deps={DAY: ["rows"], ORDERS: [RATES]})
def summarize(rows):
    Asset(DAY).materialize(partition="DE", rows=1)
    Asset(DAY).materialize(partition="FR", rows=2)
    return [rows, rows]


@materialize("s3://lake/broken.parquet")
def broken(rows):
    Asset("s3://lake/half.parquet").materialize(upstream=[RAW], rows=1)
    raise ValueError("no")


@task(retries=1, retry_delay_seconds=0)
def once_more(tries):
    tries.append(1)
    if len(tries) == 1:
        raise ValueError("first")


@flow
def inner(rows):
    """Loads."""
    return load(rows)


@flow(owners=["ann"], tags=["nightly"], version="7")
def night():
    """Everything that can be told."""
    rows = extract()
    once_more([])
    loaded = inner(rows)
    summarize(loaded)
    Asset("s3://lake/seen.parquet").observe(rows=5)
    broken(rows)


@pytest.fixture
def history(home):
    with pytest.raises(ValueError, match="no"):
        night()
    return written(home)


def sent(events, **options):
    emitter = Emitter(**options)
    return [plain(one) for event in events for one in emitter.take(event).sent]


def rows_of(harness):
    """All that the graph says, without times, runs and who sent it."""
    said = [
        tuple(row)
        for row in harness.read(
            select(
                *_without(
                    stored.assets,
                    "id",
                    "first_seen",
                    "last_seen",
                    "declared",
                    "outcome",
                    "changed",
                    "materialization",
                    "materialized",
                )
            )
        )
    ]
    edges = [
        tuple(row)
        for row in harness.read(select(stored.edges.c.upstream, stored.edges.c.downstream, stored.edges.c.evidence))
    ]
    columns = [tuple(row) for row in harness.read(select(*_without(stored.columns, "first_seen", "last_seen")))]
    checks = [tuple(row) for row in harness.read(select(*_without(stored.checks, "time", "event", "run", "value")))]
    outcomes = [
        tuple(row)
        for row in harness.read(
            select(*_without(stored.outcomes, "id", "time", "run", "task_run", "flow", "task", "environment", "error"))
        )
    ]
    return [sorted(map(repr, part)) for part in (said, edges, columns, checks, outcomes)]


def _without(table, *names):
    return [column for column in table.c if column.name not in names]


def graph_of(folder, events):
    folder.mkdir()
    with PluginHarness(lineage, folder, name="lineage") as harness:
        harness.feed(list(events))
        return rows_of(harness)


# --- conformance --------------------------------------------------------------------------------------------------------


def test_all_that_goes_out_is_valid_by_the_39_schemas(history):
    out = sent(history)
    assert [problem for event in out for problem in faults(event)] == []
    assert kinds(out) >= {
        "parent", "processing_engine", "tags", "errorMessage", "jobType", "documentation", "ownership", "sourceCodeLocation",
        "schema", "columnLineage", "lineage", "version", "outputStatistics", "dataQualityAssertions", "datasetType",
    }  # fmt: skip


def test_the_schemas_find_what_is_wrong(history):
    [event] = [one for one in sent(history) if one.get("eventType") == "FAIL" and one["job"]["name"] == "night"]
    del event["run"]["facets"]["errorMessage"]["message"]
    event["run"]["runId"] = "none"
    assert len(faults(event)) == 2


def cycle(events):
    """Types of each run's events, in their order."""
    found = {}
    for event in events:
        if "run" in event:
            found.setdefault(event["run"]["runId"], []).append(event["eventType"])
    return found


def test_a_real_night_has_one_start_and_one_end_for_each_run(history):
    runs = cycle(sent(history))
    assert len(runs) == 7
    assert {tuple(kinds) for kinds in runs.values()} == {("START", "COMPLETE"), ("START", "FAIL")}


def test_parents_lead_to_the_root_through_subflows(history):
    names = {}
    for event in sent(history):
        if event.get("eventType") == "START" and "parent" in event["run"]["facets"]:
            parent = event["run"]["facets"]["parent"]
            names[event["job"]["name"]] = (parent["job"]["name"], parent["root"]["job"]["name"])
    assert names["night.extract"] == ("night", "night")
    assert names["inner"] == ("night", "night")
    assert names["inner.load"] == ("inner", "night")


def test_two_outputs_have_their_own_edges_and_not_the_product(history):
    [end] = [one for one in sent(history) if one.get("eventType") == "COMPLETE" and one["job"]["name"] == "night.summarize"]
    edges = {
        (source["name"], output["name"]) for output in end["outputs"] for source in output["facets"]["lineage"]["inputs"]
    }
    assert edges == {("shop.public.orders", "by_day.parquet"), ("rates.parquet", "shop.public.orders")}
    assert {one["name"] for one in end["inputs"]} == {"shop.public.orders", "rates.parquet"}


ENDS = st.sampled_from(["completed", "cached", "failed", "timed_out", "crashed", "cancelled", "skipped"])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_life_of_a_run_is_one_start_and_one_end(data):
    """Retries, late and contrary words, asset events after the end, ends without a start."""
    time, life = 1_700_000_000_000_000, []
    runs = [(new_id(), new_id() if data.draw(st.booleans()) else "") for _ in range(data.draw(st.integers(1, 4)))]
    for run, task_run in runs:
        kinds = (e.TaskRunStarted, e.TaskRunFinished) if task_run else (e.FlowRunStarted, e.FlowRunFinished)
        who = {"run": run, "task_run": task_run, "flow": "f", "task": "t" if task_run else ""}
        began, state = data.draw(st.booleans()), data.draw(ENDS)
        attempts = data.draw(st.integers(1, 3))
        if began:
            life += [kinds[0](id=new_id(), time=time, attempt=one + 1, **who) for one in range(attempts)]
        for _ in range(data.draw(st.integers(0, 2))):
            kind = data.draw(st.sampled_from([e.AssetMaterialized, e.AssetFailed, e.AssetObserved, e.AssetCached]))
            life.append(kind(id=new_id(), time=time + 5, asset=data.draw(st.sampled_from([RAW, DAY])), **who))
        error = e.Failure(type="ValueError", message="no") if data.draw(st.booleans()) else None
        life.append(kinds[1](id=new_id(), time=time + 9, state=state, duration=0.000009, error=error, **who))
        if data.draw(st.booleans()):
            life.append(kinds[1](id=new_id(), time=time + 10, state="crashed", contrary=True, **who))
            life.append(kinds[0](id=new_id(), time=time, contrary=True, **who))
            life.append(e.AssetObserved(id=new_id(), time=time + 11, asset=DAY, **who))
    out = sent(life)
    assert [problem for event in out for problem in faults(event)] == []
    for run, types in cycle(out).items():
        told = [one for one in types if one != "OTHER"]
        assert told == [] or (len(told) == 2 and told[0] == "START" and told[1] in ("COMPLETE", "FAIL", "ABORT")), run


# --- the same graph -----------------------------------------------------------------------------------------------------


def test_our_receiver_makes_the_same_graph_of_what_we_send(history, tmp_path):
    """Assets with owners, tags and all that is said of them; edges with evidence; columns, checks, versions, partitions."""
    here = graph_of(tmp_path / "here", history)
    there = graph_of(tmp_path / "there", events_of(tmp_path / "received", sent(history)))
    for part, ours, theirs in zip(("assets", "edges", "columns", "checks", "outcomes"), here, there, strict=True):
        assert ours == theirs, part
    assert all(here)


def test_what_came_in_as_openlineage_does_not_go_out_again_unless_asked(history, tmp_path):
    received = events_of(tmp_path / "received", sent(history))
    received = [
        event if event.source else event.__class__(**{**_fields(event), "source": "openlineage"}) for event in received
    ]
    assert sent(received) == []
    assert sent(received, received=True)


def _fields(event):
    return {name: getattr(event, name) for name in event.__struct_fields__}
