"""A real dbt project through `dbt-ol`: tables, columns, jobs, tests and failures as they are.

One model is broken, one test of a column and one of a whole table fail.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest
from tests.lineage.openlineage.real.conftest import HERE, clean, environment, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LIVE, AFTER = "live/dbt-run-shop", "after/dbt-run-shop"
"""Told while dbt runs, from its log, and told at its end, from its artifacts."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dbt") / "shop"
    shutil.copytree(HERE / "dbt_shop", folder)
    return folder


@pytest.fixture(scope="module")
def key(project):
    """The key of a table of the project, by its name."""
    return f"duckdb://{project}/shop.duckdb/shop.main.{{}}".format


@pytest.fixture(scope="module")
def told(receiving, project):
    """The server, once it has heard of a build told live, and of a run and a test told afterwards."""
    commands = environment("dbt")
    environ = clean(
        OPENLINEAGE_URL=receiving.url,
        SHOP_DATABASE=str(project / "shop.duckdb"),
        DBT_PROFILES_DIR=str(project),
        NO_COLOR="1",
    )
    environ["PATH"] = f"{commands}:{environ['PATH']}"

    def dbt(namespace, *words):
        said = subprocess.run(
            [commands / "dbt-ol", *words],
            check=False,
            env={**environ, "OPENLINEAGE_NAMESPACE": namespace},
            cwd=project,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert "OpenLineage events" in said.stdout + said.stderr, said.stdout + said.stderr

    dbt("live", "--consume-structured-logs", "build", "--vars", "{broken: true}")
    dbt("after", "run", "--vars", "{broken: true}")
    dbt("after", "test")
    until(lambda: receiving.has_ended(LIVE) and receiving.has_ended(AFTER, runs=2), 60)
    return receiving


def of(events, kind):
    return [event for event in events if event.type == kind]


def edges(events):
    return {(up.asset, event.asset, up.evidence) for event in of(events, "asset.materialized") for up in event.upstream}


def test_tables_are_made_of_what_their_models_refer_to(told, key):
    """Told afterwards, columns say it; the table that a filter looks into is known by the model's inputs."""
    assert edges(told.log(AFTER)) == {
        (key("raw_orders"), key("orders"), "column"),
        (key("raw_customers"), key("customers"), "column"),
        (key("orders"), key("refunds"), "column"),
        (key("customers"), key("refunds"), "product"),
        (key("orders"), key("revenue_by_country"), "column"),
        (key("customers"), key("revenue_by_country"), "column"),
    }


def test_told_live_models_have_no_columns_and_seeds_are_made_too(told, key):
    events = told.log(LIVE)
    assert edges(events) == {
        (key("raw_orders"), key("orders"), "product"),
        (key("raw_customers"), key("customers"), "product"),
    }
    made = {event.asset for event in of(events, "asset.materialized")}
    assert made == {key(name) for name in ("raw_orders", "raw_customers", "orders", "customers")}


def test_the_graph_has_the_projects_tables_and_no_other(told, key):
    """No table in which a test would keep its failing rows."""
    names = ("raw_orders", "raw_customers", "orders", "customers", "refunds", "revenue_by_country", "broken")
    graph = told.graph()
    assert {asset.asset for asset in graph.assets} == {key(name) for name in names}
    described = {asset.asset: asset.description for asset in graph.assets if asset.description}
    assert described[key("revenue_by_country")] == "What each country brought in"
    assert not [edge for edge in graph.edges if key("broken") in (edge.upstream, edge.downstream)]


def test_columns_are_made_of_columns(told, key):
    assert told.columns(key("revenue_by_country")) == {
        ("country", key("customers"), "country"),
        ("revenue", key("orders"), "amount"),
    }


def test_each_test_is_a_check_of_its_table_once(told, key):
    """The live build skipped the test of a table that it did not come to make."""
    of_columns = {
        (key("orders"), "order_id", "not_null_orders_order_id", True),
        (key("orders"), "order_id", "unique_orders_order_id", True),
        (key("customers"), "country", "accepted_values_customers_country__GB__US", False),
    }
    whole = {(key("revenue_by_country"), "", "no_negative_revenue", False)}
    for flow, wanted in ((LIVE, of_columns), (AFTER, of_columns | whole)):
        checks = [(event.asset, event.column, event.check, event.passed) for event in of(told.log(flow), "asset.checked")]
        assert sorted(checks) == sorted(wanted)


def test_models_and_tests_are_task_runs_that_ended_as_dbt_says(told):
    ends = {event.task: (event.state, event.error) for event in of(told.log(LIVE), "task_run.finished")}
    states = {task.removeprefix("live/"): state for task, (state, _) in ends.items() if ".sql." not in task}
    assert states.pop("test.shop.accepted_values_customers_country__GB__US.6320e07d0f") == "failed"
    assert states.pop("test.shop.not_null_orders_order_id.cf6c17daed") == "completed"
    assert states.pop("test.shop.unique_orders_order_id.fed79b3a6e") == "completed"
    assert states == {
        "seed.shop.raw_orders": "completed",
        "seed.shop.raw_customers": "completed",
        "model.shop.orders": "completed",
        "model.shop.customers": "completed",
        "model.shop.broken": "failed",
        "model.shop.refunds": "cancelled",
        "model.shop.revenue_by_country": "cancelled",
        "test.shop.no_negative_revenue": "cancelled",
    }
    assert 'column "no_such_column" not found' in ends["live/model.shop.broken"][1].message
    (end,) = of(told.log(LIVE), "flow_run.finished")
    assert (end.state, end.error.message.split(" at ")[0]) == ("failed", "Command `dbt build` failed")


def test_runs_and_metrics_have_them(told):
    runs = told.command("runs")
    assert sorted((run["flow"], run["state"], run["source"]) for run in runs) == [
        (AFTER, "failed", "openlineage"),
        (AFTER, "failed", "openlineage"),
        (LIVE, "failed", "openlineage"),
    ]
    assert all(run["duration"] > 0 for run in runs)
    counted = told.metrics("flowtell_flow_runs_total")
    assert counted == {
        frozenset({("flow", flow), ("environment", ""), ("state", "failed")}): runs for flow, runs in ((AFTER, 2), (LIVE, 1))
    }
    tasks = told.metrics("flowtell_task_runs_total")
    assert tasks[
        frozenset({("flow", AFTER), ("task", "after/shop.main.shop.orders"), ("environment", ""), ("state", "completed")})
    ]
