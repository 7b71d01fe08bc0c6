"""Collects what the code under test emits, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar, overload

from flowtell import bus
from flowtell.events import Event

E = TypeVar("E", bound=Event)


class Recorder:
    """Every event emitted while it records, in order of arrival. `append` on a list is atomic, so threads may emit."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @overload
    def of(self, kind: type[E]) -> list[E]: ...
    @overload
    def of(self, kind: str) -> list[Event]: ...
    def of(self, kind: type[E] | str) -> list[E] | list[Event]:
        """The recorded events of one class, or of one wire name."""
        if isinstance(kind, str):
            return [event for event in self.events if event.type == kind]
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]


@contextmanager
def recorder() -> Iterator[Recorder]:
    """Record the events of this process inside the block. The journal is written as ever."""
    recording = Recorder()
    sink = recording.events.append
    bus.attach(sink)
    try:
        yield recording
    finally:
        bus.detach(sink)
