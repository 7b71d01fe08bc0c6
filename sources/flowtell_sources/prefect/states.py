"""Prefect's states in our words."""

from __future__ import annotations

import re
from typing import Final

from flowtell.events import Failure
from flowtell_sources.prefect.documents import State

ENDED: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})
"""Types of Prefect's terminal states."""

OPEN: Final = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING")

_BY_TYPE: Final = {"COMPLETED": "completed", "FAILED": "failed", "CANCELLED": "cancelled", "CRASHED": "crashed"}
_BY_NAME: Final = {("COMPLETED", "Cached"): "cached", ("FAILED", "TimedOut"): "timed_out"}
_EXCEPTION: Final = re.compile(
    r"(?:Flow|Task) run encountered an exception:? (?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?", re.DOTALL
)
_MOST_TEXT: Final = 10_000


def end_state(state: State) -> str:
    """The state in which a run ended, in our words; empty for a state that is no end."""
    return _BY_NAME.get((state.type, state.title)) or _BY_TYPE.get(state.type, "")


def failure(state: State) -> Failure | None:
    """What went wrong, as far as the state's message tells; None for a state in which nothing did."""
    message = (state.message or "")[:_MOST_TEXT]
    if end_state(state) in ("", "completed", "cached") and state.title != "AwaitingRetry":
        return None
    found = _EXCEPTION.match(message)
    if found:
        return Failure(type=found["type"], message=found["message"] or "")
    return Failure(type=state.title, message=message)
