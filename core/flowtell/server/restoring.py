"""Puts a backup in the place of an empty store, while nobody ingests this home or leads on its database."""

from __future__ import annotations

from sqlalchemy import inspect, make_url, text

from flowtell.config import Config
from flowtell.errors import StoreNotEmpty
from flowtell.server.role import server_role
from flowtell.store import open_store
from flowtell.store.backup import Done, restore
from flowtell.store.database import Database
from flowtell.store.opening import open_database
from flowtell.store.store import Store
from flowtell.store.tables import metadata


def restore_store(config: Config, file: str, done: Done) -> None:
    """All of it or nothing.

    Raises:
        RoleTaken: a server runs on this home.
        StoreNotEmpty: the store holds something; PostgreSQL must not even have our tables.
        BadBackup, ProgramMissing: as `flowtell.store.backup.restore`.
    """
    with server_role(config.home):
        database = open_database(config.store_url, read_only=False, session="")
        try:
            _check_empty(database, config.store_url)
        finally:
            database.close()
        restore(file, config.store_url, done)
        _open_once(config).close()


def _check_empty(database: Database, url: str) -> None:
    """A SQLite file is overwritten by its backup, tables and all; `pg_restore` makes the tables itself."""
    assert database.writing is not None
    with database.writing.connect() as connection:
        for name in inspect(connection).get_table_names():
            holds = f'SELECT 1 FROM "{name}" LIMIT 1'  # noqa: S608  # a name that the database itself gave
            ours = name in metadata.tables
            if (ours and database.by_days) or connection.execute(text(holds)).first() is not None:
                raise StoreNotEmpty(make_url(url).render_as_string(), name)


def _open_once(config: Config) -> Store:
    """A SQLite store of an earlier release is brought up to date by that."""
    return open_store(config.store_url)
