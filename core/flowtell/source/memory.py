"""What the log remembers of a source: how far it was, whether it was up, and which of its runs are open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from flowtell.events import Event, SourceDown, SourceProgress
from flowtell.source import OpenRun
from flowtell.store.tables import events, runs, writers

if TYPE_CHECKING:
    from flowtell.store.store import Store

_LAST_WORDS: Final = ("source.up", "source.down")


def last_cursor(store: Store, source: str) -> tuple[str, int | None]:
    """The cursor that the source gave last, and up to when it was complete; empty and None where it never did."""
    event = _newest(store, source, ("source.progress",))
    return (event.cursor, event.complete_until) if isinstance(event, SourceProgress) else ("", None)


def last_state(store: Store, source: str) -> tuple[str, str, int]:
    """`up`, `down` or nothing, with the error and the moment of it, as the log has it."""
    event = _newest(store, source, _LAST_WORDS)
    if event is None:
        return "", "", 0
    if isinstance(event, SourceDown):
        return "down", event.error.message if event.error else "", event.time
    return "up", "", event.time


def _newest(store: Store, source: str, types: Sequence[str]) -> Event | None:
    """Looked for from the log's end: a running source says one of these every minute or so."""
    wanted = (
        select(events.c.seq)
        .join(writers, writers.c.id == events.c.writer)
        .where(events.c.type.in_(types), writers.c.source == source)
        .order_by(events.c.seq.desc())
        .limit(1)
    )
    for (seq,) in store.read(wanted):
        for event in store.log.read(seq - 1, 1):
            return event
    return None


def open_runs(read: Callable[[Any], Sequence[Any]], source: str) -> Sequence[OpenRun]:
    """Runs that this source told of and whose end is not in the log, whichever of its journals told of them."""
    mine = select(writers.c.id).where(writers.c.source == source)
    wanted = select(runs.c.id, runs.c.flow, runs.c.state, runs.c.external_id, runs.c.due, runs.c.started).where(
        runs.c.ended.is_(None), runs.c.writer.in_(mine)
    )
    return [OpenRun(**row._mapping) for row in read(wanted)]
