"""SQLite set up for one writer and many readers: WAL, real transactions, a bounded wait."""

from __future__ import annotations

import os
import sqlite3
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.pool import QueuePool, StaticPool

_BUSY_SECONDS = 5.0


def writing_engine(url: URL) -> Engine:
    """One connection, whose transactions take the write lock when they begin rather than at their first write."""
    if url.database:
        os.makedirs(os.path.dirname(os.path.abspath(url.database)), mode=0o770, exist_ok=True)
    engine = create_engine(url, poolclass=StaticPool, connect_args=_connect_args())
    _on_connect(
        engine,
        [
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=NORMAL",
            "PRAGMA cache_size=-65536",
            "PRAGMA wal_autocheckpoint=4000",
            "PRAGMA temp_store=MEMORY",
        ],
    )
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def reading_engine(url: URL) -> Engine:
    """Connections that can change nothing and never wait for the writer."""
    engine = create_engine(url, poolclass=QueuePool, pool_size=8, max_overflow=8, connect_args=_connect_args())
    _on_connect(engine, ["PRAGMA query_only=ON", "PRAGMA cache_size=-16384"])
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _connect_args() -> dict[str, Any]:
    # without an isolation level the driver leaves BEGIN to us; its own would start a transaction too late
    return {"check_same_thread": False, "timeout": _BUSY_SECONDS, "isolation_level": None, "cached_statements": 256}


def _on_connect(engine: Engine, pragmas: list[str]) -> None:
    def set_up(connection: Any, _record: Any) -> None:
        for pragma in pragmas:
            connection.execute(pragma).close()

    event.listen(engine, "connect", set_up)


_UNWELL = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)


def is_unwell(error: BaseException) -> bool:
    """Whether the store itself failed (full, locked, not readable) rather than what was asked of it."""
    return getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) & 0xFF in _UNWELL


def checkpoint(engine: Engine) -> bool:
    """Copy the write-ahead log into the database and sync it. Whether all of it was copied."""
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        busy, logged, copied = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy and logged == copied
