"""The plugin contract: how anything consumes events, built-in or not.

An entry point of the group `flowtell.plugins` names a factory that takes the plugin's configuration, a plain mapping, and
returns a plugin. A plugin is a projection (it writes its own tables only) or an effect (it talks to the world).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import msgspec

from flowtell.errors import FlowtellError
from flowtell.events import Event, UserEvent

if TYPE_CHECKING:
    from sqlalchemy import Executable, MetaData, Row, Select

API_VERSION: Final = 1
"""Raised when a change breaks plugins; a plugin states the version it was written for in `api`."""

MAX_HOPS: Final = 16
"""An event caused through more plugins than this is dropped and counted: plugins that answer each other must end."""


class RetryLater(FlowtellError):
    """Raised by a plugin to get the same events again after `seconds`. Nothing counts as failed.

    Raise it before changing anything in memory: the plugin is not reopened.
    """

    code = "FT1504"

    def __init__(self, seconds: float, reason: str = "") -> None:
        self.seconds, self.reason = seconds, reason
        super().__init__(f"again in {seconds:g} s{f': {reason}' if reason else ''}")


class PluginStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one plugin is doing, as numbers that a page or a metric can show."""

    name: str
    distribution: str = ""
    version: str = ""
    effects: bool = False
    state: str = "starting"
    """starting, running, retrying, broken (breaker open), stuck (a call never returned), stopped."""
    cursor: int = 0
    lag_events: int = 0
    lag_seconds: float = 0.0
    errors: int = 0
    timeouts: int = 0
    dead_events: int = 0
    dropped: int = 0
    """What the plugin itself dropped, by `context.count("dropped", n)`."""
    last_error: str = ""
    pid: int = 0
    """Of its process, where it has one of its own."""
    memory: int = 0
    """Resident bytes of that process."""


class LogView(Protocol):
    """The event log, read only."""

    def read(self, after: int, limit: int = 1000, types: Iterable[str] = ()) -> list[Event]:
        """Up to `limit` events with `seq > after`, in log order; of the named types only, where there are any.

        `"*"` among them stands for all events under names of one's own, as in `wants`.
        """
        ...

    def head(self) -> int:
        """`seq` of the newest event; 0 for an empty log."""
        ...


