"""The Prometheus plugin's own tables: totals as they were at its cursor, and the runs that have not ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Integer, MetaData, Select, String, Table, Text, bindparam, select

from flowtell.store.tables import runs

metadata: Final = MetaData()

_RUNS_A_QUERY: Final = 500

# One row for all that is counted of one flow, task, deployment, asset or other subject, so that a batch writes each once.
totals: Final = Table(
    "prometheus_totals",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),  # see flowtell_exporters.ledger
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
delete_totals: Final = totals.delete().where(totals.c.id == bindparam("key"))
insert_run: Final = open_runs.insert()
delete_run: Final = open_runs.delete().where(open_runs.c.run == bindparam("key"))

all_totals: Final = select(totals).order_by(totals.c.id)
all_open_runs: Final = select(open_runs).order_by(open_runs.c.run)
_traces: Final = select(runs.c.id, runs.c.trace).where(runs.c.id.in_(bindparam("asked", expanding=True)))


def traces_of(asked: Sequence[str]) -> Iterator[Select[Any]]:
    """What reads the trace of each of these runs. Apart from the plugin's own tables, which may be in the making."""
    for start in range(0, len(asked), _RUNS_A_QUERY):
        yield _traces.params(asked=list(asked[start : start + _RUNS_A_QUERY]))
