"""Backups of a whole store while others write to it, and back again; each kind of database by its own means."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from sqlalchemy import make_url

from flowtell.errors import BadBackup, StoreMissing
from flowtell.store import postgres_backup, sqlite_backup
from flowtell.store.new_file import new_file

Done = Callable[[int, int], None]
"""Told how much is done, and of how much; 0 where that is not known."""

_SQLITE, _POSTGRES = b"SQLite format 3\0", b"PGDMP"
_KINDS: Final = {_SQLITE: "sqlite", _POSTGRES: "postgresql"}


def back_up(url: str, path: str, done: Done) -> int:
    """Write the store as it is at one moment into a new file. Returns its bytes.

    Raises:
        FileInTheWay: there is such a file.
        StoreMissing: no store is there.
        ProgramMissing: PostgreSQL's `pg_dump` is not installed.
        BadBackup: it failed, or what was written is damaged.
    """
    store = make_url(url)
    with new_file(path) as part:
        if store.get_backend_name() == "sqlite":
            if not os.path.isfile(store.database or ""):
                raise StoreMissing(store.render_as_string(), "there is no such file")
            sqlite_backup.copy(store.database or "", part, done)
            sqlite_backup.check(part, path)
        else:
            postgres_backup.dump(store, part, path, done)
    return os.path.getsize(path)


def restore(path: str, url: str, done: Done) -> None:
    """Bring a backup back into a store that is empty, or not there yet; all of it or nothing.

    The caller holds the home's role, and has seen that the store is empty.

    Raises:
        BadBackup: the file is none, is damaged, or is of another kind of database.
        ProgramMissing: PostgreSQL's `pg_restore` is not installed.
    """
    store = make_url(url)
    kind = kind_of(path)
    if kind != store.get_backend_name():
        raise BadBackup(
            path, f"it is of a {kind} store and cannot go into {store.get_backend_name()}; 'flowtell db import' can"
        )
    if kind == "sqlite":
        sqlite_backup.check(path, path)
        sqlite_backup.copy(path, store.database or "", done)
    else:
        postgres_backup.restore(store, path, done)


def kind_of(path: str) -> str:
    """Which kind of database a backup is of, by its first bytes."""
    try:
        with open(path, "rb") as file:
            front = file.read(16)
    except OSError as error:
        raise BadBackup(path, f"it cannot be read ({error.strerror})") from error
    for magic, kind in _KINDS.items():
        if front.startswith(magic):
            return kind
    raise BadBackup(path, "it is neither a SQLite file nor a dump of PostgreSQL; 'flowtell db import' reads exports")
