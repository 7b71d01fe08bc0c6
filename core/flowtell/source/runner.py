"""Runs one source: opens, steps, says when it is up or down, and makes a new one after a failure."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from flowtell.errors import JournalUnwritable, SourceUnavailable
from flowtell.events import Event, Failure, SourceDown, SourceProgress, SourceUp
from flowtell.ids import new_id
from flowtell.source import Factory, OpenRun, Source, SourceStatus
from flowtell.source.memory import last_cursor, open_runs
from flowtell.source.writing import SourceJournal

if TYPE_CHECKING:
    from flowtell.store.store import Store

STUCK_SECONDS: Final = 300.0
"""A step that takes longer counts as stuck; it is left alone, as a thread cannot be stopped."""

_LEAST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0

Clock = Callable[[], int]


def system_clock() -> int:
    """Now, in µs since the epoch."""
    return time.time_ns() // 1000


class SourceRunner:
    """Turns are taken by one thread at a time: a `SourceThread`, or a test. `status` and `stop` may be asked from any."""

    def __init__(
        self,
        name: str,
        factory: Factory,
        *,
        kind: str = "",
        settings: Mapping[str, Any] | None = None,
        home: str,
        environment: str = "",
        store: Store | None = None,
        clock: Clock = system_clock,
        distribution: str = "",
        version: str = "",
    ) -> None:
        self.name, self.kind = name, kind or name
        self.clock, self.store = clock, store
        self.logger = logging.getLogger(f"flowtell.source.{name}")
        self.stopping = threading.Event()
        self.journal = SourceJournal(home, name, environment)
        self.state: str = "starting"
        self.cursor: str = ""
        self.complete_until: int | None = None
        self.events: int = 0
        self.last_error: str = ""
        self._factory, self._settings = factory, dict(settings or {})
        self._distribution, self._version = distribution, version
        self._source: Source | None = None
        self._known = False
        self._failures = 0
        self._errors = 0
        self._logged: set[str] = set()
        self._called: float | None = None

    # --- one turn -------------------------------------------------------------------------------------------------

    def turn(self) -> float:
        """One step, the source made and opened before it where there is none. Returns the seconds to wait for the next.

        Raises nothing: a failure closes the source, and the wait is the pause after it.
        """
        self._called = time.monotonic()
        try:
            source = self._source or self._open()
            return max(source.step(), 0.0)
        except Exception as error:  # noqa: BLE001  # a source's code
            return self._failed(error)
        finally:
            self._called = None

    def _open(self) -> Source:
        if not self._known:
            self._remember()
        source = self._factory(dict(self._settings))
        source.name = self.name
        self._source = source
        source.open(_Context(self))
        return source

    def _remember(self) -> None:
        """What the log holds of an earlier process; what has not come into the log yet is read again, and adds nothing."""
        if self.store is not None:
            self.cursor, self.complete_until = last_cursor(self.store, self.name)
        self._known = True

    def _failed(self, error: Exception) -> float:
        self._errors += 1
        self._failures += 1
        text = str(error) if isinstance(error, SourceUnavailable) else f"{type(error).__name__}: {error}"
        self._log(error, text)
        self._close(1.0)
        self._say_down(error, text[:500])
        pause = min(_LEAST_PAUSE * 2 ** (self._failures - 1), _LONGEST_PAUSE) * random.uniform(0.8, 1.0)
        wanted = error.retry_after if isinstance(error, SourceUnavailable) else None
        return pause if wanted is None else max(min(wanted, 10 * _LONGEST_PAUSE), 0.05)

    def _log(self, error: Exception, text: str) -> None:
        kind = f"{type(error).__name__}{str(error)[:60]}"
        if kind in self._logged:
            return
        self._logged.add(kind)
        if isinstance(error, SourceUnavailable | JournalUnwritable):
            self.logger.warning("source %s is down: %s", self.name, text)
        else:
            self.logger.error("source %s failed; a new one goes on from its cursor", self.name, exc_info=error)

    # --- up and down ----------------------------------------------------------------------------------------------

    def say_up(self) -> None:
        self._failures = 0
        if self.state == "up":
            return
        self.state, self.last_error = "up", ""
        self._logged.clear()
        now = self.clock()
        self.journal.write([SourceUp(id=new_id(now), time=now, cursor=self.cursor, complete_until=self.complete_until)])

    def _say_down(self, error: Exception, text: str) -> None:
        was, self.state = self.state, "down"
        if was == "down" and text == self.last_error:
            return
        self.last_error = text
        now = self.clock()
        failure = Failure(type=type(error).__name__, message=text)
        try:
            self.journal.write([SourceDown(id=new_id(now), time=now, cursor=self.cursor, error=failure)])
        except JournalUnwritable as unwritable:
            self._log(unwritable, str(unwritable))

    # --- what the context does ------------------------------------------------------------------------------------

    def write(self, events: Iterable[Event], cursor: str, complete_until: int | None) -> None:
        batch = list(events)
        for event in batch:
            if not event.id:
                raise ValueError(f"an event of a source needs an id of its own: {event.type}")
        made = len(batch)
        if cursor or complete_until is not None:
            batch.append(self._progress(cursor or self.cursor, complete_until))
        self.journal.write(batch)
        self.events += made
        self.cursor = cursor or self.cursor
        if complete_until is not None:
            self.complete_until = complete_until

    def _progress(self, cursor: str, complete_until: int | None) -> Event:
        now = self.clock()
        return SourceProgress(id=new_id(now), time=now, cursor=cursor, complete_until=complete_until)

    def open_runs(self) -> Sequence[OpenRun]:
        return () if self.store is None else open_runs(self.store.read, self.name)

    # --- the end, and how it is doing -----------------------------------------------------------------------------

    def _close(self, timeout: float) -> None:
        source, self._source = self._source, None
        if source is None:
            return
        try:
            source.close(timeout)
        except Exception as error:  # noqa: BLE001  # a source's code
            self._log(error, str(error))

    def close(self, timeout: float = 5.0) -> None:
        """Let the source go. By the thread that took the turns."""
        self._close(timeout)
        self.journal.close()
        self.state = "stopped"

    def status(self) -> SourceStatus:
        called, until = self._called, self.complete_until
        stuck = called is not None and time.monotonic() - called > STUCK_SECONDS
        return SourceStatus(
            name=self.name,
            kind=self.kind,
            distribution=self._distribution,
            version=self._version,
            state="stuck" if stuck else self.state,
            events=self.events,
            errors=self._errors,
            complete_until=until,
            lag_seconds=None if until is None else max((self.clock() - until) / 1e6, 0.0),
            last_error=self.last_error,
        )


class _Context:
    """See `flowtell.source.SourceContext` for what each member promises."""

    def __init__(self, runner: SourceRunner) -> None:
        self._runner = runner
        self.name = runner.name
        self.logger = runner.logger
        self.clock = runner.clock
        self.home = runner.journal.home
        self.environment = runner.journal.environment

    @property
    def cursor(self) -> str:
        return self._runner.cursor

    @property
    def stopping(self) -> bool:
        return self._runner.stopping.is_set()

    def wait(self, seconds: float) -> bool:
        return self._runner.stopping.wait(seconds)

    def emit(self, events: Iterable[Event], *, cursor: str = "", complete_until: int | None = None) -> None:
        self._runner.write(events, cursor, complete_until)

    def up(self) -> None:
        self._runner.say_up()

    def open_runs(self) -> Sequence[OpenRun]:
        return self._runner.open_runs()
