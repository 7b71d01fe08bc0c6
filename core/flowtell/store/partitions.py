"""The log on PostgreSQL: one table a day, by the time in the event's id, so that old events go by dropping a table.

The id is the partition key because a unique key must hold it. What is dated outside the days that are there (imported
history, a clock far off) lies in a default partition. Tables of days are made ahead, never while events are appended.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Column, Connection, Index, MetaData, Table, text

from flowtell.store.tables import SELDOM, events

DAY: Final = 86_400_000
"""ms."""

AHEAD: Final = 3
"""Days made ahead of today: a server that was down, or a clock that is ahead by less, finds its table."""

BEHIND: Final = 2
DEFAULT: Final = "events_other"
_PREFIX: Final = "events_2"  # events_20261124


def create_events(connection: Connection) -> None:
    """The partitioned table, its default and no day yet."""
    _partitioned().create(connection)
    connection.execute(text(f"CREATE TABLE {DEFAULT} PARTITION OF events DEFAULT"))


def _partitioned() -> Table:
    columns = [Column(old.name, old.type, nullable=old.nullable, primary_key=old.name == "id") for old in events.columns]
    table = Table("events", MetaData(), *columns, postgresql_partition_by="RANGE (id)")
    Index("events_seq", table.c.seq)
    Index("events_logs", table.c.run, postgresql_where=table.c.type == "log.recorded")
    Index("events_told", table.c.run, postgresql_where=text(f"run IS NOT NULL AND {SELDOM}"))
    return table


def make_ahead(connection: Connection, now: int) -> list[str]:
    """Make the tables of these days that are missing, in one transaction of the caller's. `now` in µs. Returns their names.

    Takes no lock that readers or appenders wait for, unless events of such a day lie in the default partition already.
    """
    today = now // 1000 // DAY
    there = set(days(connection))
    made = [name_of(day) for day in range(today - BEHIND, today + AHEAD + 1) if name_of(day) not in there]
    for name in made:
        make(connection, name)
    return made


def make(connection: Connection, name: str) -> None:
    """Make one day's table, and move into it what lies in the default one."""
    low, high = bounds(name)
    connection.execute(text(f"CREATE TABLE {name} (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
    moved = f"WITH moved AS (DELETE FROM {DEFAULT} WHERE id >= :low AND id < :high RETURNING *)"
    connection.execute(text(f"{moved} INSERT INTO {name} SELECT * FROM moved"), {"low": low, "high": high})
    connection.execute(text(f"ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')"))


def days(connection: Connection) -> list[str]:
    """The tables of days that are there, oldest first."""
    rows = connection.execute(
        text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'events'::regclass ORDER BY c.relname"
        )
    )
    return [name for (name,) in rows if name.startswith(_PREFIX)]


def bounds(name: str) -> tuple[str, str]:
    """The ids that a day's table holds: from the first, up to and without the second."""
    day = int(datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC).timestamp() * 1000)
    return f"{day:012x}", f"{day + DAY:012x}"


def name_of(day: int) -> str:
    return f"events_{datetime.fromtimestamp(day * DAY / 1000, UTC):%Y%m%d}"


def ends(name: str) -> int:
    """When the day of a table is over, in µs."""
    return int(bounds(name)[1], 16) * 1000


def day_of(name: str) -> str:
    """The day of a table, as in 2026-11-24."""
    return f"{name[-8:-4]}-{name[-4:-2]}-{name[-2:]}"


def part(name: str) -> Table:
    """One table of the log, of a day or the default one, to read and to delete from."""
    return Table(name, MetaData(), *[Column(old.name, old.type, primary_key=old.name == "seq") for old in events.columns])


def newest_received(connection: Connection, name: str) -> int:
    """When the newest event in one table of a day was received, in µs; 0 where it is empty."""
    received = connection.execute(text(f"SELECT received FROM {name} ORDER BY seq DESC LIMIT 1")).scalar()
    return int(received or 0)


def count(connection: Connection, name: str) -> int:
    return int(connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one())


def drop(connection: Connection, name: str, *, patience: str) -> None:
    """Drop a day's table in the caller's transaction, which ends at once.

    It locks the whole log, and while it waits for those that read it everybody else waits behind it.

    Raises:
        OperationalError: they did not let it in within `patience`, such as "50ms".
    """
    connection.execute(text(f"SET LOCAL lock_timeout = '{patience}'"))
    connection.execute(text(f"DROP TABLE {name}"))
