"""Why, in the few lines that a message has for it: the chain of `flowtell.why` about the run or flow of an incident."""

from __future__ import annotations

import logging
from typing import Final

from flowtell.errors import FlowtellError
from flowtell.store.reading import Read
from flowtell.why import Why, why, why_flow, why_run
from flowtell_alerts.message import MAX_LISTED, MAX_TEXT, IncidentEvent, clean

_LINES: Final = 4
"""Links of the chain; the page has the others."""
_NOTHING_WRONG: Final = frozenset({"completed", "asset_made"})

logger = logging.getLogger("flowtell.plugin.notifications")


def reasons(read: Read, event: IncidentEvent, now: int) -> list[str]:
    """What the log tells of the cause at the moment `now`, the answer first; empty where it tells of none.

    Never an error: a message goes without it.
    """
    try:
        found = _asked(read, event, now)
    except FlowtellError as error:  # nothing is known of it, or no more
        logger.debug("no cause is told of incident %s: %s", event.incident, error)
        return []
    except Exception as error:  # noqa: BLE001  # a slip there must not keep anybody from hearing that something is wrong
        logger.warning("why could not be asked about incident %s: %s: %s", event.incident, type(error).__name__, error)
        return []
    return _lines(found) if found is not None else []


def _asked(read: Read, event: IncidentEvent, now: int) -> Why | None:
    if event.runs:
        return why_run(read, max(event.runs[-MAX_LISTED:]), now)  # ids sort by time: the newest
    if event.flow:
        return why_flow(
            read, event.flow, now, deployment=event.deployment or "", environment=event.environment, due=event.due
        )
    return why(read, event.subject.name, now) if event.subject is not None and event.subject.kind == "asset" else None


def _lines(found: Why) -> list[str]:
    if not found.chain:
        return [clean(f"unknown: {each}", MAX_TEXT) for each in found.missing[:1]]
    return [clean(fact.text, MAX_TEXT) for fact in found.chain[:_LINES] if fact.cause not in _NOTHING_WRONG]
