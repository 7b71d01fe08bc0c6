"""The evaluator's tables as data. Public to read, by SQL too; `flowtell_alerts.reading` decodes them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

metadata: Final = MetaData()

rules: Final = Table(
    "alerts_rules",
    metadata,
    Column("key", String, primary_key=True),
    Column("flow", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("rule", Text, nullable=False),  # JSON: kind, arguments, severity, labels, runbook
    Column("verdict", Text, nullable=False, server_default=""),  # a named reason; empty until it was judged
    Column("holds", Integer),  # 1, 0, or NULL where nobody can tell
    Column("changed", BigInteger),  # when the verdict became this one
)

flows: Final = Table(
    "alerts_flows",
    metadata,
    Column("flow", String, primary_key=True),
    Column("environment", String, primary_key=True),
    Column("declared", BigInteger, nullable=False),
    Column("declaration", String, nullable=False),
    Column("owners", Text, nullable=False),  # JSON
    Column("ends", Text, nullable=False),  # JSON, at most 200
    Column("last_good", Text, nullable=False),  # JSON
)

runs: Final = Table(
    "alerts_runs",
    metadata,
    Column("run", String, primary_key=True),
    Column("flow", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("event", String, nullable=False),
    Column("ended", BigInteger),
    Column("end_event", String, nullable=False),
)

incidents: Final = Table(
    "alerts_incidents",
    metadata,
    Column("incident", String, primary_key=True),
    Column("key", String, nullable=False),
    Column("flow", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("rule", Text, nullable=False),  # JSON, as it was then
    Column("runs", Text, nullable=False),  # JSON
    Column("severity", String, nullable=False),
    Column("owners", Text, nullable=False),  # JSON
    Column("since", BigInteger, nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("resolved", BigInteger),
    Column("reason", Text, nullable=False),
    Column("evidence", Text, nullable=False),  # JSON
)
Index("alerts_incidents_opened", incidents.c.opened)
Index(
    "alerts_incidents_open",
    incidents.c.key,
    unique=True,  # the store itself refuses a second open incident of one key
    sqlite_where=incidents.c.resolved.is_(None),
    postgresql_where=incidents.c.resolved.is_(None),
)
