"""SQLite set up for one writer and many readers: WAL, real transactions, a bounded wait."""

from __future__ import annotations

import os
import sqlite3
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool, StaticPool

from flowtell.store.database import Rows
from flowtell.store.prepared import Prepared
from flowtell.store.sqlite_log import SqliteLog
from flowtell.store.tables import SCHEMA_VERSION, metadata
from flowtell.store.upgrading import run_steps

_BUSY_SECONDS: Final = 5.0


class SqliteDatabase:
    """One file, written by one process through one connection."""

    by_days = False
    upgrades_itself = True

    def __init__(self, url: URL, *, read_only: bool) -> None:
        self._path = url.database or ""
        self.writing = None if read_only else writing_engine(url)
        self.reading = reading_engine(url)
        self.log = SqliteLog()

    def schema_version(self, connection: Connection) -> int:
        return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())

    def create(self, connection: Connection) -> None:
        metadata.create_all(connection)
        connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")

    def upgrade(self, connection: Connection) -> None:
        version = f"{self.schema_version(connection):04d}"
        connection.exec_driver_sql("CREATE TEMP TABLE alembic_version (version_num TEXT NOT NULL)")
        connection.exec_driver_sql("INSERT INTO temp.alembic_version VALUES (?)", (version,))
        run_steps(connection)
        connection.exec_driver_sql("DROP TABLE temp.alembic_version")
        connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")

    def lock_schema(self, connection: Connection) -> None:
        """The transaction began IMMEDIATE."""

    def rows(self, statement: Any, names: frozenset[str], connection: Connection) -> Rows:
        return Prepared(statement, names, connection)

    def is_unwell(self, error: BaseException) -> bool:
        return getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) & 0xFF in _UNWELL

    def take_time(self, connection: Connection) -> None:
        """Nothing ends it."""

    def checkpoint(self) -> bool:
        """Copy the write-ahead log into the database and sync it. False when a reader stood in the way."""
        assert self.writing is not None
        with self.writing.connect() as connection:
            raw: Any = connection.connection.driver_connection
            busy, logged, copied = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy and logged == copied

    def keep_house(self, connection: Connection, now: int) -> None:
        """Nothing."""

    def lease(self, *, address: str = "", seconds: float = 0.0) -> None:
        """The ingest role's flock says who writes."""

    def particulars(self) -> dict[str, str | int]:
        return {}

    def size(self) -> int:
        files = (self._path, f"{self._path}-wal")  # what was committed last stands in the second until a checkpoint
        return sum(os.path.getsize(file) for file in files if os.path.isfile(file))

    def close(self) -> None:
        if self.writing is not None:
            self.writing.dispose()
        self.reading.dispose()


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
            "PRAGMA cache_size=-16384",  # KiB; four times as much made a million task runs no quicker, and cost 55 MB
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


_UNWELL: Final = frozenset(
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
