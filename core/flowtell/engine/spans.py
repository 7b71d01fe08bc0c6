"""The span of a run, made current in OpenTelemetry, so that the spans of a user's own nest under the right run.

Nothing is recorded here: the run's own span is made of its events, so that a killed run has one too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowtell.engine.context import current
from flowtell.ids import span_id
from flowtell.trace_context import VARIABLE, TraceContext, active_span

if TYPE_CHECKING:
    from flowtell.engine.runs import Run

_ASKS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
"""Variables that say that this process means to trace, whether or not it has loaded OpenTelemetry yet."""


def load_if_asked() -> None:
    """Load OpenTelemetry's interface where the environment asks for traces and it is installed."""
    if "opentelemetry.trace" in sys.modules or not any(map(os.environ.get, _ASKS)):
        return
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    try:
        import opentelemetry.trace  # noqa: F401  # what it costs is what was asked for
    except ImportError:
        pass


def make_current(run: Run, opentelemetry: Any) -> Any:
    """Let the spans of a user's own that begin now be children of the run's; the context as it was before.

    A task that no flow surrounds leaves a span that is active alone.
    """
    from opentelemetry import context

    before = context.get_current()
    scope = run.scope
    trace = scope.trace or run.id
    if not scope.trace and active_span() is not None:
        return before
    flags = opentelemetry.TraceFlags(1 if scope.sampled else 0)
    ours = opentelemetry.SpanContext(int(trace, 16), int(span_id(run.id), 16), True, flags)  # of another process
    context.attach(opentelemetry.set_span_in_context(opentelemetry.NonRecordingSpan(ours), before))
    return before


def make_current_again(before: Any) -> None:
    """Back to what `make_current` found. By value and not by token: a token refuses other contexts than its own."""
    from opentelemetry import context

    context.attach(before)


def trace_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """A copy of the environment for a child process, whose spans and runs are to nest under the run around the caller.

    `TRACEPARENT` in it names the span that is active, else the run's. Without either it is a plain copy.

    Args:
        environment: what to copy; default: this process's.
    """
    copy = dict(os.environ if environment is None else environment)
    if header := traceparent():
        copy[VARIABLE] = header
    return copy


def traceparent() -> str:
    """The W3C header of the span that is active, else of the run around the caller; empty without either."""
    if (active := active_span()) is not None:
        return active.header
    run = current.get()
    return "" if run is None else TraceContext(run.scope.trace or run.id, span_id(run.id), run.scope.sampled).header
