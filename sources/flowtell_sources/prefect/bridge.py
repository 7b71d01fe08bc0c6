"""The bridge: live by the websocket, complete by the REST API, then history, each where a restart goes on.

Its cursor says up to when messages were taken, up to when the REST API was read, and how far back history is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from flowtell.decoders import decoder
from flowtell.events import Event
from flowtell.source import BaseSource, OpenRun, SourceContext
from flowtell_sources.prefect.api import PrefectApi
from flowtell_sources.prefect.capacity import PARTS, Capacity
from flowtell_sources.prefect.directory import Directory
from flowtell_sources.prefect.documents import Message
from flowtell_sources.prefect.expected import Expected
from flowtell_sources.prefect.history import History, Place
from flowtell_sources.prefect.identity import moment
from flowtell_sources.prefect.links import Links
from flowtell_sources.prefect.log_reader import LogReader
from flowtell_sources.prefect.reconciliation import Reconciliation
from flowtell_sources.prefect.settings import Settings, read_settings
from flowtell_sources.prefect.socket import BACKFILL, MOST_HELD, EventSocket
from flowtell_sources.prefect.translation import Translator

OVERLAP: Final = 120_000_000
"""µs that messages are taken again after a restart: they come in the order in which they were received."""

REREAD: Final = 600_000_000
"""µs that ends are read again: a client that lost its server tells of them when it finds it again."""

_LISTEN_SECONDS: Final = 0.5
_SOON_SECONDS: Final = 30.0
"""Between two readings of those parts of what stands around that messages say have changed."""
_SETTLE_SECONDS: Final = 30.0
"""For which task runs of subflows wait to be read along with something else, before they are read for themselves."""
_PROGRESS_SECONDS: Final = 10.0
"""Between two questions to the server whether it still tells us all."""
_STORED_SECONDS: Final = 10.0
"""After which it has stored what it told of: task runs, assets and own events it keeps for up to five seconds before."""
_AGAIN_SECONDS: Final = 15.0
"""To the second reading, where messages may have been missed that were not stored yet at the first."""
_MANY: Final = MOST_HELD // 2
"""Messages at once, after which the server may have dropped some."""
_DAY: Final = 86_400_000_000
_HISTORY_REST: Final = 4.0
"""How many times as long as a page of history took the bridge rests before the next."""


class Cursor(Struct, frozen=True):
    """µs by their clock."""

    seen: int = 0
    """Messages up to here were taken."""
    read: int = 0
    """When the last whole reading of the REST API began."""
    complete: int = 0
    """What happened before is in."""
    history: Place | None = None


class PrefectBridge(BaseSource):
    """See `flowtell.source.Source`. One step listens for half a second and then does at most one other piece of work."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._api: PrefectApi | None = None
        self._socket: EventSocket | None = None

    def open(self, context: SourceContext) -> None:
        """Find the server, and listen before anything is read: what happens meanwhile is not missed.

        Raises:
            SourceUnavailable: it does not answer as a Prefect server does.
        """
        super().open(context)
        api = self._api = PrefectApi(self._settings, clock=context.clock, wait=context.wait)
        api.version()
        self._at = _read_cursor(context.cursor)
        since = max(self._at.seen - OVERLAP, api.now() - BACKFILL) if self._at.seen else api.now() - OVERLAP
        self._socket = EventSocket(self._settings, since)
        directory = Directory(api, Links(self._settings.api_url, self._settings.ui_url))
        self._translator = Translator(api, directory)
        self._capacity = Capacity(api, directory, context.clock)
        self._logs = LogReader(api, directory, since) if self._settings.logs else None
        self._work: Iterator[None] | None = None
        self._read_at = self._around_at = self._history_at = 0.0
        self._around_changed: set[str] = set()
        self._soon_at = 0.0
        self._settle_at: float | None = None
        self._progress_at = 0.0
        self._doubt_at: float | None = time.monotonic()
        self._expected = Expected()
        self._expected_at = 0.0
        self._removed: set[str] = set()
        context.up()

    def step(self) -> float:
        """Listen, then do what is due."""
        assert self._socket is not None
        busy = self._work is not None
        messages = self._socket.receive(0.02 if busy else _LISTEN_SECONDS)
        if messages:
            self._take(messages)
        self._follow(self._socket)
        self._work_on()
        return 0.0

    def close(self, timeout: float) -> None:
        """Leave the server."""
        if self._socket is not None:
            self._socket.close()
        if self._api is not None:
            self._api.close()

    @property
    def _there(self) -> PrefectApi:
        assert self._api is not None, "the bridge is not open"
        return self._api

    # --- live -----------------------------------------------------------------------------------------------------

    def _take(self, messages: list[Message]) -> None:
        events = self._translator.of_messages(messages)
        seen = max([self._at.seen, *(min(moment(each.occurred) or 0, self._there.now()) for each in messages)])
        self._emit(events, replace(self._at, seen=seen))
        if len(messages) >= _MANY:
            self._doubt()
        self._around_changed |= self._capacity.note(messages)
        self._expect_to_settle()
        if self._logs is not None:
            self._logs.expect()

    def _doubt(self) -> None:
        """So many at once may not be all: what the server dropped is read, and until then the socket proves nothing."""
        self._doubt_at = time.monotonic()
        self._read_at = min(self._read_at, self._doubt_at + _AGAIN_SECONDS)

    def _follow(self, socket: EventSocket) -> None:
        """Say up to when all is in, as far as the server told us: moments ago, while it answers and nothing was missed."""
        told = min(socket.told_until, self._translator.owes_since or socket.told_until)
        if self._doubt_at is None and told > self._at.complete:
            self._emit([], replace(self._at, seen=max(self._at.seen, told), complete=told))
        if time.monotonic() >= self._progress_at:
            self._progress_at = time.monotonic() + _PROGRESS_SECONDS
            socket.probe(self._there.now())

    def _emit(self, events: list[Event], at: Cursor) -> None:
        further = at.complete if at.complete > self._at.complete else None
        if events or at != self._at:
            self.context.emit(events, cursor=msgspec.json.encode(at).decode(), complete_until=further)
            self._at = at
            self._expected.note(events)

    # --- everything else, one piece at a time ---------------------------------------------------------------------

    def _work_on(self) -> None:
        if self._work is None:
            self._work = self._due()
        if self._work is not None and next(self._work, self) is self:
            self._work = None

    def _due(self) -> Iterator[None] | None:
        """The piece of work whose time has come: completeness before surroundings before logs before history."""
        now = time.monotonic()
        if now >= self._read_at:
            settles = self._doubt_at is None or now - self._doubt_at >= _STORED_SECONDS
            self._read_at = now + min(self._settings.reconcile_seconds, math.inf if settles else _AGAIN_SECONDS)
            if self._logs is not None:
                self._logs.expect()
            return self._reconcile()
        if now >= self._expected_at and (overdue := self._expected.overdue(self._there.now())):
            self._expected_at = now + _SOON_SECONDS
            return self._ask_for(overdue)
        if self._settle_at is not None and now >= self._settle_at:
            return self._settle()
        if now >= self._around_at:
            self._around_at = now + self._settings.reconcile_seconds
            return self._look_around(set(PARTS), now)
        if self._around_changed and now >= self._soon_at:
            return self._look_around(self._around_changed, now)
        if self._logs is not None and now >= self._logs.due:
            return self._read_logs()
        if now >= self._history_at and not (self._at.history and self._at.history.done):
            return self._read_history()
        return None

    def _reconcile(self) -> Iterator[None]:
        began, at = self._there.now(), time.monotonic()
        since = max(self._at.read - REREAD, 0) if self._at.read else began - 2 * OVERLAP
        known = [run for run in self.context.open_runs() if run.id not in self._removed]
        reading = Reconciliation(self._there, self._translator, since=since, open_runs=known)
        for events in reading.pages():
            self._emit(events, self._at)
            yield
        self._removed |= reading.gone
        if self._doubt_at is not None and self._doubt_at <= at - _STORED_SECONDS:
            self._doubt_at = None
        self._read_at = max(self._read_at, time.monotonic() + (time.monotonic() - at))  # on a slow server others get a turn
        stored = max(self._at.complete, began - int(_STORED_SECONDS * 1e6))
        self._emit([], replace(self._at, read=began, seen=max(self._at.seen, began - OVERLAP), complete=stored))

    def _ask_for(self, runs: Sequence[OpenRun]) -> Iterator[None]:
        """Of runs that a paused deployment no longer has, or that somebody deleted, no message tells."""
        reading = Reconciliation(self._there, self._translator, since=0, open_runs=runs)
        for events in reading.missing():
            self._emit(events, self._at)
            yield
        self._removed |= reading.gone
        if reading.gone:
            self._around_changed.add("declarations")

    def _expect_to_settle(self) -> None:
        """Some time after the first that is owed."""
        if self._translator.owes_since is None:
            self._settle_at = None
        elif self._settle_at is None:
            self._settle_at = time.monotonic() + min(_SETTLE_SECONDS, self._settings.reconcile_seconds)

    def _settle(self) -> Iterator[None]:
        self._emit(self._translator.settle(), self._at)
        self._settle_at = None
        yield

    def _look_around(self, parts: set[str], now: float) -> Iterator[None]:
        self._soon_at = now + min(_SOON_SECONDS, self._settings.reconcile_seconds)
        self._around_changed = self._around_changed - parts
        for events in self._capacity.pages(parts, self.context.open_runs):
            self._emit(events, self._at)
            yield

    def _read_logs(self) -> Iterator[None]:
        assert self._logs is not None
        for events in self._logs.pages():
            self._emit(events, self._at)
            yield

    def _read_history(self) -> Iterator[None]:
        now = self._there.now()
        place = self._at.history or Place(before=now, since=now - int(self._settings.history_days * _DAY))
        began = time.monotonic()
        history = History(self._there, self._translator, place)
        for events in history.pages():
            self._emit(events, replace(self._at, history=history.place))
            yield
        self._emit([], replace(self._at, history=history.place))
        self._history_at = time.monotonic() + _HISTORY_REST * (time.monotonic() - began)


def _read_cursor(text: str) -> Cursor:
    """The cursor; a new one where there is none, or one of a later version that cannot be read."""
    try:
        return decoder(Cursor)(text) if text else Cursor()
    except msgspec.MsgspecError:
        return Cursor()


def create(table: Mapping[str, Any]) -> PrefectBridge:
    """The factory that the entry point `prefect` names."""
    return PrefectBridge(read_settings(table))
