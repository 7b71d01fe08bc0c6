"""The names of `prefect.transactions`, so that a script changes only its import: `from flowtell.transactions import …`."""

from __future__ import annotations

from flowtell.engine.transaction import Transaction, get_transaction, transaction

__all__ = ["Transaction", "get_transaction", "transaction"]
