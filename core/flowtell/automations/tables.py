"""The plugin's tables as data. Public to read, by SQL too."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Text

metadata: Final = MetaData()

# Runs that automations began, or tried to; those that have ended go after a week.
firings: Final = Table(
    "automations_firings",
    metadata,
    Column("run", String, primary_key=True),
    Column("automation", String, nullable=False),
    Column("event", String, nullable=False),  # what it answers
    Column("cause", String, nullable=False),  # the action.requested, which the run is caused by
    Column("environment", String, nullable=False),
    Column("target", String, nullable=False),  # flow/deployment
    Column("parameters", Text, nullable=False),  # JSON
    Column("hops", Integer, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("state", String, nullable=False),  # waiting, started, failed
    Column("problem", Text, nullable=False, server_default=""),
)

# What an automation remembers.
states: Final = Table(
    "automations_states",
    metadata,
    Column("automation", String, primary_key=True),
    Column("paused", Integer, nullable=False),
    Column("fired", BigInteger, nullable=False),  # the moment of the latest event that began a run; 0 for none
    Column("runs", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),  # in its cooldown, too old, or at its bound of hops
    Column("seen", BigInteger, nullable=False),  # of an absence: the latest event, or when it began to be looked for
    Column("event", String, nullable=False),
    Column("told", BigInteger, nullable=False),  # of an absence: the moment for which a run was begun
)

# What deployments state in code.
declared: Final = Table(
    "automations_declared",
    metadata,
    Column("environment", String, primary_key=True),
    Column("flow", String, primary_key=True),
    Column("deployment", String, primary_key=True),
    Column("tables", Text, nullable=False),  # JSON: a list of tables as in a file
)
