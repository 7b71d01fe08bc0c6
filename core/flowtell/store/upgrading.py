"""Brings a store of an earlier release up to this one's tables. alembic is imported only when that is due.

On SQLite the version is `PRAGMA user_version` and nothing else, so that opening a store asks one pragma; alembic is told of
it in a table that lasts as long as the upgrade. On PostgreSQL it is alembic's own table (docs/decisions/0010).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection

from flowtell.errors import StoreTooNew
from flowtell.store.tables import SCHEMA_VERSION

if TYPE_CHECKING:
    from alembic.config import Config

    from flowtell.store.database import Database

_FOLDER = Path(__file__).with_name("migrations")


class Step(msgspec.Struct, frozen=True):
    """One change of the core's tables."""

    version: int
    title: str


def steps_after(found: int) -> list[Step]:
    """What is to be done to a store of version `found`, in order."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config())
    steps = [Step(int(script.revision), script.doc.rstrip(".")) for script in scripts.walk_revisions()]
    return sorted((step for step in steps if step.version > found), key=lambda step: step.version)


def steps_due(database: Database) -> list[Step]:
    """What `upgrade` would do.

    Raises:
        StoreTooNew: a later release wrote it.
    """
    with database.reading.connect() as connection:
        found = database.schema_version(connection)
    if found > SCHEMA_VERSION:
        raise StoreTooNew(found, SCHEMA_VERSION)
    return steps_after(found) if found else []


def upgrade(database: Database) -> list[Step]:
    """Bring an open store up to date, as one process among several that try. Returns what was done, in one transaction."""
    assert database.writing is not None
    with database.writing.begin() as connection:
        database.lock_schema(connection)
        found = database.schema_version(connection)
        if found > SCHEMA_VERSION:
            raise StoreTooNew(found, SCHEMA_VERSION)
        if found in (0, SCHEMA_VERSION):  # empty, or another process was quicker
            return []
        database.upgrade(connection)
    return steps_after(found)


def run_steps(connection: Connection, *, to: str = "head") -> None:
    """Run every step after the one that alembic's table names, in the caller's transaction."""
    from alembic import command

    command.upgrade(_config(connection=connection), to)


def _config(**attributes: Any) -> Config:
    from alembic.config import Config

    made = Config(attributes=attributes)
    made.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    return made
