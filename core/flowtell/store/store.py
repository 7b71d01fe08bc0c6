"""One open store: a writer served in turn, readers that wait for nobody, the log and the window over its tail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, MetaData, Row, make_url
from sqlalchemy.exc import DBAPIError

from flowtell.errors import LeaseLost, StoreTooNew, StoreTooOld, StoreUnreachable
from flowtell.events import Event
from flowtell.store.database import Database
from flowtell.store.log import EventLog
from flowtell.store.prepared import PreparedCache
from flowtell.store.tables import SCHEMA_VERSION
from flowtell.store.turns import Turns
from flowtell.store.upgrading import upgrade
from flowtell.store.window import Window

logger = logging.getLogger("flowtell.store")

Fence = Callable[[Connection], None]
"""Raises when this process may no longer write: another one has taken over."""


class Transaction:
    """One write transaction. What is appended to the log in it enters the window when it commits."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.appended: list[Sequence[Event]] = []


class Store:
    """Thread-safe. Only the process that holds the ingest role writes."""

    def __init__(self, url: str, database: Database) -> None:
        self.url = make_url(url)
        self.database = database
        self.read_only = database.writing is None
        self.fence: Fence | None = None
        """Asked at the beginning of each write transaction, where several processes could write."""
        self._turns = Turns()
        self.prepared = PreparedCache(database.rows)
        self.window = Window()
        self._make_or_check()
        self.log = EventLog(self)

    def _make_or_check(self) -> None:
        found = self._schema_version()
        if found > SCHEMA_VERSION:
            raise StoreTooNew(found, SCHEMA_VERSION)
        if not found and not self.read_only:
            self._create()
        elif found < SCHEMA_VERSION:
            if self.read_only or not self.database.upgrades_itself:
                raise StoreTooOld(found, SCHEMA_VERSION)
            self._upgrade(found)

    def _schema_version(self) -> int:
        try:
            with (self.database.writing or self.database.reading).connect() as connection:
                return self.database.schema_version(connection)
        except DBAPIError as error:
            raise StoreUnreachable(self.url.render_as_string(), str(error.orig).strip().splitlines()[0]) from error

    def _create(self) -> None:
        assert self.database.writing is not None
        with self.database.writing.begin() as connection:
            self.database.lock_schema(connection)
            if not self.database.schema_version(connection):  # another process may have been quicker
                self.database.create(connection)

    def _upgrade(self, found: int) -> None:
        if upgrade(self.database):
            logger.warning("the store %s was upgraded from schema %d to %d", self.url, found, SCHEMA_VERSION)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A write transaction, in turn: committed when the block ends, rolled back when it raises.

        Keep it short, prepare everything before: while it lasts nobody else writes. No code of plugins inside.
        """
        assert self.database.writing is not None, "the store was opened to read"
        with self._turns:
            try:
                with self.database.writing.begin() as connection:
                    if self.fence is not None:
                        self.fence(connection)
                    transaction = Transaction(connection)
                    yield transaction
            except BaseException:  # the commit's own failure too: a disk is full when everything else went well
                self.log.forget_uncommitted()
                raise
            for events in transaction.appended:
                self.window.put(events)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction: one consistent state, seen without waiting."""
        with self.database.reading.connect() as connection:
            yield connection

    def read(self, statement: Any) -> Sequence[Row[Any]]:
        """All rows of a SELECT, in a transaction of its own."""
        with self.database.reading.connect() as connection:
            return connection.execute(statement).all()

    def rejoin(self) -> None:
        """Begin anew at the log's tail: another process may have appended, or a commit was left in doubt."""
        self.log.forget_uncommitted()
        self.window.restart(self.log.head())

    def create_tables(self, tables: MetaData) -> None:
        """Make a plugin's tables where they are missing, as one server among several that try."""
        assert self.database.writing is not None, "the store was opened to read"
        with self._turns, self.database.writing.begin() as connection:
            self.database.lock_schema(connection)
            tables.create_all(connection)

    def keep_house(self, now: int) -> None:
        """What must be made ahead of the events that come; at the start and once an hour. `now` in µs."""
        with self.write() as transaction:
            self.database.keep_house(transaction.connection, now)

    def is_unwell(self, error: BaseException) -> bool:
        """Whether the store itself failed (full, locked, unreachable, taken over) rather than what was asked of it."""
        return isinstance(error, LeaseLost) or self.database.is_unwell(error)

    def checkpoint(self) -> bool:
        """Bring everything committed to disk for good. False when a reader stood in the way."""
        with self._turns:
            return self.database.checkpoint()

    def close(self) -> None:
        self.database.close()
