"""A lease and tokens; writers on other machines.

PostgreSQL came with this version: a store there has these tables from the start. What is there already is passed over.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NEW_COLUMNS = (
    ("writers", "shipper", sa.String),
    ("writers", "last_sign", sa.BigInteger),
    ("writers", "judged_after", sa.BigInteger),
)


def upgrade() -> None:
    found = sa.inspect(op.get_bind())
    there = {
        (table, column["name"])
        for table in dict.fromkeys(table for table, *_ in NEW_COLUMNS)
        for column in found.get_columns(table)
    }
    for table, name, kind in NEW_COLUMNS:
        if (table, name) not in there:
            op.add_column(table, sa.Column(name, kind()))
    for name, make in (("leases", _make_leases), ("tokens", _make_tokens)):
        if not found.has_table(name):
            make()


def _make_leases() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("renewed", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("address", sa.String, nullable=False, server_default=""),
    )


def _make_tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False, unique=True),
        sa.Column("scopes", sa.String, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger),
        sa.Column("revoked", sa.BigInteger),
        sa.Column("last_used", sa.BigInteger),
    )
    valid = sa.text("revoked IS NULL")
    op.create_index("tokens_name", "tokens", ["name"], unique=True, sqlite_where=valid, postgresql_where=valid)
