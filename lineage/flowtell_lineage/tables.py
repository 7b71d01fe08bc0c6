"""The asset graph as tables: assets, edges with their evidence, and what each run made or failed to make."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

metadata: Final = MetaData()

assets: Final = Table(
    "lineage_assets",
    metadata,
    Column("asset", String, primary_key=True),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("removed", BigInteger, nullable=False),  # 0 where it never was
    Column("declared", BigInteger, nullable=False),  # when what follows was said; 0 where it never was
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("description", Text, nullable=False),
    Column("owners", Text, nullable=False),  # JSON
    Column("tags", Text, nullable=False),  # JSON
    Column("metadata", Text, nullable=False),  # JSON
    Column("outcome", String, nullable=False),  # lineage_materializations.id of the latest, of whatever state
    Column("changed", BigInteger, nullable=False),  # its time
    Column("materialization", String, nullable=False),  # of the latest that made data
    Column("materialized", BigInteger, nullable=False),  # its time
    Column("materializations", Integer, nullable=False),  # how many made data
    sqlite_with_rowid=False,
)

edges: Final = Table(
    "lineage_edges",
    metadata,
    Column("downstream", String, primary_key=True),
    Column("upstream", String, primary_key=True),
    Column("evidence", String, primary_key=True),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("last_run", String, nullable=False),
    Column("seen", Integer, nullable=False),  # by how many events
    sqlite_with_rowid=False,
)
Index("lineage_edges_upstream", edges.c.upstream)

materializations: Final = Table(
    "lineage_materializations",
    metadata,
    Column("id", String, primary_key=True),  # of its event
    Column("asset", String, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("state", String, nullable=False),  # materialized, cached, or the end state of what failed
    Column("run", String, nullable=False),
    Column("task_run", String, nullable=False),
    Column("flow", String, nullable=False),
    Column("task", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("rows", BigInteger),
    Column("bytes", BigInteger),
    Column("version", String, nullable=False),
    Column("partition", String, nullable=False),
    Column("by", String, nullable=False),
    Column("metadata", Text, nullable=False),  # JSON
    Column("unfollowed", Text, nullable=False),  # JSON list of arguments that may come from assets nobody knows
    Column("error", Text),  # JSON
    sqlite_with_rowid=False,
)
Index("lineage_materializations_asset", materializations.c.asset, materializations.c.time)
Index("lineage_materializations_time", materializations.c.time)
