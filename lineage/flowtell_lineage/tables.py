"""The asset graph as tables.

Assets and jobs go by numbers, made of their names (`identity.number`), so that a walk over a million edges reads narrow
rows, and so that the same events make the same rows in any order. Moments are µs; JSON is text.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table, Text

metadata: Final = MetaData()


def _number(name: str, **options: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=False, autoincrement=False, **options)


def _text(name: str, **options: Any) -> Column[str]:
    return Column(name, Text, nullable=False, **options)


assets: Final = Table(
    "lineage_nodes",
    metadata,
    _number("id", primary_key=True),
    _text("asset"),
    _number("first_seen"),
    _number("last_seen"),
    _number("removed"),  # 0 where it never was
    _number("declared"),  # when what follows was said; 0 where it never was
    _text("name"),
    _text("kind"),
    _text("description"),
    _text("owners"),  # JSON
    _text("tags"),  # JSON
    _text("metadata"),  # JSON
    _text("outcome"),  # lineage_outcomes.id of the latest, of whatever state
    _number("changed"),  # its time
    _text("state"),  # its state
    _text("materialization"),  # of the latest that made data
    _number("materialized"),  # its time
    Column("materializations", Integer, nullable=False),  # how many made data
)
Index("lineage_nodes_asset", assets.c.asset, unique=True)
Index("lineage_nodes_removed", assets.c.removed)

edges: Final = Table(
    "lineage_links",
    metadata,
    _number("upstream", primary_key=True),
    _number("downstream", primary_key=True),
    _text("evidence", primary_key=True),
    _number("first_seen"),
    _number("last_seen"),
    _text("last_run"),
    Column("seen", Integer, nullable=False),  # by how many events
)
Index("lineage_links_downstream", edges.c.downstream, edges.c.upstream)

sightings: Final = Table(  # each time that an event stated an edge; upstream 0 where it named the asset itself
    "lineage_sightings",
    metadata,
    _number("downstream", primary_key=True),
    _number("upstream", primary_key=True),
    _text("evidence", primary_key=True),  # of what stands alone: the event's type
    _number("time", primary_key=True),
    _number("event", primary_key=True),  # identity.number of its id
    _text("run"),
    sqlite_with_rowid=False,
)
Index("lineage_sightings_upstream", sightings.c.upstream, sightings.c.downstream, sightings.c.time)
Index("lineage_sightings_run", sightings.c.run)
Index("lineage_sightings_time", sightings.c.time)

outcomes: Final = Table(
    "lineage_outcomes",
    metadata,
    Column("id", String, primary_key=True),  # of its event
    _text("asset"),
    _number("time"),
    _text("state"),  # materialized, cached, or the end state of what failed
    _text("run"),
    _text("task_run"),
    _text("flow"),
    _text("task"),
    _text("environment"),
    Column("rows", BigInteger),
    Column("bytes", BigInteger),
    _text("version"),
    _text("partition"),
    _text("by"),
    _text("metadata"),  # JSON
    _text("unfollowed"),  # JSON list of arguments that may come from assets nobody knows
    _text("columns"),  # JSON
    _text("upstream"),  # JSON: the versions and partitions that it was made of
    Column("error", Text),  # JSON
)
Index("lineage_outcomes_asset", outcomes.c.asset, outcomes.c.time)
Index("lineage_outcomes_time", outcomes.c.time)
Index("lineage_outcomes_run", outcomes.c.run)

columns: Final = Table(
    "lineage_columns",
    metadata,
    _number("downstream", primary_key=True),
    _text("downstream_column", primary_key=True),
    _number("upstream", primary_key=True),
    _text("upstream_column", primary_key=True),
    _text("transformation", primary_key=True),
    _number("first_seen"),
    _number("last_seen"),
)
Index("lineage_columns_upstream", columns.c.upstream, columns.c.upstream_column)

checks: Final = Table(
    "lineage_checks",
    metadata,
    _number("asset", primary_key=True),
    _text("check", primary_key=True),
    _text("column", primary_key=True),
    _text("partition", primary_key=True),
    _number("time"),
    _text("event"),
    Column("passed", Boolean, nullable=False),
    _text("severity"),
    _text("value"),  # JSON
    _text("run"),
)

aliases: Final = Table(
    "lineage_aliases",
    metadata,
    _number("alias", primary_key=True),
    _number("asset", primary_key=True),
    _number("first_seen"),
)

jobs: Final = Table(
    "lineage_jobs",
    metadata,
    _number("id", primary_key=True),
    _text("environment"),
    _text("source"),
    _text("flow"),
    _text("task"),
    _number("first_seen"),
    _number("last_seen"),
)
Index("lineage_jobs_flow", jobs.c.flow, jobs.c.task)

job_assets: Final = Table(
    "lineage_job_assets",
    metadata,
    _number("job", primary_key=True),
    _number("asset", primary_key=True),
    _text("role", primary_key=True),  # input, output
    _number("first_seen"),
    _number("last_seen"),
    _text("last_run"),
)
Index("lineage_job_assets_asset", job_assets.c.asset)
