"""What a run asks now, as the log tells."""

from __future__ import annotations

from typing import Any, NamedTuple

from flowtell.errors import RunNotPaused
from flowtell.events import FlowRunPaused, FlowRunResumed
from flowtell.store.reading import Read, Run, list_told

_TYPES = ("flow_run.paused", "flow_run.resumed")


class Asked(NamedTuple):
    """One open question."""

    key: str
    schema: dict[str, Any]
    until: int | None


def open_questions(read: Read, run: str) -> list[Asked]:
    """In the order in which they were asked; several where the run waits at several places at once."""
    open_ones: dict[str, Asked] = {}
    for told in list_told(read, run, types=_TYPES):
        event = told.event
        if isinstance(event, FlowRunPaused):
            open_ones[event.key] = Asked(event.key, event.schema, event.until)
        elif isinstance(event, FlowRunResumed):
            open_ones.pop(event.key, None)
    return list(open_ones.values())


def question(read: Read, run: Run, key: str | None = None) -> Asked:
    """The question that an answer is for: the one of that key, or the only one.

    Raises:
        RunNotPaused: there is none, or several and no key was given.
    """
    if run.ended is not None:
        raise RunNotPaused(run.id, f"it has ended already, as {run.state}")
    open_ones = [] if run.state != "paused" else open_questions(read, run.id)
    if not open_ones:
        raise RunNotPaused(run.id, f"it waits for no answer; it is {run.state}")
    wanted = [one for one in open_ones if key is None or one.key == key]
    keys = ", ".join(repr(one.key) for one in open_ones)
    if not wanted:
        raise RunNotPaused(run.id, f"it does not wait for '{key}', but for {keys}")
    if len(wanted) > 1:
        raise RunNotPaused(run.id, f"it waits for several answers, {keys}: name one as key")
    return wanted[0]
