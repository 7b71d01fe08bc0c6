"""One plugin over the log: reads, calls, commits. The plugin never sees a transaction."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from flowtell.errors import FlowtellError
from flowtell.events import Event, UserEvent
from flowtell.plugin import Factory, Plugin, PluginStatus, without_values
from flowtell.runner.context import RunnerContext
from flowtell.runner.cursor import Cursor
from flowtell.runner.trouble import Trouble
from flowtell.runner.write_set import WriteSet, check_names
from flowtell.store.store import Store, Transaction

BATCH: Final = 2_000
LIVE_LAG: Final = 10 * BATCH
"""Events behind the head up to which a plugin counts as live: it may tell people of what it sees."""

_IDLE_COMMIT_SECONDS: Final = 2.0

Clock = Callable[[], int]

logger = logging.getLogger("flowtell.runner")


def system_clock() -> int:
    """Now, in µs since the epoch."""
    return time.time_ns() // 1000


class GivenUp(Exception):
    """The call took longer than its deadline, and another thread has taken over."""


class Runner:
    """Steps are taken by one thread at a time: a `RunnerThread`, a reading command, or a test."""

    def __init__(
        self,
        name: str,
        factory: Factory,
        store: Store,
        *,
        settings: Mapping[str, Any] | None = None,
        home: str = "",
        environment: str = "",
        clock: Clock = system_clock,
        deadline: float = 30.0,
        distribution: str = "",
        version: str = "",
    ) -> None:
        self.name, self.store, self.clock, self.deadline = name, store, clock, deadline
        self.home, self.environment = home, environment
        self.distribution, self.version = distribution, version
        self.counters: dict[str, int] = {}
        self.on_mount: Callable[[str, str, Any], None] | None = None
        self.all_statuses: Callable[[], Sequence[PluginStatus]] = tuple
        self.live: bool = False
        self.state: str = "starting"
        self.trouble = Trouble()
        self.busy: tuple[str, float] | None = None
        """The call under way and the monotonic moment it began."""
        self.called: str = ""
        """The latest call: what a failure is a failure of."""
        self.timeouts: int = 0
        self.last_error: str = ""
        self.failing: bool = False
        """Whether the last `catch_up` failed."""
        self._factory, self._settings = factory, dict(settings or {})
        self._show_values = bool(self._settings.pop("values", False))
        self._plugin: Plugin | None = None
        self._context: RunnerContext | None = None
        self._wants: frozenset[str] = frozenset()
        self._cursor = Cursor(name, store)
        self._committed_at = 0.0
        self._handover = threading.Lock()
        self._errors = 0
        self._logged: set[str] = set()

    # --- a plugin made, opened and let go -------------------------------------------------------------------------

    def make(self) -> Plugin | None:
        """The plugin from its factory; None when it says that it is not configured."""
        plugin = self._factory(dict(self._settings))
        if plugin is not None:
            plugin.name = self.name
        return plugin

    def adopt(self, plugin: Plugin) -> None:
        """Use a plugin that `make` has given already."""
        self._plugin = plugin

    @property
    def plugin(self) -> Plugin:
        """The plugin as it is now; another one after a failure."""
        assert self._plugin is not None, f"plugin {self.name} is not made yet"
        return self._plugin

    @property
    def is_effect(self) -> bool:
        return bool(self._plugin and self._plugin.effects)

    @property
    def cursor(self) -> int:
        return self._cursor.seq

    def open(self) -> None:
        """Make the plugin, its tables and its cursor, and open it."""
        plugin = self._plugin or self.make()
        assert plugin is not None, f"plugin {self.name} is not configured"
        if plugin.tables is not None:
            check_names(self.name, plugin.tables)
            self.store.create_tables(plugin.tables)
        self._wants = frozenset(plugin.wants)
        self._cursor.load()
        self._plugin, self._context = plugin, RunnerContext(self)
        self._call("open", lambda: plugin.open(self._opened), self.cursor)

    @property
    def _opened(self) -> RunnerContext:
        assert self._context is not None, f"plugin {self.name} is not open"
        return self._context

    def reopen(self) -> None:
        """A new plugin with what its tables hold: memory may be half changed after a failure."""
        if self._context is not None and self._plugin is not None:
            self._drop(self._plugin)
        self.open()

    def _drop(self, plugin: Plugin) -> None:
        try:
            self._timed("close", lambda: plugin.close(1.0))
        except GivenUp:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin's code
            self.note(error)
        self._plugin = self._context = None

    def rejoin(self) -> None:
        """Begin anew from the tables where another process has moved the cursor: memory is not what they hold."""
        if self._context is not None and self._plugin is not None and not self._cursor.is_current():
            self._drop(self._plugin)

    def close(self, timeout: float = 5.0) -> None:
        """Save the cursor and let the plugin go."""
        if self._context is not None:
            self._save_cursor()
            self.plugin.close(timeout)
        self.state = "stopped"

    # --- one step -------------------------------------------------------------------------------------------------

    def step(self, limit: int = BATCH) -> bool:
        """Hand over the next batch, if there is one. Whether there was.

        Raises whatever the plugin raised, and for what its write set did to the store.
        """
        events = self._next(limit)
        if not events:
            return False
        wanted = self._wanted(events)
        last = events[-1].seq
        if wanted:
            self._opened.hops = max([event.hops for event in wanted])
            self._call("handle", lambda: self.plugin.handle(wanted), last)
            self._opened.hops = 0
        self._cursor.seq = last
        return True

    def tick(self) -> None:
        """Tell the plugin what time it is."""
        now = self.clock()
        self._call("tick", lambda: self.plugin.tick(now), self.cursor)

    def _next(self, limit: int) -> Sequence[Event]:
        if self.trouble.goes_alone(self.cursor):
            return self.store.log.read(self.cursor, 1)
        events = self.store.window.after(self.cursor, limit)
        return self.store.log.read(self.cursor, limit) if events is None else events

    def _wanted(self, events: Sequence[Event]) -> Sequence[Event]:
        wants = self._wants
        if wants:
            any_own = "*" in wants
            events = [event for event in events if event.type in wants or (any_own and type(event) is UserEvent)]
        if self.is_effect and not self._show_values:
            events = list(without_values(events))
        return events

    def _call(self, what: str, call: Callable[[], None], cursor: int) -> None:
        """Call the plugin, then commit what it wants written, unless the call was given up meanwhile."""
        context = self._opened
        context.pending = WriteSet(self.name)
        self._timed(what, call)
        if context.pending:
            self._commit(context.pending, cursor)

    def _timed(self, what: str, call: Callable[[], None]) -> None:
        """Call the plugin under the eyes of whoever watches the deadline."""
        self.called = what
        mine = self.busy = (what, time.monotonic())
        try:
            call()
        finally:
            self._returned(mine)

    def _returned(self, mine: tuple[str, float]) -> None:
        """Either the call returned in time or it was given up, never both: a commit that has begun is not taken back."""
        with self._handover:
            if self.busy is not mine:
                raise GivenUp
            self.busy = None

    def give_up(self, call: tuple[str, float]) -> bool:
        """Whatever `call` still does, it commits nothing any more. False when it has just returned."""
        with self._handover:
            if self.busy is not call:
                return False
            self.busy = None
        self._plugin = self._context = None
        self._cursor.load()
        return True

    # --- committing -----------------------------------------------------------------------------------------------

    def _commit(self, wanted: WriteSet, cursor: int) -> None:
        wanted.check(self.plugin.tables)
        with self.store.write() as transaction:
            wanted.apply(self.store, transaction)
            if wanted.events:
                self._append(transaction, wanted.events)
            self._cursor.save(transaction, cursor, self.clock())
        self._cursor.saved, self._committed_at = cursor, time.monotonic()

    def _append(self, transaction: Transaction, events: Sequence[Event]) -> None:
        log = self.store.log
        writer = log.writer(transaction, f"plugin:{self.name}", "plugin")
        log.append_events(transaction, writer, events, self.clock(), self._cursor.emitted)
        self._cursor.emitted += len(events)

    def save_cursor_if_due(self) -> None:
        """A cursor that moved over events nobody wanted is saved now and then: seeing those again does no harm."""
        if time.monotonic() - self._committed_at > _IDLE_COMMIT_SECONDS:
            self._save_cursor()

    def _save_cursor(self) -> None:
        if self._cursor.seq != self._cursor.saved and not self.store.read_only:
            self._commit(WriteSet(self.name), self._cursor.seq)

    def set_aside(self, error: BaseException) -> None:
        """Go past the event at the cursor, which the plugin cannot take."""
        poison = self.store.log.read(self.cursor, 1)
        if poison:
            text = f"{type(error).__name__}: {error}"
            self._cursor.set_aside(poison[0].seq, self.trouble.alone, text, self.clock())
            self.trouble.went_past()

    # --- on the caller's thread -----------------------------------------------------------------------------------

    def catch_up(self, until: int, stop_at: float) -> None:
        """Hand over what lies up to `until`, until the monotonic moment `stop_at`, without deadline or `tick`.

        For a reading command, so a failure is noted rather than raised.
        """
        self.failing = False
        try:
            if self._context is None:
                self.open()
            while self.cursor < until and time.monotonic() < stop_at and self.step():
                pass
            self._save_cursor()
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin's code
            self.failing = True
            self.note(error)
            self._plugin = self._context = None  # its memory may be half changed

    # --- how it is doing ------------------------------------------------------------------------------------------

    def note(self, error: BaseException) -> None:
        """Count a failure; log the first of each kind."""
        self._errors += 1
        self.last_error = f"{type(error).__name__}: {error}"[:500]
        kind = type(error).__name__
        if kind not in self._logged:
            self._logged.add(kind)
            trace = None if isinstance(error, FlowtellError) else error
            logger.warning("plugin %s: %s", self.name, self.last_error, exc_info=trace)

    def status(self) -> PluginStatus:
        lag = max(self.store.window.head - self.cursor, 0)
        return PluginStatus(
            name=self.name,
            distribution=self.distribution,
            version=self.version,
            effects=self.is_effect,
            state=self.state,
            cursor=self.cursor,
            lag_events=lag,
            lag_seconds=self._lag_seconds(lag),
            errors=self._errors,
            timeouts=self.timeouts,
            dead_events=self._cursor.dead,
            dropped=self.counters.get("dropped", 0),
            last_error=self.last_error,
        )

    def _lag_seconds(self, lag: int) -> float:
        """Age of the oldest event not handled yet, by when the log took it."""
        if not lag:
            return 0.0
        following = self.store.window.after(self.cursor, 1)
        if following is None:
            following = self.store.log.read(self.cursor, 1)
        return max(self.clock() - following[0].received, 0) / 1e6 if following else 0.0

    def lose_next_commit(self) -> None:
        """For tests: hand over the next events and throw away what the plugin wrote, as if the server died there."""
        wanted = self._wanted(self._next(BATCH))
        if wanted:
            self.plugin.handle(wanted)
            self._opened.pending = WriteSet(self.name)
