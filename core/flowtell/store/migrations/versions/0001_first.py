"""The tables of the first release, which knew SQLite alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Never run on a store: the first release made its own. It is what the second step builds on."""
    op.create_table(
        "writers",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("file", sa.String),
        sa.Column("machine", sa.String, nullable=False, server_default=""),
        sa.Column("environment", sa.String, nullable=False, server_default=""),
        sa.Column("source", sa.String, nullable=False, server_default=""),
        sa.Column("header", sa.Text, nullable=False, server_default="{}"),
        sa.Column("place", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("events", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("rejected", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("dropped", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("skew", sa.Float),
        sa.Column("last_read", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("ended", sa.BigInteger),
        sqlite_autoincrement=True,
    )

    op.create_table(
        "events",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("writer", sa.Integer, nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("run", sa.String),
        sa.Column("task_run", sa.String),
        sa.Column("flow", sa.String),
        sa.Column("task", sa.String),
        sa.Column("contrary", sa.Integer),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )

    op.create_table(
        "rejected_lines",
        sa.Column("writer", sa.Integer, primary_key=True),
        sa.Column("n", sa.BigInteger, primary_key=True),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("problem", sa.String, nullable=False),
        sa.Column("line", sa.LargeBinary, nullable=False),
    )

    op.create_table(
        "flows",
        sa.Column("flow", sa.String, primary_key=True),
        sa.Column("environment", sa.String, primary_key=True),
        sa.Column("declared", sa.BigInteger),
        sa.Column("version", sa.String),
        sa.Column("description", sa.Text),
        sa.Column("tags", sa.Text),
        sa.Column("owners", sa.Text),
        sa.Column("rules", sa.Text),
        sa.Column("code", sa.Text),
        sa.Column("source", sa.String),
        sa.Column("seq", sa.BigInteger, nullable=False, server_default="0"),
    )

    op.create_table(
        "runs",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("flow", sa.String, nullable=False, server_default=""),
        sa.Column("environment", sa.String, nullable=False, server_default=""),
        sa.Column("source", sa.String, nullable=False, server_default=""),
        sa.Column("deployment", sa.String),
        sa.Column("name", sa.String),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("native_state", sa.String),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("due", sa.BigInteger),
        sa.Column("started", sa.BigInteger),
        sa.Column("ended", sa.BigInteger),
        sa.Column("duration", sa.Float),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="1"),
        sa.Column("cause", sa.String),
        sa.Column("parent_run", sa.String),
        sa.Column("parent_task_run", sa.String),
        sa.Column("root_run", sa.String),
        sa.Column("trace", sa.String),
        sa.Column("tags", sa.Text),
        sa.Column("parameters", sa.Text),
        sa.Column("version", sa.String),
        sa.Column("error", sa.Text),
        sa.Column("cpu_seconds", sa.Float),
        sa.Column("peak_memory", sa.BigInteger),
        sa.Column("signal", sa.String),
        sa.Column("machine", sa.String),
        sa.Column("pid", sa.BigInteger),
        sa.Column("url", sa.String),
        sa.Column("external_id", sa.String),
        sa.Column("writer", sa.Integer, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("corrections", sa.Integer, nullable=False, server_default="0"),
        sqlite_with_rowid=False,
    )

    op.create_table(
        "task_runs",
        sa.Column("run", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("flow", sa.String, nullable=False, server_default=""),
        sa.Column("task", sa.String, nullable=False, server_default=""),
        sa.Column("name", sa.String),
        sa.Column("dynamic_key", sa.String),
        sa.Column("map_index", sa.Integer),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("native_state", sa.String),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("started", sa.BigInteger),
        sa.Column("ended", sa.BigInteger),
        sa.Column("duration", sa.Float),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="1"),
        sa.Column("upstream", sa.Text),
        sa.Column("tags", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("cpu_seconds", sa.Float),
        sa.Column("peak_memory", sa.BigInteger),
        sa.Column("url", sa.String),
        sa.Column("writer", sa.Integer, nullable=False),
        sa.Column("corrections", sa.Integer, nullable=False, server_default="0"),
        sqlite_with_rowid=False,
    )

    op.create_table(
        "cursors",
        sa.Column("plugin", sa.String, primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("emitted", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("moved", sa.BigInteger, nullable=False),
    )

    op.create_table(
        "dead_events",
        sa.Column("plugin", sa.String, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
    )

    op.create_table(
        "counters",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.create_index("events_logs", "events", ["run"], sqlite_where=sa.text("type = 'log.recorded'"))
    op.create_index("runs_started", "runs", ["started"])
    op.create_index("runs_flow", "runs", ["flow", "started"])
    op.create_index("runs_root", "runs", ["root_run"], sqlite_where=sa.text("root_run IS NOT NULL"))
    op.create_index("runs_trace", "runs", ["trace"])
    op.create_index("runs_span", "runs", [sa.text("substr(id, 17)")])
    op.create_index("runs_open", "runs", ["writer"], sqlite_where=sa.text("ended IS NULL"))
    op.create_index("task_runs_open", "task_runs", ["writer"], sqlite_where=sa.text("ended IS NULL"))
