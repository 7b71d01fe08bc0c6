"""The trace that a called flow joins: one that its caller has begun, else its own, whose id is the root run's."""

from __future__ import annotations

import os
import sys
from typing import Any

from flowtell.ids import is_id


def trace_of_caller() -> str:
    """The active OpenTelemetry span's trace, else that of `TRACEPARENT` (W3C trace context level 1), else nothing."""
    return _active_span() or _traceparent(os.environ.get("TRACEPARENT", ""))


def _active_span() -> str:
    opentelemetry: Any = sys.modules.get("opentelemetry.trace")  # a process that has not loaded it has no span
    if opentelemetry is None:
        return ""
    context = opentelemetry.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def _traceparent(header: str) -> str:
    version, _, rest = header.partition("-")
    trace = rest.partition("-")[0]
    valid = len(version) == 2 and version != "ff" and is_id(trace) and trace.strip("0")
    return trace if valid else ""
