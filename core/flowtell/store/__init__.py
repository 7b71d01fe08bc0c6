"""The store: the event log, the runs folded from it, and every table, in one database.

`open_store` imports SQLAlchemy; a flow's process never calls it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtell.store.store import Store


def open_store(url: str, *, read_only: bool = False, session: str = "") -> Store:
    """The store at a SQLAlchemy URL, its tables made where it is empty, their version checked where it is not.

    Args:
        session: names the process among those that share the database, for the lease.

    Raises:
        UnsupportedStore: no store of that kind, no URL, or its driver is not installed.
        StoreUnreachable: no such database, or it does not answer.
        StoreTooNew, StoreTooOld: another version of flowtell wrote it.
    """
    from flowtell.store.opening import open_database
    from flowtell.store.store import Store

    database = open_database(url, read_only=read_only, session=session)
    try:
        return Store(url, database)
    except BaseException:
        database.close()
        raise


__all__ = ["open_store"]
