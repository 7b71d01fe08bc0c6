"""One event on its way into the log."""

from __future__ import annotations

from msgspec import Struct

from flowtell.events import Event


class Line(Struct, frozen=True, gc=False):
    """`body` is the event's line as written, `n` its place at the writer."""

    event: Event
    body: bytes
    n: int
