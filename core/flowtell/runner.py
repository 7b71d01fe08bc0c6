"""Runs one plugin over the log: own thread, own cursor, own deadline, own circuit breaker.

The runner reads, calls and commits; the plugin never sees a transaction. What a call wrote is applied with the cursor
after it returned, or thrown away whole. A call that does not return in time is abandoned with its thread; a late return
finds that its generation is over and changes nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import select

from flowtell.errors import BadWriteSet, FlowtellError, PluginTimedOut
from flowtell.events import Event, UserEvent
from flowtell.ids import derived_id, moment_of
from flowtell.plugin import MAX_HOPS, Factory, Plugin, PluginStatus, RetryLater, without_values
from flowtell.store.log import Writer
from flowtell.store.statements import insert_for
from flowtell.store.store import Store, Transaction
from flowtell.store.tables import cursors, dead_events

BATCH: Final = 2_000
MAX_ROWS: Final = 200_000
"""Rows of one write set; a plugin that offers more is refused, as its transaction would hold everybody up."""

_ATTEMPTS_ALONE: Final = 3
_BREAKER_AFTER: Final = 5
_BACKOFF_SECONDS: Final = (0.1, 0.5, 2.0, 5.0, 15.0, 60.0)
_STUCK_THREADS: Final = 4
_LIVE_LAG: Final = 10 * BATCH
_IDLE_COMMIT_SECONDS: Final = 2.0

Clock = Callable[[], int]


def system_clock() -> int:
    """Now, in µs since the epoch."""
    return time.time_ns() // 1000


class WriteSet:
    """What one call of a plugin wants written: statements with rows, and events."""

    def __init__(self) -> None:
        self.statements: list[tuple[Any, Sequence[Mapping[str, Any]]]] = []
        self.events: list[Event] = []
        self.rows = 0

    def __bool__(self) -> bool:
        return bool(self.statements or self.events)


class RunnerContext:
    """The `Context` that a runner gives to its plugin."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.name = runner.name
        self.logger = logging.getLogger(f"flowtell.plugin.{runner.name}")
        self.clock = runner.clock
        self.log = runner.store.log
        self.home = runner.home
        self.environment = runner.environment
        self.pending = WriteSet()

    @property
    def live(self) -> bool:
        return self._runner.live

    def read(self, statement: Any) -> Sequence[Any]:
        return self._runner.store.read(statement)

    def write(self, statement: Any, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        self.pending.rows += max(len(rows), 1)
        if self.pending.rows > MAX_ROWS:
            raise BadWriteSet(self.name, f"more than {MAX_ROWS} rows; hand them over in smaller parts")
        self.pending.statements.append((statement, rows))

    def emit(self, event: Event, *, cause: Event | str, name: str = "") -> None:
        hops = cause.hops + 1 if isinstance(cause, Event) else event.hops
        if hops > MAX_HOPS:
            self.count("dropped")
            return
        cause_id = cause.id if isinstance(cause, Event) else cause
        self.pending.events.append(
            msgspec.structs.replace(
                event,
                id=derived_id(moment_of(cause_id) or event.time, self.name, cause_id, event.type, name),
                time=event.time or self.clock(),
                caused_by=cause_id,
                hops=hops,
            )
        )

    def count(self, name: str, amount: int = 1) -> None:
        counters = self._runner.counters
        counters[name] = counters.get(name, 0) + amount

    def mount(self, path: str, app: Any) -> None:
        if self._runner.on_mount is not None:
            self._runner.on_mount(self.name, path, app)

    def plugins(self) -> Sequence[PluginStatus]:
        return self._runner.all_statuses()


class Runner:
    """One plugin's way through the log.

    `run` is the body of its thread; `catch_up` does the same on the caller's thread, without deadline or `tick`, for a
    reading command.
    """

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
        self.live = False
        self._factory, self._settings = factory, dict(settings or {})
        self._show_values = bool(self._settings.pop("values", False))
        self._plugin: Plugin | None = None
        self._context: RunnerContext | None = None
        self._wants: frozenset[str] = frozenset()
        self.cursor = 0
        self._committed = 0
        self._committed_at = 0.0
        self._emitted = 0
        self._writer: Writer | None = None
        self._state = "starting"
        self._generation = 0
        self._busy: tuple[str, float] | None = None
        self._alone_until = 0
        self._failures = 0
        self._failures_alone = 0
        self._abandoned: list[threading.Thread] = []
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._ticked = 0.0
        self._errors = self._timeouts = self._dead = 0
        self._last_error = ""
        self._logged: set[str] = set()
        self._head_time = 0

    # --- a plugin made, opened and let go -------------------------------------------------------------------------

    def make(self) -> Plugin | None:
        """The plugin from its factory; None when it says that it is not configured."""
        plugin = self._factory(self._settings)
        if plugin is not None:
            plugin.name = self.name
        return plugin

    def adopt(self, plugin: Plugin) -> None:
        """Use a plugin that `make` has given already."""
        self._plugin = plugin

    @property
    def plugin(self) -> Plugin:
        """The plugin as it is now; another one after a failure."""
        assert self._plugin is not None
        return self._plugin

    def lose_next_commit(self) -> None:
        """For tests: call the plugin with the next events and throw away what it wrote, as if the server died there."""
        events = self._next(BATCH)
        wanted = self._wanted(events)
        if wanted:
            assert self._context is not None
            self._context.pending = WriteSet()
            self.plugin.handle(wanted)
            self._context.pending = WriteSet()

    @property
    def opening(self) -> bool:
        """Whether the thread has not come to the first call after `open` yet."""
        return self._state == "starting"

    @property
    def is_effect(self) -> bool:
        return bool(self._plugin and self._plugin.effects)

    def open(self) -> None:
        """Make the plugin, its tables and its cursor, and open it."""
        plugin = self._plugin or self.make()
        assert plugin is not None, f"plugin {self.name} is not configured"
        if plugin.tables is not None:
            self._create_tables(plugin)
        self._wants = frozenset(plugin.wants)
        self._load_cursor()
        self._context = RunnerContext(self)
        self._plugin = plugin
        plugin.open(self._context)
        if self._context.pending:
            self._commit(self._context.pending, self.cursor)

    def _create_tables(self, plugin: Plugin) -> None:
        assert plugin.tables is not None
        wrong = [name for name in plugin.tables.tables if not name.startswith(f"{self.name}_")]
        if wrong:
            raise BadWriteSet(self.name, f"table {wrong[0]} is not named {self.name}_…")
        if not self.store.read_only:
            self.store.create_tables(plugin.tables)

    def _load_cursor(self) -> None:
        rows = self.store.read(select(cursors).where(cursors.c.plugin == self.name))
        self.cursor = self._committed = rows[0].seq if rows else 0
        self._emitted = rows[0].emitted if rows else 0
        self._dead = len(self.store.read(select(dead_events.c.seq).where(dead_events.c.plugin == self.name).limit(10_000)))

    def _reopen(self) -> None:
        """A new plugin with what its tables hold: memory may be half changed after a failure."""
        if self._context is None:  # the first one, never opened
            self.open()
            return
        plugin, self._plugin = self._plugin, None
        if plugin is not None:
            try:
                plugin.close(1.0)
            except Exception as error:
                self._note(error)
        self.open()

    def close(self, timeout: float = 5.0) -> None:
        if self._plugin is not None and self._context is not None:
            if self.cursor != self._committed and not self.store.read_only:
                self._commit(WriteSet(), self.cursor)
            self._plugin.close(timeout)
        self._state = "stopped"

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
            self._call("handle", lambda plugin: plugin.handle(wanted), last)
        self.cursor = last
        self._commit_if_due()
        return True

    def _next(self, limit: int) -> Sequence[Event]:
        if self._alone_until > self.cursor:
            return self.store.log.read(self.cursor, 1)
        events = self.store.window.after(self.cursor)
        if events is None:
            return self.store.log.read(self.cursor, limit)
        return events if len(events) <= limit else events[:limit]

    def _wanted(self, events: Sequence[Event]) -> Sequence[Event]:
        wants = self._wants
        if wants:
            own = "*" in wants
            events = [event for event in events if event.type in wants or (own and type(event) is UserEvent)]
        assert self._plugin is not None
        if self._plugin.effects and not self._show_values:
            events = list(without_values(events))
        return events

    def tick(self) -> None:
        """Tell the plugin what time it is."""
        now = self.clock()
        self._call("tick", lambda plugin: plugin.tick(now), self.cursor)

    def _call(self, what: str, call: Callable[[Plugin], None], cursor: int) -> None:
        assert self._plugin is not None and self._context is not None
        context, generation = self._context, self._generation
        context.pending = WriteSet()
        self._busy = (what, time.monotonic())
        try:
            call(self._plugin)
        finally:
            if generation == self._generation:
                self._busy = None
        if context.pending:
            self._commit(context.pending, cursor, generation)

    def _commit(self, wanted: WriteSet, cursor: int, generation: int | None = None) -> None:
        """The write set and the cursor in one transaction, unless the call that made it was given up meanwhile."""
        with self.store.write() as transaction:
            if generation is not None and generation != self._generation:
                raise _GivenUp
            self._apply(transaction, wanted)
            self._save_cursor(transaction, cursor)
        self._committed, self._committed_at = cursor, time.monotonic()

    def _apply(self, transaction: Transaction, wanted: WriteSet) -> None:
        for statement, rows in wanted.statements:
            self._check(statement)
            if rows:
                self.store.prepared.get(statement, rows[0], transaction.connection).execute(transaction.connection, rows)
            else:
                transaction.connection.execute(statement)
        if wanted.events:
            if self._writer is None:
                self._writer = self.store.log.writer(transaction, f"plugin:{self.name}", "plugin")
            self.store.log.append_events(transaction, self._writer, wanted.events, self.clock(), self._emitted)
            self._emitted += len(wanted.events)

    def _check(self, statement: Any) -> None:
        table = getattr(statement, "table", None)
        assert self._plugin is not None
        own = self._plugin.tables
        if table is None or own is None or table.name not in own.tables:
            raise BadWriteSet(self.name, f"{getattr(table, 'name', statement)!s:.80} is not one of its tables")

    def _save_cursor(self, transaction: Transaction, cursor: int) -> None:
        values = {"seq": cursor, "emitted": self._emitted, "moved": self.clock()}
        statement = insert_for(transaction.connection.dialect, cursors).values(plugin=self.name, **values)
        transaction.connection.execute(statement.on_conflict_do_update(index_elements=["plugin"], set_=values))

    def _commit_if_due(self) -> None:
        """A cursor that moved over events nobody wanted is saved now and then: seeing those again does no harm."""
        if self.cursor != self._committed and time.monotonic() - self._committed_at > _IDLE_COMMIT_SECONDS:
            self._commit(WriteSet(), self.cursor)

    # --- on the caller's thread -----------------------------------------------------------------------------------

    failing = False
    """Whether the last `catch_up` failed."""

    def catch_up(self, until: int, stop_at: float) -> None:
        """Hand over what lies up to `until`, until the monotonic moment `stop_at`. A failure is noted, not raised."""
        self.failing = False
        try:
            if self._plugin is None:
                self.open()
            while self.cursor < until and time.monotonic() < stop_at and self.step():
                pass
            if self.cursor != self._committed:
                self._commit(WriteSet(), self.cursor)
        except Exception as error:
            self.failing = True
            self._note(error)

    # --- on its own thread ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Run on a thread of its own until `stop`."""
        self._spawn()

    def _spawn(self) -> None:
        name = f"flowtell-plugin-{self.name}"
        self._thread = threading.Thread(target=self._run, args=(self._generation,), name=name, daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End within `timeout` seconds, the plugin closed if it lets itself be."""
        self._stop.set()
        self.store.window.wake()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self, generation: int) -> None:
        first = True
        while not self._stop.is_set() and generation == self._generation:
            try:
                if first:
                    self._guarded_open(generation)
                    self._state, first = "running", False
                self._turn()
            except _GivenUp:
                return
            except RetryLater as later:
                self._pause("retrying", later.seconds, str(later))
            except Exception as error:
                if generation != self._generation:
                    return
                first = not self._recover(error)
        if generation == self._generation:
            self._close_quietly()

    def _guarded_open(self, generation: int) -> None:
        self._busy = ("open", time.monotonic())
        try:
            self._reopen()
        finally:
            if generation == self._generation:
                self._busy = None
        if generation != self._generation:
            raise _GivenUp

    def _turn(self) -> None:
        """Hand over what there is, then tick when it is time, else wait."""
        progressed = self.step()
        if progressed:
            self._settled()
        self.live = self.store.window.head - self.cursor <= _LIVE_LAG
        if not self.live:
            return
        assert self._plugin is not None
        now = time.monotonic()
        if now - self._ticked >= self._plugin.tick_seconds:
            self.tick()
            self._ticked = now
            self._settled()
        self._commit_if_due()
        if not progressed:
            self.store.window.wait(self.cursor, min(self._plugin.tick_seconds, 1.0))

    def _settled(self) -> None:
        self._state = "running"
        self._failures = 0
        if self._alone_until and self.cursor >= self._alone_until:
            self._alone_until = 0
        if self._alone_until:
            self._failures_alone = 0

    # --- when a call fails ----------------------------------------------------------------------------------------

    def _recover(self, error: BaseException) -> bool:
        """Note the failure, set the poison event aside when it is found, wait. Whether the plugin could be reopened."""
        self._note(error)
        self._failures += 1
        if self._alone_until > self.cursor:
            self._failures_alone += 1
            if self._failures_alone >= _ATTEMPTS_ALONE:
                self._set_aside(error)
        elif self._failures >= 2:
            self._look_closer()
        self._pause("broken" if self._failures >= _BREAKER_AFTER else "retrying", self._backoff(), str(error))
        if self._stop.is_set():
            return True
        try:
            self._guarded_open(self._generation)
        except _GivenUp:
            raise
        except Exception as again:
            self._note(again)
            return False
        return True

    def _look_closer(self) -> None:
        """One by one over the batch that failed twice, so that only the event at fault is lost."""
        events = self.store.log.read(self.cursor, BATCH)
        self._alone_until = events[-1].seq if events else 0
        self._failures_alone = 0

    def _set_aside(self, error: BaseException) -> None:
        poison = self.store.log.read(self.cursor, 1)
        if not poison:
            return
        row = {"at": self.clock(), "attempts": self._failures_alone, "error": f"{type(error).__name__}: {error}"[:2000]}
        with self.store.write() as transaction:
            statement = insert_for(transaction.connection.dialect, dead_events).values(plugin=self.name, seq=poison[0].seq, **row)
            transaction.connection.execute(statement.on_conflict_do_update(index_elements=["plugin", "seq"], set_=row))
            self._save_cursor(transaction, poison[0].seq)
        self.cursor = self._committed = poison[0].seq
        self._dead += 1
        self._failures = self._failures_alone = 0

    def _backoff(self) -> float:
        return _BACKOFF_SECONDS[min(self._failures, len(_BACKOFF_SECONDS)) - 1] if self._failures else 0.0

    def _pause(self, state: str, seconds: float, reason: str) -> None:
        self._state, self._last_error = state, reason[:500]
        self._stop.wait(seconds)

    def _note(self, error: BaseException) -> None:
        self._errors += 1
        self._last_error = f"{type(error).__name__}: {error}"[:500]
        kind = type(error).__name__
        if kind not in self._logged:
            self._logged.add(kind)
            logging.getLogger("flowtell.runner").warning("plugin %s: %s", self.name, self._last_error, exc_info=error if not isinstance(error, FlowtellError) else None)

    def _close_quietly(self) -> None:
        try:
            self.close()
        except Exception as error:
            self._note(error)

    # --- the deadline, watched from another thread ----------------------------------------------------------------

    def watch(self, now: float) -> None:
        """Give up a call that runs past its deadline and go on with a new thread. Called about four times a second."""
        busy = self._busy
        if busy is None or now - busy[1] < self.deadline or self._stop.is_set():
            return
        self._generation += 1
        self._busy = None
        self._timeouts += 1
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        if self._thread is not None:
            self._abandoned.append(self._thread)
        self._plugin = None
        error = PluginTimedOut(self.name, busy[0], self.deadline)
        if len(self._abandoned) >= _STUCK_THREADS:
            self._note(error)
            self._state = "stuck"
            return
        self._thread = threading.Thread(target=self._resume, args=(self._generation, error), name=f"flowtell-plugin-{self.name}", daemon=True)
        self._thread.start()

    def revive(self) -> None:
        """Go on when a plugin that was stuck has let go of a thread."""
        if self._state == "stuck" and sum(thread.is_alive() for thread in self._abandoned) < _STUCK_THREADS:
            self._generation += 1
            self._state = "retrying"
            self._spawn()

    def _resume(self, generation: int, error: PluginTimedOut) -> None:
        try:
            self._load_cursor()
            self._recover(error)
        except _GivenUp:
            return
        self._run(generation)

    # --- how it is doing ------------------------------------------------------------------------------------------

    def status(self) -> PluginStatus:
        head = self.store.window.head
        lag = max(head - self.cursor, 0)
        return PluginStatus(
            name=self.name,
            distribution=self.distribution,
            version=self.version,
            effects=self.is_effect,
            state=self._state,
            cursor=self.cursor,
            lag_events=lag,
            lag_seconds=self._lag_seconds(lag),
            errors=self._errors,
            timeouts=self._timeouts,
            dead_events=self._dead,
            dropped=self.counters.get("dropped", 0),
            last_error=self._last_error,
        )

    def _lag_seconds(self, lag: int) -> float:
        """Age of the oldest event not handled yet, by when the log took it."""
        if not lag:
            return 0.0
        following = self.store.window.after(self.cursor)
        if following is None:
            following = self.store.log.read(self.cursor, 1)
        return max(self.clock() - following[0].received, 0) / 1e6 if following else 0.0


class _GivenUp(Exception):
    """This thread's call took too long and another has taken over."""


def statuses(runners: Iterable[Runner]) -> Sequence[PluginStatus]:
    return tuple(runner.status() for runner in runners)
