"""W3C trace context (level 2): which trace a command belongs to, and what its children are told."""

from __future__ import annotations

import re
from typing import NamedTuple

from flowtell.ids import span_id

VARIABLE = "TRACEPARENT"

_HEADER = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?")


class TraceContext(NamedTuple):
    trace: str
    flags: str

    def header_for_children(self, run: str) -> str:
        """`TRACEPARENT` for what the run starts: its span is their parent."""
        return f"00-{self.trace}-{span_id(run)}-{self.flags}"


def trace_context(header: str, run: str) -> TraceContext:
    """The trace that the caller has begun, else the run's own, which is sampled."""
    found = _HEADER.fullmatch(header)
    return TraceContext(found[1], found[2]) if found else TraceContext(run, "01")
