"""A DAG whose data can be told by its SQL, by its inlets and outlets, and not at all."""

from __future__ import annotations

import datetime as dt

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG, Asset, task

orders = Asset("postgres://127.0.0.1:5432/postgres/public/shop_orders")
report = Asset("file:///srv/report.csv")

with DAG(
    "shop",
    start_date=dt.datetime(2026, 11, 1, tzinfo=dt.UTC),
    schedule=None,
    catchup=False,
    tags=["sales"],
    default_args={"owner": "data-team"},
    doc_md="The shop's nightly run",
):
    create = SQLExecuteQueryOperator(
        task_id="create", conn_id="shop_db", sql="create table if not exists public.shop_raw (id int, amount int)"
    )
    load = SQLExecuteQueryOperator(
        task_id="load",
        conn_id="shop_db",
        sql=[
            "drop table if exists public.shop_orders",
            "create table public.shop_orders as select id, amount from public.shop_raw",
        ],
    )

    @task(inlets=[orders], outlets=[report])
    def write_report() -> int:
        return 1

    @task(trigger_rule="all_done")
    def check() -> None:
        raise ValueError("three rows are missing")

    create >> load >> write_report() >> check()
