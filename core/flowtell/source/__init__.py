"""The source contract: how anything feeds events from elsewhere, built-in or not.

An entry point of the group `flowtell.sources` names a kind of source and a factory, which takes the keys of one
`[source.NAME]` table but `kind` and returns a source. A server runs each on a thread of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable

import msgspec

from flowtell.events import Event

API_VERSION: Final = 1
"""Raised when a change breaks sources; a source states the version it was written for in `api`."""


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one source is doing, as numbers that a page or a command can show."""

    name: str
    kind: str = ""
    distribution: str = ""
    version: str = ""
    state: str = "starting"
    """starting, up, down (tried again by itself), stuck (a step never returned), stopped, refused."""
    events: int = 0
    """Written by this process, progress and the like left out."""
    errors: int = 0
    complete_until: int | None = None
    """Up to when, by the source's clock in µs, everything is known to be in."""
    lag_seconds: float | None = None
    """Age of `complete_until`; None where nothing is known to be complete."""
    last_error: str = ""


class OpenRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of this source that the log holds and whose end it does not."""

    id: str
    flow: str
    state: str
    external_id: str | None = None
    due: int | None = None
    started: int | None = None


class SourceContext(Protocol):
    """What a source may use, given to `open`. For the thread that calls the source."""

    name: str
    """Of its table in the configuration; its events carry it as `source`."""
    logger: logging.Logger
    clock: Callable[[], int]
    """Now, in µs since the epoch. Never read another clock: tests set this one."""
    home: str
    environment: str

    @property
    def cursor(self) -> str:
        """What the last `emit` that gave one said, also before a restart; empty the first time. Text of the source's own."""
        ...

    @property
    def stopping(self) -> bool:
        """Whether the source is to return from what it does."""
        ...

    def wait(self, seconds: float) -> bool:
        """Sleep, but not through a stop. True when the source is to return."""
        ...

    def emit(self, events: Iterable[Event], *, cursor: str = "", complete_until: int | None = None) -> None:
        """Write events into the source's own journal, and how far it is with them, in one write.

        Each event carries an id that is the same whenever and however the source hears of that fact: derive it
        (`flowtell.ids.derived_id`) from the fact's own time and its id over there. Then what is read twice is one.

        Args:
            events: in the order in which they happened.
            cursor: where a new source of this name is to go on when all that is written.
            complete_until: up to when, in µs by the other side's clock, nothing is missing.

        Raises:
            JournalUnwritable: not all of it was taken; none of it counts as written. Let it out: the source is closed,
                and a new one goes on from the cursor.
            ValueError: an event without an id.
        """
        ...

    def up(self) -> None:
        """The other side answers as it should. Said once for each time that it was down."""
        ...

    def open_runs(self) -> Sequence[OpenRun]:
        """Runs of this source that are open in the log, which may be some moments behind what was emitted."""
        ...


@runtime_checkable
class Source(Protocol):
    """Feeds events. All calls come from one thread, never two at once.

    Nothing here needs to be fast for others' sake: no flow and no plugin waits for a source. What a source raises closes
    it; after a pause that grows to a minute the factory makes a new one, which goes on from `context.cursor`.
    `SourceUnavailable` is the expected trouble, and may name the pause; anything else is logged with its traceback, once
    per kind. Both say `source.down`.
    """

    name: str
    api: int

    def open(self, context: SourceContext) -> None: ...
    def step(self) -> float: ...
    def close(self, timeout: float) -> None: ...


class BaseSource:
    """Empty defaults for everything but `step`."""

    name: str = ""
    """Filled with the name of its table."""
    api: int = API_VERSION

    context: SourceContext

    def open(self, context: SourceContext) -> None:
        """Keep the context. Connect here or in the first step."""
        self.context = context

    def step(self) -> float:
        """Do one bounded piece of work, a page or what came within a second, and return the seconds to wait for more."""
        raise NotImplementedError(f"{type(self).__name__}.step")

    def close(self, timeout: float) -> None:
        """Let go of what is held, within `timeout` seconds. Also called after a failure, and without `open`."""


Factory = Callable[[Mapping[str, Any]], Source]
"""What an entry point of the group `flowtell.sources` names. It checks the keys and connects to nothing."""

__all__ = [
    "API_VERSION",
    "BaseSource",
    "Factory",
    "OpenRun",
    "Source",
    "SourceContext",
    "SourceStatus",
]
