"""OpenLineage events become events like any other: runs, tasks, what was read, made, checked, and of what it is made."""

from __future__ import annotations

import random
from collections import Counter
from uuid import UUID

import msgspec
import pytest
from tests.lineage.openlineage import scenarios as s
from tests.lineage.openlineage.taking import events_of, graph_hash, written

from flowtell.testing import PluginHarness
from flowtell_lineage.names import key_of
from flowtell_lineage.openlineage.receiving.documents import read_document
from flowtell_lineage.openlineage.receiving.errors import OpenLineageMalformed
from flowtell_lineage.openlineage.receiving.receiver import Receiver
from flowtell_lineage.plugin import create

ORDERS, RAW = "postgres://shop/shop/public/orders", "postgres://shop/shop/public/raw"


def of(events, type):
    return [event for event in events if event.type == type]


def edges(events):
    """Of what has been made or observed, as the graph takes them."""
    return {
        (up.asset, event.asset, up.evidence)
        for event in events
        if event.type in ("asset.materialized", "asset.observed", "asset.declared")
        for up in event.upstream
    }


def test_a_dag_run_is_a_flow_run_and_its_task_a_task_run(home):
    events = events_of(home, s.airflow())
    (flow_run,), (task_run,) = of(events, "flow_run.started"), of(events, "task_run.started")
    assert (flow_run.run, flow_run.flow, flow_run.task_run) == (UUID(s.DAG).hex, "airflow/etl", "")
    assert (task_run.run, task_run.task_run) == (UUID(s.DAG).hex, UUID(s.LOAD).hex)
    assert (task_run.flow, task_run.task, task_run.external_id) == ("airflow/etl", "load", s.LOAD)
    (end,) = of(events, "task_run.finished")
    assert (end.state, end.native_state, end.duration) == ("completed", "COMPLETE", 8.0)
    assert end.due == task_run.time - 1_000_000
    (declared,) = {(event.flow, event.owners, event.description) for event in of(events, "flow.declared")}
    assert declared == ("airflow/etl", ("data",), "Nightly")


def test_what_a_task_made_has_its_numbers_columns_and_sql(home):
    events = events_of(home, s.airflow())
    (made,) = of(events, "asset.materialized")
    assert (made.asset, made.rows, made.bytes, made.job_type) == (ORDERS, 120, 4096, "AIRFLOW TASK")
    assert made.sql.startswith("INSERT INTO orders")
    assert [(column.name, column.type, len(column.origins)) for column in made.columns] == [
        ("id", "VARCHAR", 1),
        ("day", "VARCHAR", 0),
    ]
    assert made.columns[0].origins[0].transformation == "DIRECT:IDENTITY"
    measures = {event.name: event.value for event in of(events, "measure.recorded")}
    assert measures == {"rows": 120, "bytes": 4096, "read_rows": 130}


def test_an_only_output_is_also_made_of_inputs_that_no_column_names(home):
    """The task looked into a third table, as a join or a filter does; columns cannot tell of it."""
    events = events_of(home, s.airflow())
    looked_into = "postgres://shop/shop/public/days"
    assert edges(events) == {(RAW, ORDERS, "column"), (looked_into, ORDERS, "product")}
    assert {event.asset for event in of(events, "asset.observed")} == {RAW, looked_into}


def test_of_two_outputs_columns_alone_say_what_is_upstream(home):
    made = [s.dataset("a", f"out{n}", columnLineage=s.columns(x=("a", f"in{n}", "x"))) for n in (1, 2)]
    read = [s.dataset("a", name) for name in ("in1", "in2", "in3")]
    events = events_of(home, [s.run_event("COMPLETE", 1, s.DAG, s.DAG_JOB, inputs=read, outputs=made)])
    assert edges(events) == {(f"dataset://a/in{n}", f"dataset://a/out{n}", "column") for n in (1, 2)}


