"""A projection's tables made anew from the log, in a file of their own, and then put in the place of those that are.

Whoever reads the old ones sees them whole until one transaction has the new ones in their place, with the cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Table, delete, func, insert, select
from sqlalchemy.sql import visitors

from flowtell.errors import CannotReplay
from flowtell.events import Event
from flowtell.plugin import Factory
from flowtell.runner.cursor import Cursor
from flowtell.runner.runner import BATCH, Runner
from flowtell.store import open_store
from flowtell.store.store import Store
from flowtell.store.window import Window

_ROWS: Final = 5_000
"""Rows that are moved at once."""

Advance = Callable[[float, float], None]


class Rebuild:
    """`run` fills the new tables, as often as it is called; `swap` puts them in place. From one thread.

    The plugin is handed every event that the log has, with the log's time for its clock, without `tick`. What it emits is
    in the log already and is not written again.
    """

    def __init__(
        self, name: str, factory: Factory, store: Store, file: str, *, settings: Mapping[str, Any] | None = None,
        home: str = "", environment: str = "",
    ) -> None:  # fmt: skip
        """`store` has the log and the public tables; `file` is a new one, or one that an earlier rebuild has begun.

        Raises:
            CannotReplay: the plugin is no projection, or says that its tables cannot be made from the log.
        """
        self._main = store
        self._scratch = open_store(f"sqlite:///{file}")
        self._place = _Place(store, self._scratch)
        self._clock = _LogClock()
        self._runner = Runner(
            name, factory, self._place, settings=settings, home=home, environment=environment, clock=self._clock  # type: ignore[arg-type]
        )  # fmt: skip
        plugin = self._runner.make()
        problem = why_not(plugin)
        if plugin is None or problem:
            self.close()
            raise CannotReplay(name, problem)
        self._runner.adopt(plugin)
        self._metadata = plugin.tables
        self._tables: Sequence[Table] = plugin.tables.sorted_tables if plugin.tables is not None else ()
        self._place.own = frozenset(table.name for table in self._tables)
        self._runner.open()

    @property
    def seq(self) -> int:
        """How far in the log the new tables are."""
        return self._runner.cursor

    def run(self, advance: Advance | None = None) -> int:
        """Hand over what the log has now. How many rows the new tables have then."""
        head = self._main.log.head()
        self._place.window.restart(head)
        while self._runner.cursor < head:
            batch = self._main.log.read(self._runner.cursor, BATCH)
            if not batch:
                break
            self._clock.now = batch[-1].received
            self._runner.step(BATCH)
            if advance is not None:
                advance(self._runner.cursor, head)
        return sum(self._scratch.read(select(func.count()).select_from(table))[0][0] for table in self._tables)

    def swap(self, now: int) -> None:
        """In one transaction: the old rows go, the new ones come, the cursor stands where these are."""
        cursor = Cursor(self._runner.name, self._main)
        cursor.load()
        if self._metadata is not None:
            self._main.create_tables(self._metadata)
        with self._main.write() as transaction:
            for table in reversed(self._tables):
                transaction.connection.execute(delete(table))
            for table in self._tables:
                for rows in _pages(self._scratch, table):
                    transaction.connection.execute(insert(table), rows)
            cursor.save(transaction, self.seq, now)

    def close(self) -> None:
        self._scratch.close()


def why_not(plugin: Any) -> str:
    """Why the tables of a plugin cannot be made anew; empty where they can."""
    if plugin is None:
        return "it is not configured, so there is nothing to make anew"
    if plugin.effects:
        return "it keeps nothing to be made anew: it is an effect"
    if plugin.tables is None:
        return "it has no tables"
    return str(getattr(plugin, "irreplaceable", ""))


def _pages(store: Store, table: Table) -> Iterable[list[dict[str, Any]]]:
    with store.reading() as connection:
        for page in connection.execute(select(table)).partitions(_ROWS):
            yield [dict(row._mapping) for row in page]


class _LogClock:
    """The moment at which the log took the newest event that was handed over."""

    now = 0

    def __call__(self) -> int:
        return self.now


class _Place:
    """What a runner needs of a store: the log of one, the plugin's own tables in another."""

    def __init__(self, main: Store, scratch: Store) -> None:
        self._main, self._scratch = main, scratch
        self.own: frozenset[str] = frozenset()
        self.log = _Log(main)
        self.window = Window()
        self.prepared, self.read_only = scratch.prepared, False
        self.write, self.create_tables, self.is_unwell = scratch.write, scratch.create_tables, scratch.is_unwell

    def read(self, statement: Any) -> Any:
        """From where the statement's tables are: the plugin's own and its cursor here, the public ones in the store."""
        named = {element.name for element in visitors.iterate(statement) if isinstance(element, Table)}
        ours = named & (self.own | {"cursors", "dead_events"})
        if ours and named - ours - {"cursors", "dead_events"}:
            raise CannotReplay("", f"one statement of it reads {', '.join(sorted(named))}, of which only some are its own")
        return (self._scratch if ours else self._main).read(statement)


class _Log:
    """The log, read only: what is emitted while the past is looked at again is there already."""

    def __init__(self, main: Store) -> None:
        self.read, self.head = main.log.read, main.log.head

    def writer(self, *_: Any) -> int:
        return 0

    def append_events(self, *_: Any) -> Sequence[Event]:
        return ()
