"""Which kind of database a URL names, with the errors of people who mistype one."""

from __future__ import annotations

from importlib.util import find_spec

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from flowtell.errors import StoreDriverMissing, UnsupportedStore
from flowtell.store.database import Database


def open_database(url: str, *, read_only: bool, session: str) -> Database:
    """The database at a URL, not yet looked at.

    Raises:
        UnsupportedStore: no store of that kind, or no URL.
        StoreDriverMissing: PostgreSQL's driver is an extra.
    """
    parsed = _parsed(url)
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        from flowtell.store.sqlite import SqliteDatabase

        return SqliteDatabase(parsed, read_only=read_only)
    if kind in ("postgresql", "postgres"):
        if find_spec("psycopg") is None:
            raise StoreDriverMissing("psycopg", "postgres")
        from flowtell.store.postgres import PostgresDatabase

        return PostgresDatabase(parsed.set(drivername="postgresql+psycopg"), read_only=read_only, session=session)
    raise UnsupportedStore(kind)


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise UnsupportedStore(url.partition(":")[0] if ":" in url else "") from None
