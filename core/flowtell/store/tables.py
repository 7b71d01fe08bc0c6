"""The core's tables as data, the same for every store. Importing this imports SQLAlchemy: only the server wing does.

Public to read for plugins, pages and SQL by hand; written by the core alone. Ids are text, moments integers in µs.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    func,
    literal_column,
    text,
)

SCHEMA_VERSION: Final = 3
"""What changes the tables counts it up and adds a step to `flowtell.store.migrations`."""

metadata: Final = MetaData()

# SQLite gives a rowid, which is what makes `seq` cheap, only to a column declared INTEGER.
_Serial = BigInteger().with_variant(Integer, "sqlite")

Id: Final = String().with_variant(String(collation="C"), "postgresql")
"""Ids are compared by their bytes, whatever language a database sorts by. Plugins' tables use it too."""


def only_where(condition: str) -> dict[str, Any]:
    """Arguments of an index that holds some of the rows."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


writers: Final = Table(
    "writers",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("name", String, nullable=False, unique=True),  # a journal's writer id, or plugin:NAME, or ingest
    Column("kind", String, nullable=False),  # journal, plugin, ingest
    Column("file", String),
    Column("machine", String, nullable=False, server_default=""),
    Column("environment", String, nullable=False, server_default=""),
    Column("source", String, nullable=False, server_default=""),
    Column("header", Text, nullable=False, server_default="{}"),
    Column(
        "place", BigInteger, nullable=False, server_default="0"
    ),  # bytes of the journal that the log has, or lines written
    Column("events", BigInteger, nullable=False, server_default="0"),
    Column("rejected", BigInteger, nullable=False, server_default="0"),  # lines that were no events
    Column("dropped", BigInteger, nullable=False, server_default="0"),  # events that the writer could not write
    Column("skew", Float),  # smallest received - time of recent events, in seconds
    Column("last_read", BigInteger, nullable=False, server_default="0"),
    Column("ended", BigInteger),  # when its process was found gone and its rest was read
    Column("shipper", String),  # who ships it here: itself, or an agent; null for a journal on this disk
    Column("last_sign", BigInteger),  # when a shipped writer was last heard of, or its agent; before `ended` if it was lost
    Column("judged_after", BigInteger),  # its agent stopped in order: not held to be lost before then
    sqlite_autoincrement=True,  # a pruned writer's number is never another's
)

events: Final = Table(
    "events",
    metadata,
    Column("seq", _Serial, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("type", String, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("writer", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("run", Id),
    Column("task_run", Id),
    Column("flow", String),
    Column("task", String),
    Column("contrary", Integer),  # 1 where it came after the run's first end
    Column("data", LargeBinary, nullable=False),  # the rest of the line, as JSON
)
Index("events_logs", events.c.run, **only_where("type = 'log.recorded'"))
SELDOM: Final = (
    "type NOT IN ('log.recorded', 'task_run.pending', 'task_run.started', 'task_run.finished', 'flow_run.heartbeat')"
)
"""Of the events of a run, those that a run's page tells one by one; the others come in such numbers that they are kept
elsewhere too, or tell nothing. The index holds in exactly these words: a question that says it otherwise does not use it."""
Index("events_told", events.c.run, **only_where(f"run IS NOT NULL AND {SELDOM}"))

rejected: Final = Table(
    "rejected_lines",
    metadata,
    Column("writer", Integer, primary_key=True),
    Column("n", BigInteger, primary_key=True),
    Column("received", BigInteger, nullable=False),
    Column("problem", String, nullable=False),
    Column("line", LargeBinary, nullable=False),  # cut
)

flows: Final = Table(
    "flows",
    metadata,
    Column("flow", String, primary_key=True),
    Column("environment", String, primary_key=True),
    Column("declared", BigInteger),
    Column("version", String),
    Column("description", Text),
    Column("tags", Text),  # JSON
    Column("owners", Text),
    Column("rules", Text),
    Column("code", Text),
    Column("source", String),
    Column("seq", BigInteger, nullable=False, server_default="0"),
)

runs: Final = Table(
    "runs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("flow", String, nullable=False, server_default=""),
    Column("environment", String, nullable=False, server_default=""),
    Column("source", String, nullable=False, server_default=""),
    Column("deployment", String),
    Column("name", String),
    Column("state", String, nullable=False),
    Column("native_state", String),
    Column("changed", BigInteger, nullable=False),  # when it came into this state, by its writer's clock
    Column("due", BigInteger),
    Column("started", BigInteger),
    Column("ended", BigInteger),
    Column("duration", Float),
    Column("attempts", BigInteger, nullable=False, server_default="1"),
    Column("cause", String),
    Column("parent_run", Id),
    Column("parent_task_run", Id),
    Column("root_run", Id),
    Column("trace", Id),
    Column("tags", Text),  # JSON
    Column("parameters", Text),  # JSON
    Column("version", String),
    Column("error", Text),  # JSON {type, message, traceback}
    Column("cpu_seconds", Float),
    Column("peak_memory", BigInteger),
    Column("signal", String),
    Column("machine", String),
    Column("pid", BigInteger),
    Column("url", String),
    Column("external_id", String),
    Column("writer", Integer, nullable=False),  # of its start: whose end means a crash
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("corrections", Integer, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)
Index("runs_started", runs.c.started)
Index("runs_flow", runs.c.flow, runs.c.started)
Index("runs_root", runs.c.root_run, **only_where("root_run IS NOT NULL"))
Index("runs_trace", runs.c.trace)
RUN_SPAN: Final = func.substr(runs.c.id, literal_column("17"))
"""The last 16 digits of a run's id. A literal, as a bound 17 would not be known as the index's."""
Index("runs_span", RUN_SPAN)
Index("runs_open", runs.c.writer, **only_where("ended IS NULL"))

# One tree, in the order in which a run's page reads it; a second index on the id alone would cost 70 bytes a task run.
task_runs: Final = Table(
    "task_runs",
    metadata,
    Column("run", Id, primary_key=True),  # '' for a task that ran outside a flow
    Column("id", Id, primary_key=True),
    Column("flow", String, nullable=False, server_default=""),
    Column("task", String, nullable=False, server_default=""),
    Column("name", String),
    Column("dynamic_key", String),
    Column("map_index", BigInteger),
    Column("state", String, nullable=False),
    Column("native_state", String),
    Column("changed", BigInteger, nullable=False),
    Column("started", BigInteger),
    Column("ended", BigInteger),
    Column("duration", Float),
    Column("attempts", BigInteger, nullable=False, server_default="1"),
    Column("upstream", Text),  # JSON [{task_run, argument}]
    Column("tags", Text),
    Column("error", Text),
    Column("cpu_seconds", Float),
    Column("peak_memory", BigInteger),
    Column("url", String),
    Column("writer", Integer, nullable=False),
    Column("corrections", Integer, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)
Index("task_runs_open", task_runs.c.writer, **only_where("ended IS NULL"))

cursors: Final = Table(
    "cursors",
    metadata,
    Column("plugin", String, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("emitted", BigInteger, nullable=False, server_default="0"),
    Column("moved", BigInteger, nullable=False),
)

dead_events: Final = Table(
    "dead_events",
    metadata,
    Column("plugin", String, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),
)

counters: Final = Table(
    "counters",
    metadata,
    Column("name", String, primary_key=True),  # of the core itself: late_corrections, …
    Column("value", BigInteger, nullable=False),
)

leases: Final = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),  # a process; empty when given back
    Column("epoch", BigInteger, nullable=False),  # counted up by each that takes it: what fences the one before
    Column("renewed", BigInteger, nullable=False),  # by the database's clock
    Column("seconds", Float, nullable=False),  # after which it is free
    Column("address", String, nullable=False, server_default=""),  # of the holder's HTTP
)
"""Who leads, where several servers share a database."""
tokens: Final = Table(
    "tokens",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("digest", String, nullable=False, unique=True),  # of the token, which itself is kept nowhere
    Column("scopes", String, nullable=False),  # divided by commas
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),  # the row stays: that there were tokens keeps a server from opening itself
    Column("last_used", BigInteger),  # to the minute
)
Index(
    "tokens_name",
    tokens.c.name,
    unique=True,
    sqlite_where=tokens.c.revoked.is_(None),
    postgresql_where=tokens.c.revoked.is_(None),
)
