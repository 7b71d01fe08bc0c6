"""What each kind of database does in its own way; everything else of the store is the same SQLAlchemy Core for all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import Connection, Engine

if TYPE_CHECKING:
    from flowtell.store.lease import Lease
    from flowtell.store.line import Line

EndedRun = Any
"""A row: run, task run (empty for a flow run), and when it ended."""


class Rows(Protocol):
    """One statement, ready to be executed for many rows."""

    def execute(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """For each of the rows in their order, or as if it were."""
        ...


class LogStatements(Protocol):
    """The statements of the log's own transaction, which are most of what a server does."""

    def lock(self, connection: Connection) -> None:
        """Until the transaction ends nobody else appends: `seq` order is then commit order."""
        ...

    def storable(self, lines: Sequence[Line]) -> Sequence[Line]:
        """The lines as this kind of store can hold them."""
        ...

    def take(self, connection: Connection, count: int) -> int:
        """The first of `count` new places in the log. Those of a transaction that is rolled back are given again."""
        ...

    def forget_uncommitted(self) -> None:
        """The transaction that drew the last places was rolled back."""
        ...

    def note_highest(self, connection: Connection) -> None:
        """Remember the highest place before old events are deleted."""
        ...

    def known(self, connection: Connection, ids: Sequence[str]) -> Collection[str]:
        """Those of the ids that the log has."""
        ...

    def ended_flow_runs(self, connection: Connection, runs: Sequence[str]) -> Iterable[EndedRun]: ...

    def ended_task_runs(self, connection: Connection, keys: Sequence[tuple[str, str]]) -> Iterable[EndedRun]:
        """Of these pairs of run and task run."""
        ...

    def insert_events(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Rows of `events`. Raises IntegrityError where the log has one of the ids."""
        ...

    def merge_runs(self, connection: Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add facts to `runs` or `task_runs` by the rules of the fold; no key twice."""
        ...


class Database(Protocol):
    """One open database. `writing` is None where it was opened to read."""

    writing: Engine | None
    reading: Engine
    by_days: bool
    """Whether the log lies in tables of a day (`flowtell.store.partitions`)."""
    upgrades_itself: bool
    """Whether opening a store of an earlier release to write brings it up to date; else `flowtell db upgrade` does."""

    @property
    def log(self) -> LogStatements: ...

    def schema_version(self, connection: Connection) -> int:
        """Which version of our tables is there; 0 for none."""
        ...

    def create(self, connection: Connection) -> None:
        """Make our tables in an empty database, as one caller among several that try."""
        ...

    def upgrade(self, connection: Connection) -> None:
        """Bring our tables from the version that is there to SCHEMA_VERSION, in the caller's transaction."""
        ...

    def lock_schema(self, connection: Connection) -> None:
        """Until the transaction ends nobody else makes or changes tables."""
        ...

    def rows(self, statement: Any, names: frozenset[str], connection: Connection) -> Rows:
        """The statement for many rows that have these names."""
        ...

    def is_unwell(self, error: BaseException) -> bool:
        """Whether the store itself failed (full, locked, unreachable) rather than what was asked of it."""
        ...

    def take_time(self, connection: Connection) -> None:
        """Let this transaction and its statements take as long as they need."""
        ...

    def checkpoint(self) -> bool:
        """Bring everything committed to disk for good. False when that must wait."""
        ...

    def keep_house(self, connection: Connection, now: int) -> None:
        """What must be made ahead of the events that come; at the start and once an hour. `now` in µs."""
        ...

    def lease(self, *, address: str = "", seconds: float = 3.0) -> Lease | None:
        """The lease of the one process that writes; None where a lock on the home is enough."""
        ...

    def particulars(self) -> dict[str, str | int]:
        """What else is worth knowing about this kind of store, by a few words each. Quick."""
        ...

    def size(self) -> int:
        """Bytes on disk."""
        ...

    def close(self) -> None: ...
