"""A real DAG with Airflow's own OpenLineage provider: its runs, tasks, tables, columns and failures as they are."""

from __future__ import annotations

import subprocess

import pytest
from sqlalchemy import make_url
from tests.lineage.openlineage.real.conftest import HERE, clean, environment, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FLOW = "airflow/shop"


@pytest.fixture(scope="module")
def told(receiving, tmp_path_factory, postgres_server):
    """The server, once it has heard of the whole run."""
    psycopg = pytest.importorskip("psycopg")
    commands, folder = environment("airflow"), tmp_path_factory.mktemp("airflow")
    where = make_url(postgres_server)
    environ = clean(
        AIRFLOW_HOME=str(folder),
        AIRFLOW__CORE__LOAD_EXAMPLES="false",
        AIRFLOW__CORE__DAGS_FOLDER=str(HERE / "dags"),
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{folder}/airflow.db",
        AIRFLOW__OPENLINEAGE__TRANSPORT=f'{{"type": "http", "url": "{receiving.url}"}}',
        AIRFLOW__OPENLINEAGE__NAMESPACE="airflow",
        AIRFLOW_CONN_SHOP_DB=f"postgres://{where.username}@127.0.0.1:{where.port or 5432}/{where.database}",
    )
    environ["PATH"] = f"{commands}:{environ['PATH']}"
    try:
        for words in (["db", "migrate"], ["dags", "test", "shop"]):
            done = subprocess.run(
                [commands / "airflow", *words],
                env=environ,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=400,
                check=False,
            )
            assert words[0] == "dags" or done.returncode == 0, done.stderr[-3000:]
        until(lambda: receiving.has_ended(FLOW), 30, lambda: done.stdout[-3000:] + done.stderr[-3000:])
        yield receiving
    finally:
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS public.shop_orders, public.shop_raw")


def of(events, kind):
    return [event for event in events if event.type == kind]


@pytest.fixture(scope="module")
def table(postgres_server):
    database = make_url(postgres_server).database
    return f"postgres://127.0.0.1/{database}/public/shop_{{}}".format


def test_the_dag_is_a_flow_and_its_tasks_are_its_tasks(told):
    events = told.log(FLOW)
    ends = {event.task: event.state for event in of(events, "task_run.finished") if ".query." not in event.task}
    assert ends == {"create": "completed", "load": "completed", "write_report": "completed", "check": "failed"}
    (end,) = of(events, "flow_run.finished")
    assert end.state == "failed"
    (failed,) = [event for event in of(events, "task_run.finished") if event.task == "check"]
    assert "three rows are missing" in failed.error.message
    assert {event.run for event in of(events, "task_run.started")} == {end.run}


def test_tables_are_known_by_the_sql_and_files_by_outlets(told, table):
    edges = {(up.asset, event.asset) for event in of(told.log(FLOW), "asset.materialized") for up in event.upstream}
    assert (table("raw"), table("orders")) in edges
    made = {event.asset for event in of(told.log(FLOW), "asset.materialized")}
    assert {table("raw"), table("orders"), "file:///srv/report.csv"} <= made
    graph = told.graph()
    assert {(edge.upstream, edge.downstream) for edge in graph.edges} >= edges


def test_owners_tags_and_words_come_with_the_dag(told):
    (declared,) = {(event.owners, event.tags, event.description) for event in of(told.log(FLOW), "flow.declared")}
    assert declared == (("data-team",), ("sales",), "The shop's nightly run")


def test_runs_and_metrics_have_it(told):
    (run,) = [run for run in told.command("runs") if run["flow"] == FLOW]
    assert (run["state"], run["source"]) == ("failed", "openlineage")
    counted = told.metrics("flowtell_task_runs_total")
    assert counted[frozenset({("flow", FLOW), ("task", "load"), ("environment", ""), ("state", "completed")})] == 1
