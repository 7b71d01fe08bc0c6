"""PostgreSQL as the store: sessions with time-outs of their own, pools that outlive a restart of the database."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from flowtell.ids import new_id
from flowtell.store import lease, partitions
from flowtell.store.database import Rows
from flowtell.store.postgres_log import PostgresLog
from flowtell.store.set_statements import rows_of
from flowtell.store.tables import SCHEMA_VERSION, events, metadata
from flowtell.store.upgrading import run_steps

_SCHEMA_LOCK: Final = 4727_0001
"""Key of the advisory lock under which tables are made. Any number, as long as it stays the same."""

_CONNECT_SECONDS: Final = 5
_LEADER: Final = (
    "SELECT holder, address FROM leases WHERE name = 'server' AND holder <> '' "
    "AND renewed + seconds * 1000000 >= extract(epoch FROM clock_timestamp()) * 1000000"
)
_SESSIONS: Final = (
    "SELECT count(*) AS sessions, count(*) FILTER (WHERE application_name LIKE 'flowtell %') AS ours, "
    "current_setting('max_connections')::int AS most FROM pg_stat_activity WHERE datname = current_database()"
)
_SESSION: Final = {
    "statement_timeout": "60s",
    "lock_timeout": "10s",
    # a server that is stopped in the middle of a transaction would hold the log for everybody
    "idle_in_transaction_session_timeout": "10s",
    "timezone": "UTC",
    "client_min_messages": "warning",
    "jit": "off",  # our statements are short; compiling one takes longer than it does
}
_ALIVE: Final = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2, "tcp_user_timeout": 20_000}

_UNWELL_CLASSES: Final = frozenset({"08", "25", "40", "53", "55", "57", "58", "XX"})
"""Classes of SQLSTATE (PostgreSQL, appendix A): connection, transaction state, rollback, resources, locks, shutdown, I/O."""


class PostgresDatabase:
    """One writer's connection, a few for readers."""

    by_days = True
    upgrades_itself = False  # others may be at work on it, with the release before

    def __init__(self, url: URL, *, read_only: bool, session: str = "") -> None:
        self.url = url
        self.holder = session or new_id()
        """Names this process among those that share the database."""
        self.writing = None if read_only else writing_engine(url, self.session_of(self.holder))
        self.reading = reading_engine(url)
        self.log = PostgresLog()

    def schema_version(self, connection: Connection) -> int:
        # to_regclass() would answer from what the session remembers, also after a wait for whoever makes the tables
        there = "SELECT 1 FROM pg_class WHERE relname = 'alembic_version' AND pg_table_is_visible(oid)"
        if connection.execute(text(there)).scalar() is None:
            return 0
        return int(connection.execute(text("SELECT max(version_num) FROM alembic_version")).scalar() or 0)

    def create(self, connection: Connection) -> None:
        partitions.create_events(connection)
        metadata.create_all(connection, tables=[table for table in metadata.sorted_tables if table is not events])
        connection.execute(text("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": f"{SCHEMA_VERSION:04d}"})

    def upgrade(self, connection: Connection) -> None:
        self.take_time(connection)
        run_steps(connection)

    def lock_schema(self, connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})

    def rows(self, statement: Any, names: frozenset[str], connection: Connection) -> Rows:
        return rows_of(statement, names, connection)

    def is_unwell(self, error: BaseException) -> bool:
        if not isinstance(error, DBAPIError):
            return False
        state = getattr(error.orig, "sqlstate", None)
        if state is None:  # the driver's own: the connection is gone, or there was none
            return isinstance(error, OperationalError | InterfaceError)
        return str(state)[:2] in _UNWELL_CLASSES

    def take_time(self, connection: Connection) -> None:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))

    def checkpoint(self) -> bool:
        """A commit returns when its log is on disk, and the database's own checkpoints are its own."""
        return True

    def keep_house(self, connection: Connection, now: int) -> None:
        partitions.make_ahead(connection, now)

    def lease(self, *, address: str = "", seconds: float = lease.SECONDS) -> lease.Lease:
        return lease.Lease(self, address=address, seconds=seconds)

    def lease_engine(self) -> Engine:
        return writing_engine(self.url, "flowtell lease", statement_timeout="2s", lock_timeout="1s")

    @staticmethod
    def session_of(holder: str) -> str:
        """The name by which PostgreSQL knows the sessions in which a process writes."""
        return f"flowtell writer {holder}"

    def particulars(self) -> dict[str, str | int]:
        """Who leads, the days that the log lies in, and sessions."""
        with self.reading.connect() as connection:
            days = partitions.days(connection)
            leader = connection.execute(text(_LEADER)).first()
            sessions = connection.execute(text(_SESSIONS)).one()
        return {
            "leader": (leader.address or leader.holder) if leader is not None else "none",
            "tables of days": len(days),
            "oldest day": partitions.day_of(days[0]) if days else "",
            "newest day": partitions.day_of(days[-1]) if days else "",
            "connections": sessions.sessions,
            "connections of flowtell": sessions.ours,
            "connections at most": sessions.most,
        }

    def size(self) -> int:
        with self.reading.connect() as connection:
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())

    def close(self) -> None:
        if self.writing is not None:
            self.writing.dispose()
        self.reading.dispose()


def writing_engine(url: URL, name: str, **session: str) -> Engine:
    """One connection, asked whether it lives before each transaction: a restart of the database costs one retry."""
    arguments = connect_arguments(url, name, **session)
    return create_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True, connect_args=arguments)


def reading_engine(url: URL) -> Engine:
    """Connections that can change nothing; a transaction sees one state from its first statement on."""
    arguments = connect_arguments(url, "flowtell reader", default_transaction_read_only="on")
    return create_engine(
        url,
        pool_size=4,
        max_overflow=8,
        pool_pre_ping=True,
        isolation_level="REPEATABLE READ",
        connect_args=arguments,
    )


def connect_arguments(url: URL, name: str, **session: str) -> dict[str, Any]:
    """What every connection of ours asks for; what the user's URL says goes before it."""
    options = " ".join(f"-c {setting}={value}" for setting, value in {**_SESSION, **session}.items())
    given = url.query.get("options", "")
    ours = {"connect_timeout": _CONNECT_SECONDS, **_ALIVE}
    return {
        **{setting: value for setting, value in ours.items() if setting not in url.query},
        "application_name": name,
        "options": f"{options} {given if isinstance(given, str) else ' '.join(given)}".strip(),
    }
