"""Lines of a journal told apart: events, control lines, and what is neither."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from flowtell.errors import MalformedEvent
from flowtell.events import decode
from flowtell.ids import is_id
from flowtell.journal import Dropped, decode_control
from flowtell.store.log import Line

KEPT_BYTES: Final = 2_000
"""How much of a line that is no event is kept for whoever looks for the cause."""


class Rejected(NamedTuple):
    """A line that is no event."""

    n: int
    problem: str
    line: bytes


class Parsed(NamedTuple):
    """A batch of lines, each with its byte offset."""

    events: list[Line]
    rejected: list[Rejected]
    dropped: int
    """Events that the writer says it could not write."""


def parse(lines: Iterable[tuple[int, bytes]]) -> Parsed:
    """Decode every line; nothing in them raises."""
    events: list[Line] = []
    rejected: list[Rejected] = []
    dropped = 0
    for n, whole in lines:
        line = whole.strip()
        if not line:  # the newline after a torn write
            continue
        if line.startswith(b'{"type":"journal.'):
            dropped += _told_as_dropped(line)
            continue
        try:
            event = decode(line)
        except MalformedEvent as error:
            rejected.append(reject(n, line, error.problem))
            continue
        if is_id(event.id):
            events.append(Line(event, line, n))
        else:
            rejected.append(reject(n, line, f"id {event.id!r} is not 32 hex digits"))
    return Parsed(events, rejected, dropped)


def reject(n: int, line: bytes, problem: str) -> Rejected:
    """The line cut to what is kept, with what is wrong with it."""
    return Rejected(n, problem[:500], line[:KEPT_BYTES])


def _told_as_dropped(line: bytes) -> int:
    control = decode_control(line)
    return control.count if isinstance(control, Dropped) else 0
