"""Lines of a journal told apart: events, control lines, and what is neither."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from flowtell.errors import MalformedEvent
from flowtell.events import Event, decode, known_decoder
from flowtell.ids import is_id
from flowtell.journal import Dropped, decode_control
from flowtell.server.rejected import Rejected, reject
from flowtell.store.log import Line


class Parsed(NamedTuple):
    """A batch of lines, each with its byte offset."""

    events: list[Line]
    rejected: list[Rejected]
    dropped: int
    """Events that the writer says it could not write."""


def parse(lines: Iterable[tuple[int, bytes]]) -> Parsed:
    """Decode every line; nothing in them raises."""
    parsed = Parsed([], [], 0)
    events, decode_known = parsed.events, known_decoder().decode
    for n, whole in lines:
        line = whole.strip()
        try:
            event = decode_known(line)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            parsed = _take_other(parsed, n, line)
            continue
        if is_id(event.id):  # `_keep`, without the call that it costs each event
            events.append(Line(event, line, n))
        else:
            _keep(parsed, event, line, n)
    return parsed


def _take_other(parsed: Parsed, n: int, line: bytes) -> Parsed:
    """A control line, the newline after a torn write, an event of a type unknown here, or garbage."""
    if line.startswith(b'{"type":"journal.'):
        return parsed._replace(dropped=parsed.dropped + _told_as_dropped(line))
    if line:
        try:
            event = decode(line)
        except MalformedEvent as error:
            parsed.rejected.append(reject(n, line, error.problem))
        else:
            _keep(parsed, event, line, n)
    return parsed


def _keep(parsed: Parsed, event: Event, line: bytes, n: int) -> None:
    if is_id(event.id):
        parsed.events.append(Line(event, line, n))
    else:
        parsed.rejected.append(reject(n, line, f"id {event.id!r} is not 32 hex digits"))


def _told_as_dropped(line: bytes) -> int:
    control = decode_control(line)
    return control.count if isinstance(control, Dropped) else 0
