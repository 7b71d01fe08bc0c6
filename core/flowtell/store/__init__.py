"""The store: the event log, the runs folded from it, and every table, in one database.

`open_store` imports SQLAlchemy; a flow's process never calls it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtell.errors import UnsupportedStore

if TYPE_CHECKING:
    from flowtell.store.store import Store


def open_store(url: str, *, read_only: bool = False) -> Store:
    """The store at a SQLAlchemy URL, its tables made or checked.

    Raises:
        UnsupportedStore: no store of that kind.
        StoreTooNew: a later flowtell wrote it.
    """
    scheme = url.partition("://")[0].partition("+")[0]
    if scheme != "sqlite":
        raise UnsupportedStore(scheme)
    from flowtell.store.store import Store

    return Store(url, read_only=read_only)


__all__ = ["open_store"]
