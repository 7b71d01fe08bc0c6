"""The Prometheus plugin's own tables: totals as they were at its cursor, and the runs that have not ended."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Text, bindparam

metadata: Final = MetaData()

# One row for all that is counted of one flow, task, deployment or measure, so that a batch writes each once.
totals: Final = Table(
    "prometheus_totals",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),  # flow, task, deployment, measure, own
    Column("labels", Text, nullable=False),  # JSON array of label values
    Column("version", BigInteger, nullable=False),  # batch that wrote it: a scrape reads what is new
    Column("data", Text, nullable=False),  # JSON object, see flowtell_exporters.totals
)

open_runs: Final = Table(
    "prometheus_open_runs",
    metadata,
    Column("run", String, primary_key=True),
    Column("flow", BigInteger, nullable=False),  # prometheus_totals.id
    Column("state", String, nullable=False),
    Column("changed", BigInteger, nullable=False),  # when it came into this state, µs
    Column("started", BigInteger),
)

# Each statement is made once: the runner compiles a statement once and runs it for many rows.
insert_totals: Final = totals.insert()
update_totals: Final = totals.update().where(totals.c.id == bindparam("key"))
insert_run: Final = open_runs.insert()
delete_run: Final = open_runs.delete().where(open_runs.c.run == bindparam("key"))
