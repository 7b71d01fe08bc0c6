"""What sources have said of themselves since this server reads its log."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from msgspec import Struct

from flowtell.events import Event, SourceDown, SourceProgress, SourceUp


class SourceState(Struct):
    """The last words of a source. Moments in µs."""

    name: str
    up: bool | None = None
    """None where it has only said how far it is."""
    error: str = ""
    heard: int = 0
    complete_until: int | None = None


class Sources:
    """Written by the plugin's thread, read by those that fill pages."""

    WANTS = ("source.up", "source.down", "source.progress")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, SourceState] = {}

    def take(self, events: Iterable[Event]) -> None:
        with self._lock:
            for event in events:
                if isinstance(event, SourceUp | SourceDown | SourceProgress) and event.source:
                    self._note(self._known.setdefault(event.source, SourceState(event.source)), event)

    def _note(self, state: SourceState, event: SourceUp | SourceDown | SourceProgress) -> None:
        state.heard = max(state.heard, event.time)
        if event.complete_until is not None:
            state.complete_until = event.complete_until
        if not isinstance(event, SourceProgress):
            state.up = isinstance(event, SourceUp)
            state.error = event.error.message[:500] if event.error else ""

    def all(self) -> Sequence[SourceState]:
        with self._lock:
            return [
                SourceState(**{name: getattr(each, name) for name in each.__struct_fields__})
                for each in self._known.values()
            ]
