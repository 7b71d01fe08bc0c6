"""A span as plain data, before it is put into OTLP's messages."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

INTERNAL: Final = 1
SERVER: Final = 2
UNSET: Final = 0
ERROR: Final = 2
"""Kinds and status codes as OTLP numbers them (opentelemetry-proto, trace.proto)."""

MAX_LINKS: Final = 128
"""Of one span; those beyond are counted."""


class Link(Struct, frozen=True):
    """Another span that this one has to do with."""

    trace: str
    span: str
    attributes: dict[str, Any] = {}


class SpanEvent(Struct, frozen=True):
    """Something that happened at a moment, in µs."""

    name: str
    time: int
    attributes: dict[str, Any]


class Span(Struct, kw_only=True):
    """One span. Ids are hex digits, moments µs since the epoch; `end` is never before `start`."""

    trace: str
    id: str
    parent: str = ""
    name: str
    kind: int = INTERNAL
    start: int
    end: int
    attributes: dict[str, Any]
    status: int = UNSET
    message: str = ""
    """With an error status alone."""
    links: list[Link] = []
    dropped_links: int = 0
    events: list[SpanEvent] = []
    environment: str = ""
    remote_parent: bool = False
    """Whether the parent is another process's, as with a caller that is no run of flowtell's."""
