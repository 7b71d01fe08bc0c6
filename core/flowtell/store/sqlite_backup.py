"""Copies of a SQLite store by its online backup, out of one read transaction.

Without that transaction every commit of the writer would make the copy begin anew. The writer goes on meanwhile; only its
write-ahead log cannot be emptied before the copy is done.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Final

from flowtell.errors import BadBackup

_PAGES: Final = 1_000
"""A step, between which others read and write; 4 MB."""


def copy(source: str, target: str, done: Callable[[int, int], None]) -> None:
    """Make `target` what `source` is at this moment, in one transaction of the target's."""
    os.makedirs(os.path.dirname(os.path.abspath(target)), mode=0o770, exist_ok=True)
    with closing(_open(source)) as reading, closing(_open(target)) as writing:
        reading.execute("PRAGMA query_only=ON")
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it sees one state
        reading.backup(writing, pages=_PAGES, progress=lambda _, left, total: done(total - left, total), sleep=0.001)


def _open(path: str) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=10.0)


def check(path: str, name: str) -> None:
    """Read all of a copy; `name` is what messages call it.

    Raises:
        BadBackup: it is damaged, or no store of flowtell.
    """
    try:
        with closing(_open(path)) as connection:
            connection.execute("PRAGMA query_only=ON")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise BadBackup(name, f"it is damaged ({error})") from error
    if found != "ok":
        raise BadBackup(name, f"it is damaged ({found})")
    if not version:
        raise BadBackup(name, "it holds no store of flowtell")
