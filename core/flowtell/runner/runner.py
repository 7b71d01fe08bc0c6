"""One plugin over the log: reads, calls, commits. The plugin never sees a transaction."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from flowtell.errors import FlowtellError, IsolatedFailure, PluginTimedOut
from flowtell.events import OWN_NAMES, Event, UserEvent
from flowtell.plugin import Factory, Plugin, PluginStatus, without_values
from flowtell.runner.apart import apart
from flowtell.runner.clock import system_clock
from flowtell.runner.context import RunnerContext
from flowtell.runner.cursor import Cursor
from flowtell.runner.own_values import own_values
from flowtell.runner.trouble import Trouble
from flowtell.runner.write_set import WriteSet, check_names
from flowtell.store.store import Store, Transaction

BATCH: Final = 2_000
LIVE_LAG: Final = 10 * BATCH
"""Events behind the head up to which a plugin counts as live: it may tell people of what it sees."""

_IDLE_COMMIT_SECONDS: Final = 2.0

Clock = Callable[[], int]

logger = logging.getLogger("flowtell.runner")
calls = logging.getLogger("flowtell.runner.calls")
"""A line for each call of a plugin, where `plugins.trace` asks for it."""


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
        values: bool = False,
        home: str = "",
        environment: str = "",
        clock: Clock = system_clock,
        deadline: float = 30.0,
        distribution: str = "",
        version: str = "",
        shared: bool = True,
        trace: bool = False,
    ) -> None:
        """`shared` is the caller's word that the plugin writes into no value of an event; else it gets its own of those.
        `trace` logs each call.
        """
        self.name, self.store, self.clock, self.deadline = name, store, clock, deadline
        self.home, self.environment = home, environment
        self.distribution, self.version = distribution, version
        self.counters: dict[str, int] = {}
        self.on_mount: Callable[[str, str, Any], None] | None = None
        self.all_statuses: Callable[[], Sequence[PluginStatus]] = tuple
        self.read_until: Callable[[], int] = clock
        """Up to when the log is complete; where nothing is shipped or read from journals, it always is."""
        self.live: bool = False
        self.state: str = "starting"
        self.trouble = Trouble()
        self.follows: bool = False
        """Whether it hands over from the log's end on and keeps no cursor: beside a server that leads."""
        self.busy: tuple[str, float] | None = None
        """The call under way and the monotonic moment it began."""
        self.called: str = ""
        """The latest call: what a failure is a failure of."""
        self.timeouts: int = 0
        self.last_error: str = ""
        self.failing: bool = False
        """Whether the last `catch_up` failed."""
        self._shared, self._trace = shared, trace
        self._factory, self._settings = factory, dict(settings or {})
        self._show_values = bool(self._settings.pop("values", values))
        self._plugin: Plugin | None = None
        self._context: RunnerContext | None = None
        self._wants: frozenset[str] = frozenset()
        self._cursor = Cursor(name, store)
        self._committed_at = 0.0
        self._handover = threading.Lock()
        self._handed = 0
        """Events of the latest `handle`."""
        self._reviving = 0
        """The event that was set aside and is handed over again, while it is."""
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
        if self.follows:
            self._cursor.start_at(self.store.log.head())
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
        try:
            if self._context is not None:
                self._save_cursor()
                self.plugin.close(timeout)
        finally:
            self.let_go()
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
            self._handed = len(wanted)
            self._call("handle", lambda: self.plugin.handle(wanted), last)
            self._opened.hops = 0
        self._cursor.seq = last
        return True

    def hand_again(self, seq: int) -> bool:
        """Hand over an event that was set aside; when the plugin took it, it is set aside no more. Whether the log has it.

        Raises whatever the plugin raised; then it stays where it is.
        """
        found = self.store.log.read(seq - 1, 1)
        if not found or found[0].seq != seq:
            return False
        wanted = self._wanted(found)
        self._reviving = seq
        try:
            self._call("handle", lambda: self.plugin.handle(wanted), self.cursor)
        finally:
            self._reviving = 0
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
            any_own = OWN_NAMES in wants
            events = [event for event in events if event.type in wants or (any_own and type(event) is UserEvent)]
        if self.is_effect and not self._show_values:
            events = list(without_values(events))
        return events if self._shared else own_values(events)

    def _call(self, what: str, call: Callable[[], None], cursor: int) -> None:
        """Call the plugin, then commit what it wants written, unless the call was given up meanwhile."""
        context = self._opened
        context.pending = WriteSet(self.name)
        self._timed(what, call)
        if context.pending or self._reviving:
            self._commit(context.pending, cursor)

    def _timed(self, what: str, call: Callable[[], None]) -> None:
        """Call the plugin under the eyes of whoever watches the deadline."""
        self.called = what
        process = os.getpid()
        mine = self.busy = (what, time.monotonic())
        try:
            call()
        finally:
            if os.getpid() != process:
                os._exit(0)  # a fork that the plugin made came back: cursor, store and locks are its parent's
            if self._trace:
                self._say_called(*mine)
            self._returned(mine)

    def _say_called(self, what: str, began: float) -> None:
        handed = f" {self._handed} events" if what == "handle" else ""
        calls.info("%s.%s%s behind %d: %.1f ms", self.name, what, handed, self.cursor, (time.monotonic() - began) * 1e3)

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
        self.strike()
        self._plugin = self._context = None
        self._cursor.load()
        return True

    # --- a plugin in a process of its own -------------------------------------------------------------------------

    def watch(self) -> None:
        """See that an isolated plugin keeps to its bounds. From any thread."""
        if its := apart(self._plugin):
            its.watch()

    def let_go(self) -> None:
        """End an isolated plugin's process, where it has not ended. When no call is under way."""
        if its := apart(self._plugin):
            its.end()

    def strike(self) -> bool:
        """Kill an isolated plugin, from any thread: its call ends. False for others, which cannot be."""
        its = apart(self._plugin)
        if its is not None:
            its.strike()
        return its is not None

    # --- committing -----------------------------------------------------------------------------------------------

    def _commit(self, wanted: WriteSet, cursor: int) -> None:
        wanted.check(self.plugin.tables)
        with self.store.write() as transaction:
            wanted.apply(self.store, transaction)
            if wanted.events:
                self._append(transaction, wanted.events)
            self._cursor.save(transaction, cursor, self.clock())
            if self._reviving:
                self._cursor.revive(transaction, self._reviving)
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
        if self._cursor.seq != self._cursor.saved and not self.store.read_only and not self.follows:
            self._commit(WriteSet(self.name), self._cursor.seq)

    def set_aside(self, error: BaseException) -> None:
        """Go past the event at the cursor, which the plugin cannot take."""
        poison = self.store.log.read(self.cursor, 1)
        if poison:
            self._cursor.set_aside(poison[0].seq, self.trouble.alone, text_of(error), self.clock())
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
        self.timeouts += isinstance(error, PluginTimedOut)
        self.last_error = text_of(error)[:500]
        kind = getattr(error, "kind", type(error).__name__)
        if kind not in self._logged:
            self._logged.add(kind)
            trace = None if isinstance(error, FlowtellError) and error.__cause__ is None else error
            logger.warning("plugin %s: %s", self.name, self.last_error, exc_info=trace)

    def status(self) -> PluginStatus:
        lag = max(self.store.window.head - self.cursor, 0)
        its = apart(self._plugin)
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
            pid=its.pid if its else 0,
            memory=its.memory() if its else 0,
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


def text_of(error: BaseException) -> str:
    """An error on one line; an isolated plugin's as its own process named it."""
    return str(error) if isinstance(error, IsolatedFailure) else f"{type(error).__name__}: {error}"
