"""The `Context` of an isolated plugin: reads by itself, and collects what the server is to write, emit and count."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NoReturn

from sqlalchemy import Dialect, MetaData, make_url

from flowtell.errors import BadWriteSet, NotIsolable
from flowtell.events import Event, encode
from flowtell.plugin import LogView, PluginStatus
from flowtell.runner.clock import system_clock
from flowtell.runner.isolation import messages as m
from flowtell.runner.isolation.building import tables_from
from flowtell.runner.isolation.line import Line
from flowtell.runner.isolation.spelling import spelling_of
from flowtell.runner.isolation.table_spelling import tables_of
from flowtell.runner.isolation.values import CannotCross, plain_rows
from flowtell.runner.write_set import WriteSet
from flowtell.store import open_store
from flowtell.store.store import Store

KEPT_STATEMENTS: Final = 256


class ChildContext:
    """See `flowtell.plugin.Context` for what each member promises."""

    def __init__(self, line: Line, made: m.Make, tables: MetaData) -> None:
        self.name = made.name
        self.logger = logging.getLogger(f"flowtell.plugin.{made.name}")
        self.home, self.environment = made.home, made.environment
        self._line, self._url, self._tables = line, made.store, tables
        self._now = m.Now(False)
        self.clock: Callable[[], int] = lambda: self._now.time or system_clock()
        self._bound = WriteSet(made.name)
        self._written: list[m.Written] = []
        self._emitted: list[m.Emitted] = []
        self._counted: dict[str, int] = {}
        self._spelled: dict[int, tuple[Any, bytes]] = {}

    @property
    def live(self) -> bool:
        return self._now.live

    @property
    def read_until(self) -> int:
        return self._now.read_until

    # --- reading --------------------------------------------------------------------------------------------------

    @cached_property
    def _store(self) -> Store:
        """Opened when something is read first: many plugins never do."""
        return open_store(self._url, read_only=True)

    @cached_property
    def dialect(self) -> Dialect:
        """In which a statement says the same here and in the server. The store itself may not be there yet."""
        url = make_url(self._url)
        driver = "sqlite" if url.get_backend_name() == "sqlite" else "postgresql+psycopg"
        return url.set(drivername=driver).get_dialect()()

    def is_unwell(self, error: BaseException) -> bool:
        """Whether it is the store that failed."""
        return "_store" in self.__dict__ and self._store.is_unwell(error)

    @property
    def log(self) -> LogView:
        return self._store.log

    def read(self, statement: Any) -> Sequence[Any]:
        return self._store.read(statement)

    def plugins(self) -> Sequence[PluginStatus]:
        return self._line.ask_statuses()

    # --- what the server is to do ---------------------------------------------------------------------------------

    def write(self, statement: Any, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        self._bound.add(statement, rows)
        try:
            spelled = self._spell(statement)
            self._written.append(m.Written(spelled, plain_rows(rows)))  # type: ignore[arg-type]  # read as such there
        except CannotCross as error:
            raise BadWriteSet(self.name, f"{error} cannot be told to the server from a process of its own") from error

    def _spell(self, statement: Any) -> bytes:
        """Once a statement; it is held, so that its identity stays its own."""
        found = self._spelled.get(id(statement))
        if found is None:
            if len(self._spelled) >= KEPT_STATEMENTS:
                self._spelled.clear()
            spelled = spelling_of(statement, self.dialect, self._as_the_server_has_them)
            found = self._spelled[id(statement)] = (statement, spelled)
        return found[1]

    @cached_property
    def _as_the_server_has_them(self) -> MetaData:
        return tables_from(tables_of(self._tables, self.dialect))

    def emit(self, event: Event, *, cause: Event | str, name: str = "") -> None:
        origin, hops = (cause.id, cause.hops) if isinstance(cause, Event) else (cause, None)
        line = encode(event)
        self._bound.count(1, len(line))
        self._emitted.append(m.Emitted(line, origin, hops, name))

    def count(self, name: str, amount: int = 1) -> None:
        self._counted[name] = self._counted.get(name, 0) + amount

    def mount(self, path: str, app: Any) -> NoReturn:
        raise NotIsolable(
            self.name, f"it serves {path}, which only a plugin in the server's own process can: run it without isolate"
        )

    # --- one call -------------------------------------------------------------------------------------------------

    def begin(self, now: m.Now) -> None:
        self._now = now
        self._bound = WriteSet(self.name)
        self._written, self._emitted = [], []

    def done(self, tick_seconds: float) -> m.Done:
        return m.Done(tuple(self._written), tuple(self._emitted), self.take_counted(), float(tick_seconds))

    def take_counted(self) -> dict[str, int]:
        counted, self._counted = self._counted, {}
        return counted
