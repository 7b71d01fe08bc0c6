"""The store for a command that changes much of it: meanwhile nobody ingests this home, nor leads on a shared database."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError

from flowtell.config import Config
from flowtell.errors import StoreLed
from flowtell.server.role import server_role
from flowtell.store import open_store
from flowtell.store.database import Database
from flowtell.store.lease import Lease
from flowtell.store.opening import open_database
from flowtell.store.store import Fence, Store
from flowtell.store.upgrading import Step, upgrade

_SLACK_SECONDS: Final = 1.0
"""Waited for beyond the lease's own time: a leader that was killed keeps it for that, a reading command for 200 ms."""


@contextmanager
def writing_store(config: Config) -> Iterator[Store]:
    """The configured store, fenced, while no server runs on this home and none leads on its database.

    Raises:
        RoleTaken: a server runs on this home.
        StoreLed: a server elsewhere leads on the database.
        LeaseLost: by a write, when this process was stopped for so long that a server took over.
    """
    with server_role(config.home):
        store = open_store(config.store_url)
        try:
            with _leading(store.database, config) as fence:
                store.fence = fence
                store.rejoin()
                yield store
        finally:
            store.close()


def upgrade_store(config: Config) -> list[Step]:
    """Bring the configured store up to date. Returns what was done; nothing where it is, or where there is none yet.

    Raises:
        RoleTaken, StoreLed: as `writing_store`.
    """
    with server_role(config.home):
        database = open_database(config.store_url, read_only=False, session="")
        try:
            with _leading(database, config):
                return upgrade(database)
        finally:
            database.close()


@contextmanager
def _leading(database: Database, config: Config) -> Iterator[Fence | None]:
    """Lead on a database that servers share, as one of them would; on any other the role of the home is enough."""
    lease = database.lease(address=f"a command, process {os.getpid()}", seconds=config["server.lease_seconds"])
    if lease is None:
        yield None
        return
    try:
        _take(lease)
        with _kept(lease):
            yield lease.fence()
    finally:
        lease.close()


def _take(lease: Lease) -> None:
    until = time.monotonic() + lease.seconds + _SLACK_SECONDS
    while not lease.take():
        if time.monotonic() > until:
            raise StoreLed(lease.leader()[1])
        time.sleep(0.05)


@contextmanager
def _kept(lease: Lease) -> Iterator[None]:
    """Renew it six times in its life, on a thread of its own, until the block ends."""
    stop = threading.Event()

    def keep() -> None:
        while not stop.wait(lease.seconds / 6):
            try:
                if not lease.renew():
                    return  # the fence says so to whoever writes
            except DBAPIError:  # it may be back before the lease is over
                continue

    thread = threading.Thread(target=keep, name="flowtell-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