def test_a_seed_that_is_in_no_input_is_upstream_all_the_same(home):
    events = events_of(home, s.dbt())
    mart = "snowflake://org-acc/dwh/mart/"
    assert edges(events) == {(mart + up, mart + "orders_by_day", "column") for up in ("orders", "countries_seed")}


def test_failures_have_their_error_and_failed_tests_are_checks(home):
    events = events_of(home, s.dbt())
    (end,) = of(events, "flow_run.finished")
    assert (end.state, end.error.message) == ("failed", "1 of 9 tests failed")
    (check,) = of(events, "asset.checked")
    assert (check.check, check.column, check.passed, check.severity) == ("not_null", "day", False, "error")


@pytest.mark.parametrize(("kind", "checks"), [("START", 0), ("ABORT", 0), ("OTHER", 1), ("COMPLETE", 1), ("FAIL", 1)])
def test_a_check_counts_once_and_only_where_it_was_made(home, kind, checks):
    """`dbt-ol` has it in two facets, tells it at the start already, and tells a skipped test as one that failed."""
    told = s.facet(assertions=[{"assertion": "unique", "success": False, "column": "id"}])
    tested = s.dataset("a", "x", dataQualityAssertions=told, inputFacets={"dataQualityAssertions": told})
    events = events_of(home, [s.run_event(kind, 1, s.TEST, ("dbt", "test.shop.unique"), inputs=[tested])])
    assert len(of(events, "asset.checked")) == checks


def test_where_dbt_would_keep_failing_rows_is_no_table(home):
    audit = s.dataset("a", "x_audit", dbt_model=s.facet(config={"materialized": "test"}))
    events = events_of(
        home, [s.run_event("COMPLETE", 1, s.TEST, ("dbt", "test.x"), inputs=[s.dataset("a", "x")], outputs=[audit])]
    )
    assert {event.asset for event in events if event.type.startswith("asset.")} == {"dataset://a/x"}


def test_tags_are_those_that_people_gave(home):
    """Not the version that OpenLineage's client puts there; Airflow's are in both key and value."""
    tags = [
        {"key": "openlineage_client_version", "value": "1.54.0", "source": "OPENLINEAGE_CLIENT"},
        {"key": "sales", "value": "sales", "source": "AIRFLOW"},
        {"key": "team", "value": "web"},
    ]
    events = events_of(home, [s.run_event("START", 1, s.DAG, s.DAG_JOB, run_facets={"tags": s.facet(tags=tags)})])
    assert of(events, "flow_run.started")[0].tags == ("sales", "team:web")


def test_the_parts_of_a_run_add_up(home):
    """Spark names its input at the start, its output in between, and nothing at the end."""
    events = events_of(home, s.spark())
    (made,) = of(events, "asset.materialized")
    assert (made.asset, made.version, made.time) == (
        "s3://lake/orders/compact",
        "7",
        of(events, "task_run.finished")[0].time,
    )
    made_of = {(up, made.asset, "product") for up in ("s3://lake/orders/raw", "dbfs://lakehouse/scratch/broadcast")}
    assert edges(events) == made_of
    (declared,) = {event.aliases for event in of(events, "asset.declared")}
    assert declared == ("hive://meta/lake/raw",)


def test_two_outputs_of_two_inputs_are_two_edges_where_it_says_so(home):
    events = events_of(home, s.odd())
    exact = {("dataset://a/in1", "dataset://a/out1", "explicit"), ("dataset://a/in2", "dataset://a/out2", "explicit")}
    declared = {("dataset://a/in1", "dataset://a/declared", "product")}
    assert edges(events) == exact | declared


def test_below_a_root_every_run_is_a_task_of_it(home):
    """A Spark job that an Airflow task started: it names its parent, and the DAG run at the root."""
    facets = {"parent": s.parent(s.LOAD, s.LOAD_JOB, (s.DAG, s.DAG_JOB))}
    events = events_of(home, [s.run_event("START", 3, s.SPARK, s.SPARK_JOB, run_facets=facets)])
    (started,) = of(events, "task_run.started")
    assert (started.run, started.flow, started.task) == (UUID(s.DAG).hex, "airflow/etl", "spark/compact")