class Context(Protocol):
    """What a plugin may use, given to `open`. Its methods are for the thread that calls the plugin, `read` for any."""

    name: str
    logger: logging.Logger
    clock: Callable[[], int]
    """Now, in µs since the epoch. Never read another clock: tests and replay set this one."""

    @property
    def log(self) -> LogView: ...

    home: str
    environment: str

    @property
    def live(self) -> bool:
        """False while catching up on old events: whoever tells people of things does not tell of these."""
        ...

    @property
    def read_until(self) -> int:
        """Up to when the log has all that was written on this machine or had come here from others, in µs by the server's
        clock; 0 where nobody reads. What the plugin was handed may be behind the log, and others' word behind this: see
        `flowtell.store.reading.reporters` for who reports from elsewhere.
        """
        ...

    def read(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        """Rows of a SELECT over committed tables, one's own and the public ones, without locking anybody out."""
        ...

    def write(self, statement: Executable, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        """Add a statement on the plugin's own tables to the write set.

        `rows` are its bound parameters, one execution each. Nothing runs now: the runner applies the set in the
        transaction of the cursor after `handle` or `tick` returned, all or nothing; what a call that missed its deadline
        wrote is thrown away. Reads of this call do not see it.
        """
        ...

    def emit(self, event: Event, *, cause: Event | str, name: str = "") -> None:
        """Put an event into the log in the transaction of the cursor.

        Its id derives from plugin, cause (an event, or an id that is a UUIDv7), event type and `name`, so that redelivery
        and replay add nothing; give a `name` where one cause has several events of a type. `time` is filled from the
        clock, `caused_by` and `hops` from the cause.
        """
        ...

    def count(self, name: str, amount: int = 1) -> None:
        """Add to one of the plugin's own counters, shown with its status. `dropped` is the one that alarms know."""
        ...

    def mount(self, path: str, app: Any) -> None:
        """Serve an ASGI application under `path` where there is a server. Requests are already let in by the server.

        The server drives the lifespan of what is mounted. In `open` only.
        """
        ...

    def plugins(self) -> Sequence[PluginStatus]:
        """How all plugins of this server are doing."""
        ...


@runtime_checkable
class Plugin(Protocol):
    """Consumes events. All calls come from one thread, never two at once.

    Delivery is at least once, each writer's events in the order written; across writers any order may occur. What a
    projection writes through `context.write` moves with its cursor, so there the effect is exactly once; an effect sends
    the event's id as idempotency key. A call has `plugins.deadline_seconds`; one that takes longer is abandoned and a new
    plugin is made by the factory. `RetryLater` brings the same events again; any other exception counts, is logged once
    per kind, and after it a new plugin is made: state in memory is rebuilt in `open` from the plugin's own tables.
    """

    name: str
    wants: Sequence[str]
    effects: bool
    tables: MetaData | None
    api: int
    tick_seconds: float

    def open(self, context: Context) -> None: ...
    def handle(self, events: Sequence[Event]) -> None: ...
    def tick(self, now: int) -> None: ...
    def close(self, timeout: float) -> None: ...


class BasePlugin:
    """Empty defaults for everything but `handle`."""

    name: str = ""
    """Filled with the entry point's name."""
    wants: Sequence[str] = ()
    """Wire names of the event types to be handed over; all when empty."""
    effects: bool = False
    """True for what talks to the world: it runs in a server only, never in a reading command or for history."""
    tables: MetaData | None = None
    """The plugin's own tables, named with its name and an underscore in front; created before `open`."""
    api: int = API_VERSION
    tick_seconds: float = 1.0
    """Seconds between two calls of `tick`, about."""
    irreplaceable: str = ""
    """Why the tables of a projection cannot be made anew from the log by `flowtell replay`; empty where they can."""

    context: Context

    def open(self, context: Context) -> None:
        """Keep the context; read back from own tables what is held in memory."""
        self.context = context

    def handle(self, events: Sequence[Event]) -> None:
        """Take a batch, in log order. Events are shared and frozen."""
        raise NotImplementedError(f"{type(self).__name__}.handle")

    def tick(self, now: int) -> None:
        """Called about every `tick_seconds` with the time in µs, while caught up: a missed deadline is no event."""

    def close(self, timeout: float) -> None:
        """Let go of what is held, within `timeout` seconds."""


Factory = Callable[[Mapping[str, Any]], Plugin | None]
"""What an entry point of the group `flowtell.plugins` names. None says that the plugin is not configured, and so is off."""

CONFIDENTIAL: Final[dict[str, dict[str, Any]]] = {
    "flow_run.started": {"parameters": {}},
    "flow_run.resumed": {"answer": None},
    "artifact.created": {"data": None, "description": ""},
    "deployment.declared": {"parameters": {}, "automations": ()},
}
"""Fields with values that a user passed, and what stands there instead.

An effect sees the values only when its configuration says `values = true`.
"""


def without_values(events: Iterable[Event]) -> Iterator[Event]:
    """The same events without the values that users passed."""
    for event in events:
        hidden = CONFIDENTIAL.get(event.type)
        if isinstance(event, UserEvent):
            hidden = {"payload": {}, "extra": {}}
        yield msgspec.structs.replace(event, **hidden) if hidden else event


__all__ = [
    "API_VERSION",
    "CONFIDENTIAL",
    "MAX_HOPS",
    "BasePlugin",
    "Context",
    "Factory",
    "LogView",
    "Plugin",
    "PluginStatus",
    "RetryLater",
    "without_values",
]
