"""The evaluator's tables as data. Public to read, by SQL too; `flowtell_alerts.reading` decodes them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

from flowtell_alerts.silences import silence_table

metadata: Final = MetaData()

rules: Final = Table(
    "alerts_rules",
    metadata,
    Column("key", String, primary_key=True),
    Column("flow", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("deployment", String, nullable=False),  # empty for the runs of none
    Column("about", String, nullable=False),  # kind of its subject: flow, asset, event, source
    Column("subject_name", String, nullable=False),
    Column("rule", Text, nullable=False),  # JSON: kind, arguments, severity, labels, runbook
    Column("place", String, nullable=False),  # who states it: tag, file or code
    Column("origin", Text, nullable=False),  # the tag, or file and line
    Column("verdict", Text, nullable=False, server_default=""),  # a named reason; empty until it was judged
    Column("holds", Integer),  # 1, 0, or NULL where nobody can tell
    Column("changed", BigInteger),  # when the verdict became this one
)

# What flows, deployments and files have said last, and whether it was taken back.
declarations: Final = Table(
    "alerts_declarations",
    metadata,
    Column("kind", String, primary_key=True),  # flow, deployment or rule
    Column("flow", String, primary_key=True),
    Column("environment", String, primary_key=True),
    Column("name", String, primary_key=True),  # of the deployment, or the rule's digest
    Column("data", Text, nullable=False),  # JSON, see flowtell_alerts._declarations
)

# What rules are judged about, each for itself; see flowtell_alerts._subject.
subjects: Final = Table(
    "alerts_subjects",
    metadata,
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("environment", String, primary_key=True),
    Column("deployment", String, primary_key=True),
    Column("source", String, nullable=False),
    Column("writer", String, nullable=False),  # of its newest declaration
    Column("tellers", Text, nullable=False),  # JSON: whose runs told of it, where it is no flow
)

# What is known of each, in as many rows as its facts like; see flowtell_alerts.kinds.
facts: Final = Table(
    "alerts_facts",
    metadata,
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("environment", String, primary_key=True),
    Column("deployment", String, primary_key=True),
    Column("facts", String, primary_key=True),
    Column("item", String, primary_key=True),
    Column("data", Text, nullable=False),  # JSON
)

incidents: Final = Table(
    "alerts_incidents",
    metadata,
    Column("incident", String, primary_key=True),
    Column("key", String, nullable=False),  # of the rule and, where that has several at a time, what tells them apart
    Column("flow", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("deployment", String, nullable=False),
    Column("about", String, nullable=False),  # kind of its subject: flow, asset, event, source
    Column("subject_name", String, nullable=False),
    Column("due", BigInteger),
    Column("rule", Text, nullable=False),  # JSON, as it was then
    Column("runs", Text, nullable=False),  # JSON
    Column("severity", String, nullable=False),
    Column("owners", Text, nullable=False),  # JSON
    Column("tags", Text, nullable=False),  # JSON
    Column("since", BigInteger, nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("resolved", BigInteger),
    Column("reason", Text, nullable=False),
    Column("evidence", Text, nullable=False),  # JSON
    Column("acknowledged", BigInteger),
    Column("acknowledged_by", String, nullable=False),
    Column("inhibited_by", String, nullable=False),
    Column("quiet_since", BigInteger),
    Column("changes", Integer, nullable=False),
)
Index("alerts_incidents_opened", incidents.c.opened)
Index(
    "alerts_incidents_open",
    incidents.c.key,
    unique=True,  # the store itself refuses a second open incident of one key
    sqlite_where=incidents.c.resolved.is_(None),
    postgresql_where=incidents.c.resolved.is_(None),
)

# What happened to each incident, in order.
changes: Final = Table(
    "alerts_changes",
    metadata,
    Column("incident", String, primary_key=True),
    Column("n", Integer, primary_key=True),  # from 1
    Column("kind", String, nullable=False),  # opened, updated, acknowledged or resolved
    Column("at", BigInteger, nullable=False),  # when it was found
    Column("severity", String, nullable=False),
    Column("run", String, nullable=False),  # the newest at fault
    Column("inhibited_by", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
)

silences: Final = silence_table("alerts_silences", metadata)

# Who makes and reads which asset, and which runs begin inside which others.
links: Final = Table(
    "alerts_links",
    metadata,
    Column("flow", String, primary_key=True),
    Column("environment", String, primary_key=True),
    Column("deployment", String, primary_key=True),
    Column("kind", String, primary_key=True),  # makes, reads or part of
    Column("other", String, primary_key=True),  # the asset, or the outer flow and its deployment, a line each
    Column("seen", BigInteger, nullable=False),
)
