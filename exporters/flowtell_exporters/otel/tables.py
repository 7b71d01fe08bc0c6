"""What the traces need of the past and the core's tables do not keep: few rows, of few runs."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, String, Table, Text

from flowtell.store.tables import Id

metadata: Final = MetaData()

roots: Final = Table(
    "otlp_traces_roots",
    metadata,
    Column("run", Id, primary_key=True),  # of a root run whose trace a caller began, or is not kept
    Column("trace", Id, nullable=False),
    Column("parent_span", String, nullable=False),
    Column("sampled", Boolean, nullable=False),
    Column("seen", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

attempts: Final = Table(
    "otlp_traces_attempts",
    metadata,
    Column("run", Id, primary_key=True),  # a task run or flow run that is retried and has not ended
    Column("number", Integer, primary_key=True),
    Column("start", BigInteger),
    Column("end", BigInteger),
    Column("error", Text, nullable=False),  # JSON, or empty
    Column("seen", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

makers: Final = Table(
    "otlp_traces_makers",
    metadata,
    Column("asset", String, primary_key=True),
    Column("time", BigInteger, nullable=False),  # of its latest materialization
    Column("trace", Id, nullable=False),
    Column("span", String, nullable=False),
    sqlite_with_rowid=False,
)

sent: Final = Table(
    "otlp_traces_sent",
    metadata,
    Column("id", Integer, primary_key=True),  # one row, written with each batch: the cursor is saved with it, at once
    Column("spans", BigInteger, nullable=False),
)
