"""One open store: a writer served in turn, readers that wait for nobody, the log and the window over its tail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, MetaData, Row, make_url

from flowtell.errors import StoreTooNew
from flowtell.events import Event
from flowtell.store import sqlite
from flowtell.store.log import EventLog
from flowtell.store.prepared import PreparedCache
from flowtell.store.tables import SCHEMA_VERSION, metadata
from flowtell.store.turns import Turns
from flowtell.store.window import Window


class Transaction:
    """One write transaction. What is appended to the log in it enters the window when it commits."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.appended: list[Sequence[Event]] = []


class Store:
    """Thread-safe. Only the process that holds the ingest role writes."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self.url = make_url(url)
        self.read_only = read_only
        self._writing = None if read_only else sqlite.writing_engine(self.url)
        self._reading = sqlite.reading_engine(self.url)
        self._turns = Turns()
        self.prepared = PreparedCache()
        self.window = Window()
        self._make_or_check()
        self.log = EventLog(self)

    def _make_or_check(self) -> None:
        if self._writing is None:
            with self._reading.connect() as connection:
                self._check(connection)
            return
        with self._writing.begin() as connection:
            if self._check(connection) == 0:
                metadata.create_all(connection)
                connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")

    def _check(self, connection: Connection) -> int:
        found = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        if found > SCHEMA_VERSION:
            raise StoreTooNew(found, SCHEMA_VERSION)
        return found

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A write transaction, in turn: committed when the block ends, rolled back when it raises.

        Keep it short, prepare everything before: while it lasts nobody else writes. No code of plugins inside.
        """
        assert self._writing is not None, "the store was opened to read"
        with self._turns:
            try:
                with self._writing.begin() as connection:
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
        with self._reading.connect() as connection:
            yield connection

    def read(self, statement: Any) -> Sequence[Row[Any]]:
        """All rows of a SELECT, in a transaction of its own."""
        with self._reading.connect() as connection:
            return connection.execute(statement).all()

    def create_tables(self, tables: MetaData) -> None:
        """Make a plugin's tables where they are missing."""
        with self.write() as transaction:
            tables.create_all(transaction.connection)

    def checkpoint(self) -> bool:
        """Bring everything committed to disk for good. False when a reader stood in the way."""
        assert self._writing is not None
        with self._turns:
            return sqlite.checkpoint(self._writing)

    def close(self) -> None:
        if self._writing is not None:
            self._writing.dispose()
        self._reading.dispose()
