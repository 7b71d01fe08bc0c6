"""How a command says something that changes incidents: by an event in this process's journal, as everybody does."""

from __future__ import annotations

from flowtell import bus
from flowtell.errors import JournalUnwritable
from flowtell.events import Event


def say(event: Event) -> None:
    """Write the event.

    Raises:
        JournalUnwritable: the home takes no file, so nothing was said.
    """
    before = bus.dropped()
    bus.emit(event)
    if bus.dropped() != before:
        raise JournalUnwritable(bus.journal_path() or "the home's journal folder", "nothing was said")


__all__ = ["say"]
