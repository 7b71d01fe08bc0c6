"""What a run's last event needs of its earlier ones, kept until it has ended: a restart in the middle costs nothing."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, MetaData, Table, Text

from flowtell.store.tables import Id

metadata: Final = MetaData()

kept: Final = Table(
    "openlineage_out_kept",
    metadata,
    Column("id", Id, primary_key=True),
    Column("run", Id, nullable=False),  # flow run or task run
    Column("time", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("event", Text, nullable=False),  # JSON
)
Index("openlineage_out_kept_run", kept.c.run)
