"""The run behind a number: the trace that a counter or a bucket was last raised by."""

from __future__ import annotations

from typing import Final

from flowtell.events import Event
from flowtell.ids import is_id, span_id

Exemplar = tuple[str, str, float, int]
"""Trace id, span id, what was added, and when, in µs."""

Exemplars = dict[str, Exemplar]
"""By state, or by `le`, `delay` and the number of a bucket."""

BAD_ENDS: Final = frozenset({"failed", "crashed", "timed_out"})
NONE_YET: Final[Exemplar] = ("", "", 0.0, 0)


def exemplar_of(event: Event, trace: str, value: float = 1.0) -> Exemplar | None:
    """The place of the event's run in `trace`, or None where its ids are none that a trace could have.

    Without a trace it is the root run's, whose trace id is its run id.
    """
    run, trace = event.task_run or event.run, trace or event.root_run or event.run
    there = is_id(trace) and is_id(run) and trace.strip("0")  # W3C: an id of zeros alone is none
    return (trace, span_id(run), value, event.time) if there else None


def keep(exemplars: Exemplars, key: str, exemplar: Exemplar | None) -> None:
    """Keep the newest of each key, whatever the order they come in."""
    if exemplar is not None and exemplar[3] >= exemplars.get(key, NONE_YET)[3]:
        exemplars[key] = exemplar


def exemplar_text(exemplar: Exemplar | None) -> str:
    """What follows a sample's value in OpenMetrics; at most 128 characters of labels are allowed, these are 63."""
    if exemplar is None:
        return ""
    trace, span, value, time = exemplar
    return f' # {{trace_id="{trace}",span_id="{span}"}} {value!r} {time / 1e6!r}'
