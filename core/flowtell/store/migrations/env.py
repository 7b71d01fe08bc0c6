"""What alembic runs: the steps, on the connection and in the transaction that `flowtell.store.upgrading` gives it."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