def test_a_failed_run_makes_no_edge(home):
    both = {"inputs": [s.dataset("a", "x")], "outputs": [s.dataset("a", "y")]}
    events = events_of(
        home, [s.run_event("FAIL", 1, s.DAG, s.DAG_JOB, **both), s.run_event("RUNNING", 0, s.DAG, s.DAG_JOB, **both)]
    )
    assert edges(events) == set()
    assert [event.state for event in of(events, "asset.failed")] == ["failed"]


def test_a_stream_has_its_edges_while_it_runs(home):
    job = {"jobType": s.facet(processingType="STREAMING", integration="FLINK")}
    both = {"inputs": [s.dataset("kafka://h:9092", "x")], "outputs": [s.dataset("kafka://h:9092", "y")]}
    events = events_of(home, [s.run_event("RUNNING", 1, s.DAG, s.DAG_JOB, job_facets=job, **both)])
    assert edges(events) == {("kafka://h/x", "kafka://h/y", "product")}


def test_a_run_that_is_used_twice_makes_its_output_twice(home):
    made = [s.run_event("COMPLETE", second, s.DAG, s.DAG_JOB, outputs=[s.dataset("a", "x")]) for second in (1, 2)]
    assert len(of(events_of(home, made), "asset.materialized")) == 2


def test_one_runs_id_of_two_jobs_gives_neither_the_others_inputs(home):
    events = [
        s.run_event("COMPLETE", 1, s.DAG, ("n", "one"), inputs=[s.dataset("a", "i1")], outputs=[s.dataset("a", "o1")]),
        s.run_event("COMPLETE", 2, s.DAG, ("n", "two"), inputs=[s.dataset("a", "i2")], outputs=[s.dataset("a", "o2")]),
    ]
    pairs = {(up, down) for up, down, _ in edges(events_of(home, events))}
    assert pairs == {("dataset://a/i1", "dataset://a/o1"), ("dataset://a/i2", "dataset://a/o2")}


def test_a_dropped_table_is_removed_and_a_renamed_one_keeps_its_old_name(home):
    dropped = s.dataset("a", "x", lifecycleStateChange=s.facet(lifecycleStateChange="DROP"))
    old = {"namespace": "a", "name": "old"}
    renamed = s.dataset("a", "new", lifecycleStateChange=s.facet(lifecycleStateChange="RENAME", previousIdentifier=old))
    events = events_of(home, [s.run_event("COMPLETE", 1, s.DAG, s.DAG_JOB, outputs=[dropped, renamed])])
    assert [event.asset for event in of(events, "asset.removed")] == ["dataset://a/x"]
    assert [event.aliases for event in of(events, "asset.declared")] == [(key_of("a", "old"),)]


def test_a_facet_without_a_field_is_kept_as_it_came(home):
    storage = s.facet(storageLayer="iceberg")
    events = events_of(home, [s.run_event("COMPLETE", 1, s.DAG, s.DAG_JOB, outputs=[s.dataset("a", "x", storage=storage)])])
    assert of(events, "asset.materialized")[0].facets == {"storage": storage}


# --- at a linear cost -------------------------------------------------------------------------------------------------


def test_a_thousand_inputs_of_a_thousand_outputs_are_no_million_edges(home):
    """It says that it has not told them."""
    both = {part: [s.dataset("a", f"{part} {n}") for n in range(1000)] for part in ("inputs", "outputs")}
    events = events_of(home, [s.run_event("COMPLETE", 1, s.DAG, s.DAG_JOB, **both)])
    made = of(events, "asset.materialized")
    assert len(made) == 1000
    assert {event.unfollowed for event in made} == {("1000 inputs",)}
    assert edges(events) == set()


def test_a_stream_that_makes_one_more_table_each_time_says_each_once(home):
    job = {"jobType": s.facet(processingType="STREAMING")}
    events = events_of(
        home,
        [
            s.run_event(
                "RUNNING",
                n / 100,
                s.DAG,
                s.DAG_JOB,
                job_facets=job,
                inputs=[s.dataset("a", "in")],
                outputs=[s.dataset("a", f"out {n}")],
            )
            for n in range(1000)
        ],
    )
    assert len(of(events, "asset.observed")) == 2 * 1000


