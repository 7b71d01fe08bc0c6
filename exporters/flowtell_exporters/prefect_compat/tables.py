"""The plugin's own tables: what exists at its cursor, the runs that count, and how many there were."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Float, MetaData, String, Table, Text, bindparam

metadata: Final = MetaData()

things: Final = Table(
    "prefect_metrics_things",
    metadata,
    Column("kind", String, primary_key=True),  # flow, deployment, pool, queue, run_time or total
    Column("name", String, primary_key=True),  # JSON array: environment and names
    Column("data", Text, nullable=False),  # JSON, see flowtell_exporters.prefect_compat.things
)

runs: Final = Table(
    "prefect_metrics_runs",
    metadata,
    Column("run", String, primary_key=True),
    Column("flow", String, nullable=False),
    Column("deployment", String, nullable=False),
    Column("pool", String, nullable=False),
    Column("queue", String, nullable=False),
    Column("external_id", String, nullable=False),
    Column("state", String, nullable=False),
    Column("native_state", String, nullable=False),
    Column("changed", BigInteger, nullable=False),  # when it came into this state, µs
    Column("started", BigInteger),
    Column("ended", BigInteger),
    Column("duration", Float),
)

insert_thing: Final = things.insert()
delete_thing: Final = things.delete().where(things.c.kind == bindparam("of_kind"), things.c.name == bindparam("of_name"))
insert_run: Final = runs.insert()
delete_run: Final = runs.delete().where(runs.c.run == bindparam("key"))
