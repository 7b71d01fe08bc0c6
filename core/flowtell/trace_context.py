"""W3C trace context: which trace a called flow or command joins, and whether its spans are kept.

A caller's trace is joined: that of the active OpenTelemetry span, else that of `TRACEPARENT`. Any other root run begins
one, whose id is its own. Whether a trace is kept is decided once, at its root, and holds for all that is in it.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any, Final, NamedTuple

VARIABLE: Final = "TRACEPARENT"
"""Where a process finds its parent's span (OpenTelemetry specification, environment variables as carriers)."""

_HEADER = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
"""W3C trace context, level 2. A version that is not known may say more behind the flags."""

_RANDOM_BITS = 56
"""Of a trace id, its last: what W3C level 2 promises to be random, and a UUIDv7 keeps so."""


class TraceContext(NamedTuple):
    """A span, as another process or library names it."""

    trace: str
    span: str
    sampled: bool

    @property
    def header(self) -> str:
        """As `traceparent` says it."""
        return f"00-{self.trace}-{self.span}-{int(self.sampled):02x}"


def caller_context() -> TraceContext | None:
    """The active OpenTelemetry span, else the one that `TRACEPARENT` names."""
    return active_span() or parsed(os.environ.get(VARIABLE, ""))


def active_span() -> TraceContext | None:
    """The active OpenTelemetry span; a process that has not loaded OpenTelemetry has none."""
    opentelemetry: Any = sys.modules.get("opentelemetry.trace")
    if opentelemetry is None:
        return None
    found = opentelemetry.get_current_span().get_span_context()
    if not found.is_valid:
        return None
    return TraceContext(f"{found.trace_id:032x}", f"{found.span_id:016x}", bool(found.trace_flags & 1))


def parsed(header: str) -> TraceContext | None:
    """What a `traceparent` header says; None for what is no such header."""
    found = _HEADER.fullmatch(header)
    return TraceContext(found[1], found[2], bool(int(found[3], 16) & 1)) if found else None


def is_kept(trace: str) -> bool:
    """Whether a trace that begins here is kept, by `OTEL_TRACES_SAMPLER`; all are where it says nothing."""
    sampler = os.environ.get("OTEL_TRACES_SAMPLER", "").removeprefix("parentbased_")
    if sampler == "always_off":
        return False
    return sampler != "traceidratio" or within(trace, _ratio(os.environ.get("OTEL_TRACES_SAMPLER_ARG", "")))


def within(trace: str, ratio: float) -> bool:
    """Whether a trace is of the share `ratio` of all, by the last 56 bits of its id: the same answer everywhere.

    OpenTelemetry's own sampler looks at the last 64, where a UUID has its variant: at 0.5 it would keep nothing.
    """
    return int(trace[-14:], 16) < ratio * (1 << _RANDOM_BITS)


def _ratio(argument: str) -> float:
    """A share from 0 to 1; all where it is none (OpenTelemetry specification, general SDK configuration)."""
    try:
        ratio = float(argument)
    except ValueError:
        return 1.0
    return ratio if 0.0 <= ratio <= 1.0 else 1.0
