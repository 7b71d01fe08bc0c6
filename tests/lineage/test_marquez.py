"""Marquez's reads over the real server, after real OpenLineage events: shapes, graphs, and names with colons anywhere."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import contextmanager
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.lineage.openlineage import scenarios as s

from flowtell import config
from flowtell.server.app import running_server

GLUE, TOPIC = ("arn:aws:glue:eu-west-1:123456789012", "table/sales/orders"), ("pubsub", "topic:shop:orders")
OTHERS = "dashboard,prometheus,alerts,notifications,incidents"
COMPLETE = {
    "dataset": "id type name physicalName createdAt updatedAt namespace sourceName fields tags lastModifiedAt "
    "lastLifecycleState description currentVersion facets deleted",
    "job": "id type name createdAt updatedAt namespace inputs outputs location description latestRun facets currentVersion",
    "run": "id createdAt updatedAt nominalStartTime nominalEndTime state startedAt endedAt durationMs args facets",
    "version": "id type name physicalName createdAt version namespace sourceName fields tags description createdByRun",
    "namespace": "name createdAt updatedAt ownerName description",
    "source": "type name createdAt updatedAt connectionUrl description",
}


class Marquez:
    """A client."""

    def __init__(self, url):
        self._host = url.removeprefix("http://")

    def ask(self, path, status=200, method="GET", body=None, **query):
        connection = http.client.HTTPConnection(self._host, timeout=60)
        try:
            connection.request(method, f"/api/v1/{path}{'?' if query else ''}{urlencode(query)}", body)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == status, text
            return json.loads(text) if text else None
        finally:
            connection.close()

    def status(self, path):
        connection = http.client.HTTPConnection(self._host, timeout=60)
        try:
            connection.request("GET", f"/api/v1/{path}")
            return connection.getresponse().status
        finally:
            connection.close()

    def named(self, kind, namespace, name, *rest):
        return self.ask("/".join(("namespaces", quote(namespace, safe=""), kind, quote(name, safe=""), *rest)))


def _events():
    odd = s.run_event("COMPLETE", 50, "01970000-0000-7000-8000-000000000077", ("aws", "crawl"),
                      inputs=[s.dataset(*TOPIC)], outputs=[s.dataset(*GLUE)])  # fmt: skip
    return [*s.everything(), odd]


@contextmanager
def _filled(home, **more):
    """A client of a server that has had all events."""
    settings = {"home": str(home), "server.port": 0, "plugins.disable": OTHERS, **more}
    with running_server(config.load(settings, environ={})) as (url, _):
        client = Marquez(url)
        answer = client.ask("lineage/batch", method="POST", body=msgspec.json.encode(_events()))
        assert answer["status"] == "success"
        deadline = time.monotonic() + 60
        while not any(job["name"] == "crawl" and job["latestRun"] for job in client.ask("jobs", limit=100)["jobs"]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield client


@pytest.fixture(scope="module")
def marquez(tmp_path_factory):
    with _filled(tmp_path_factory.mktemp("marquez")) as client:
        yield client


def whole(kind, found):
    assert set(COMPLETE[kind].split()) <= found.keys()
    return found


# --- graphs -----------------------------------------------------------------------------------------------------------


def test_lineage_leads_from_a_table_through_jobs_both_ways(marquez):
    graph = marquez.ask("lineage", nodeId="dataset:postgres://shop:5432:shop.public.orders", depth=3)["graph"]
    nodes = {node["id"]: node for node in graph}
    job, orders = nodes["job:airflow:etl.load"], nodes["dataset:postgres://shop:5432:shop.public.orders"]
    assert (job["type"], job["data"]["type"]) == ("JOB", "BATCH")
    assert (orders["type"], orders["data"]["type"]) == ("DATASET", "DB_TABLE")
    assert orders["inEdges"] == [{"origin": job["id"], "destination": orders["id"]}]
    raw = "dataset:postgres://shop:5432:shop.public.raw"
    assert {"origin": raw, "destination": job["id"]} in job["inEdges"]
    assert "dataset:snowflake://org-acc:dwh.mart.orders" not in nodes


def test_every_edge_of_a_graph_ends_at_nodes_of_it(marquez):
    graph = marquez.ask("lineage", nodeId="job:spark:compact.execute_insert_into_table")["graph"]
    nodes = {node["id"] for node in graph}
    edges = [edge for node in graph for edge in (*node["inEdges"], *node["outEdges"])]
    assert edges
    assert {end for edge in edges for end in edge.values()} <= nodes


def test_no_depth_is_the_node_alone(marquez):
    graph = marquez.ask("lineage", nodeId="dataset:a:in1", depth=0)["graph"]
    assert [node["id"] for node in graph] == ["dataset:a:in1"]


@pytest.mark.parametrize("name", [GLUE, TOPIC])
def test_colons_anywhere_resolve_to_what_is_known(marquez, name):
    node = "dataset:{}:{}".format(*name)
    graph = marquez.ask("lineage", nodeId=node)["graph"]
    assert {"job:aws:crawl", node} <= {found["id"] for found in graph}
    assert marquez.named("datasets", *name)["name"] == name[1]


def test_columns_lead_to_columns(marquez):
    node = "datasetField:postgres://shop:5432:shop.public.orders:id"
    graph = marquez.ask("column-lineage", nodeId=node)["graph"]
    nodes = {found["id"]: found for found in graph}
    above = "datasetField:postgres://shop:5432:shop.public.raw:id"
    assert nodes[node]["inEdges"] == [{"origin": above, "destination": node}]
    (source,) = nodes[node]["data"]["inputFields"]
    assert (source["dataset"], source["field"], source["transformationType"]) == ("shop.public.raw", "id", "DIRECT:IDENTITY")
    table = "dataset:postgres://shop:5432:shop.public.raw"
    below, alone = (marquez.ask("column-lineage", nodeId=table, withDownstream=way)["graph"] for way in ("true", "false"))
    assert node in {found["id"] for found in below}
    assert node not in {found["id"] for found in alone}


# --- things -----------------------------------------------------------------------------------------------------------


def test_a_dataset_and_its_versions(marquez):
    found = whole("dataset", marquez.named("datasets", "postgres://shop:5432", "shop.public.orders"))
    assert [field["name"] for field in found["fields"]] == ["id", "day"]
    (version,) = marquez.named("datasets", "postgres://shop", "shop.public.orders", "versions")["versions"]
    assert whole("version", version)["version"] == found["currentVersion"]
    assert whole("run", version["createdByRun"])["id"] == s.LOAD


def test_a_job_and_its_runs(marquez):
    found = whole("job", marquez.named("jobs", "airflow", "etl.load"))
    assert found["outputs"] == [{"namespace": "postgres://shop:5432", "name": "shop.public.orders"}]
    (run,) = marquez.named("jobs", "airflow", "etl.load", "runs")["runs"]
    assert (run["id"], run["state"], run["durationMs"]) == (s.LOAD, "COMPLETED", 8000)
    assert whole("run", marquez.ask(f"jobs/runs/{s.LOAD}"))["jobName"] == "etl.load"


def test_a_failed_runs_facets_have_its_error(marquez):
    found = marquez.ask(f"jobs/runs/{s.DBT}/facets", type="run")
    assert found["facets"]["errorMessage"]["message"] == "1 of 9 tests failed"
    assert marquez.ask(f"jobs/runs/{s.DBT}")["state"] == "FAILED"


def test_lists_are_whole_and_paged(marquez):
    names = [whole("namespace", one)["name"] for one in marquez.ask("namespaces")["namespaces"]]
    assert {"airflow", "dbt", "spark", "postgres://shop:5432", GLUE[0]} <= set(names)
    assert [one["name"] for one in marquez.ask("namespaces", limit=2, offset=1)["namespaces"]] == names[1:3]
    listed = marquez.ask(f"namespaces/{quote('postgres://shop:5432', safe='')}/datasets", limit=1)
    assert (len(listed["datasets"]), listed["totalCount"]) == (1, 3)
    assert {job["namespace"] for job in marquez.ask("namespaces/spark/jobs")["jobs"]} == {"spark"}
    assert {"name": "pii", "description": None} in marquez.ask("tags")["tags"]
    assert all(whole("source", one) for one in marquez.ask("sources")["sources"])


def test_search_finds_datasets_and_jobs(marquez):
    found = marquez.ask("search", q="ORDERS", limit=50)
    assert {"DATASET", "JOB"} == {one["type"] for one in found["results"]}
    only = marquez.ask("search", q="orders", filter="JOB", namespace="dbt")
    assert {one["nodeId"].partition(":")[0] for one in only["results"]} == {"job"}


def test_events_and_counts(marquez):
    told = marquez.ask("events/lineage", limit=3)
    assert (len(told["events"]), told["events"][0]["eventType"]) == (3, "COMPLETE")
    assert told["totalCount"] > 10
    parts = marquez.ask("stats/lineage-events", period="WEEK")
    assert len(parts) == 7
    assert {"startInterval", "endInterval", "fail", "start", "complete", "abort"} <= parts[0].keys()
    assert [set(part) for part in marquez.ask("stats/jobs")] == [{"startInterval", "endInterval", "count"}] * 24


def test_a_run_has_those_upstream_that_made_what_it_read(marquez):
    (run,) = marquez.ask("runlineage/upstream", runId=s.DAG, depth=0)["runs"]
    assert (run["run"]["id"], run["job"]) == (s.DAG, {"namespace": "airflow", "name": "etl"})


NODES = st.tuples(st.sampled_from(["dataset", "job", "datasetField", "run", "x"]), st.text(max_size=20)).map(":".join)


@given(
    st.sampled_from(["lineage", "column-lineage", "search", "runlineage/upstream", "namespaces/{}", "jobs/runs/{}"]), NODES
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_question_breaks_it(marquez, path, text):
    """Any text where a name is wanted: an answer, or a reason. Never 500."""
    place = path.format(quote(text, safe=""))
    query = urlencode({"nodeId": text, "q": text, "runId": text}, errors="replace")
    assert marquez.status(f"{place}?{query}") in (200, 400, 404)


@pytest.mark.slow
def test_postgresql_answers_alike(marquez, home, new_database):
    """Every read, on both stores."""
    orders = quote("postgres://shop:5432", safe="") + "/datasets/shop.public.orders"
    paths = [
        "lineage?nodeId=job:airflow:etl.load",
        "column-lineage?withDownstream=true&nodeId=dataset:postgres://shop:5432:shop.public.raw",
        f"runlineage/upstream?runId={s.DAG}",
        f"namespaces/{orders}",
        f"namespaces/{orders}/versions",
        f"jobs/runs/{s.DBT}/facets",
        *("namespaces", "jobs", "namespaces/dbt/jobs", "tags", "sources", "stats/jobs", "search?q=o&limit=50"),
    ]
    with _filled(home, store=new_database()) as other:
        for path in paths:
            assert _sorted(other.ask(path)) == _sorted(marquez.ask(path)), path


def _sorted(answer):
    """Databases sort names by their language, and ids of versions and moments of arrival are no difference."""
    if isinstance(answer, dict):
        return {name: _sorted(value) for name, value in answer.items()}
    return sorted(map(_sorted, answer), key=repr) if isinstance(answer, list) else answer


# --- what cannot be answered --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("lineage", {}, 400),
        ("lineage", {"nodeId": "x"}, 400),
        ("lineage", {"nodeId": "dataset:a:nobody"}, 404),
        ("lineage", {"nodeId": "dataset:a:in1", "depth": "far"}, 400),
        ("column-lineage", {"nodeId": "dataset:a:in1#1", "withDownstream": "true"}, 400),
        ("namespaces/nobody", {}, 404),
        ("namespaces/a/datasets/nobody", {}, 404),
        ("namespaces/a/jobs/nobody", {}, 404),
        ("jobs/runs/%00", {}, 404),
        ("stats/weather", {}, 404),
        ("nothing", {}, 404),
    ],
)
def test_what_cannot_be_answered_says_why(marquez, path, query, status):
    assert marquez.ask(path, status, **query)["error"]