def test_a_thousand_overwrites_of_one_table_are_no_edge_to_itself(home):
    itself = {"inputs": [s.dataset("a", "x")], "outputs": [s.dataset("a", "x")]}
    documents = [s.run_event("COMPLETE", n / 100, f"run {n}", s.DAG_JOB, **itself) for n in range(1000)]
    events = events_of(home, documents)
    assert (len(of(events, "asset.materialized")), edges(events)) == (1000, set())


# --- in any order -----------------------------------------------------------------------------------------------------


def _same_graph(home, tmp_path, orders):
    whole = s.everything()
    expected = graph_hash(tmp_path / "in order", events_of(home / "in order", whole))
    for name, batches in orders(whole):
        assert graph_hash(tmp_path / name, events_of(home / name, *batches)) == expected, name


def _orders(seeds):
    def orders(whole):
        yield "reversed", [whole[::-1]]
        yield "doubled", [whole, whole]
        yield "each twice", [[event for event in whole for _ in range(2)]]
        yield "one by one", [[event] for event in whole]
        for seed in seeds:
            yield f"shuffled {seed}", [random.Random(seed).sample(whole, len(whole))]

    return orders


def test_the_graph_is_the_same_in_any_order(home, tmp_path):
    _same_graph(home, tmp_path, _orders(range(5)))


@pytest.mark.slow
def test_the_graph_is_the_same_in_a_hundred_orders(home, tmp_path):
    _same_graph(home, tmp_path, _orders(range(100)))


def test_a_restart_in_the_middle_of_a_run_costs_it_nothing(home, tmp_path):
    """After each event another receiver goes on, which knows of the log alone."""
    whole = s.everything()
    expected = graph_hash(tmp_path / "one", events_of(home / "one", whole))
    with PluginHarness(create, tmp_path, name="lineage") as harness:
        for at, document in enumerate(whole):
            place = home / f"{at}"
            receiver = Receiver(str(place), log=harness.store.log)
            receiver.take(document)
            receiver.close()
            harness.append([msgspec.structs.replace(event, source="openlineage") for event in written(place)], f"w{at}")
        events = harness.store.log.read(0, 10_000)
    assert graph_hash(tmp_path / "many", events) == expected


def test_twice_the_same_events_are_the_same_ids(home):
    """Whichever server takes them, and in whatever order their keys come."""
    once, again = (
        Counter(event.id for event in events_of(home / name, documents))
        for name, documents in (("a", s.everything()), ("b", [dict(reversed(list(one.items()))) for one in s.everything()]))
    )
    assert once == again


# --- what is none -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"eventTime": None}, "$.eventTime"),
        ({"eventTime": "yesterday"}, "$.eventTime"),
        ({"eventType": 7}, "$.eventType"),
        ({"run": {"runId": 7}}, "$.run.runId"),
        ({"run": {"runId": ""}}, "$.run.runId"),
        ({"run": {}}, "$.run"),
        ({"job": None}, "$.job"),
        ({"job": {"namespace": "n"}}, "$.job"),
        ({"job": {"namespace": "n", "name": ""}}, "$.job.name"),
        ({"inputs": [{"namespace": "n", "name": "x"}, {"namespace": "n"}]}, "$.inputs[1]"),
        ({"outputs": {"namespace": "n"}}, "$.outputs"),
        ({"run": None, "job": None}, "$"),
    ],
)
def test_what_is_malformed_says_where(change, path):
    with pytest.raises(OpenLineageMalformed) as raised:
        read_document({**s.airflow()[0], **change})
    assert raised.value.path == path


@pytest.mark.parametrize("value", [None, [], "x", 7, {}])
def test_what_is_no_event_is_malformed(value):
    with pytest.raises(OpenLineageMalformed):
        read_document(value)
