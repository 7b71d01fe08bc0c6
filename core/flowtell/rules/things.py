"""Rules about what runs leave behind: an asset stays fresh, an event comes."""

from __future__ import annotations

from typing import Any, Final

from flowtell.events import RESERVED, TYPES, RuleData
from flowtell.rules.statement import due_line, span, state

_SINCE: Final = ("event", "start")


def stale(
    asset: str = "",
    *,
    within: str | float | None = None,
    by: str = "",
    tz: str = "UTC",
    cached: bool = False,
    severity: str = "warning",
    labels: dict[str, str] | None = None,
    runbook: str = "",
) -> RuleData:
    """An asset was made anew within a span, or by a time of day.

    Reference: the moment of its newest materialization that moved it forward; where it was never made, the moment at which
    it was first heard of. A back-fill moves nothing forward, nor does an older partition than the newest that is known.
    It resolves when the asset is made, or removed.

    Args:
        asset: its URI, or a pattern such as `"s3://lake/orders/*"`; default: whatever the flow makes.
        within: it is never older than this, such as `"26h"`.
        by: instead: it was made since the time before by each of these: a time of day such as `"07:00"`, or a cron line.
        tz: the zone of `by`.
        cached: whether a result that came from a cache counts as made. It does not by default: the data is as old as it was.

    Raises:
        ValueError: neither `within` nor `by`, or both.
    """
    arguments: dict[str, Any] = {"asset": asset} if asset else {}
    arguments |= _when(within, by, tz)
    if cached:
        arguments["cached"] = True
    return state("stale", arguments, severity, labels, runbook)


def absent(
    event: str,
    *,
    within: str | float | None = None,
    by: str = "",
    tz: str = "UTC",
    since: str = "event",
    severity: str = "warning",
    labels: dict[str, str] | None = None,
    runbook: str = "",
) -> RuleData:
    """An event under a name of one's own, as `emit_event` writes it, comes again in time.

    Reference: the event before, or where there was none yet, the moment at which the rule was first stated; with
    `since="start"` the start of each run. It resolves when the event comes.

    Args:
        event: its dotted name, such as `"shop.orders.exported"`.
        within: it comes again within this span, such as `"1h"`.
        by: instead: it came since the time before by each of these: a time of day such as `"07:00"`, or a cron line.
        tz: the zone of `by`.
        since: `"event"`; or `"start"`: each run of the flow writes it within the span of its start, while it runs.

    Raises:
        ValueError: a name that is none of one's own, neither `within` nor `by`, or both.
    """
    event = str(event)
    if "." not in event.strip("."):
        raise ValueError(f"{event!r} is no name of an event: it has a dot, as in 'shop.order.refunded'")
    if event in TYPES or event.startswith(RESERVED):
        raise ValueError(f"{event!r} is one of flowtell's own events; absent is about those under names of one's own")
    if since not in _SINCE:
        raise ValueError(f"since: {since!r} is none of {', '.join(_SINCE)}")
    if since == "start" and within is None:
        raise ValueError("since='start' counts a span from the start of a run: write within=, and no by=")
    arguments = {"event": event, **_when(within, by, tz)}
    if since != "event":
        arguments["since"] = since
    return state("absent", arguments, severity, labels, runbook)


def _when(within: str | float | None, by: str, tz: str) -> dict[str, Any]:
    if (within is None) == (not by):
        raise ValueError("say in what time: within= a span such as '26h', or by= a time such as '07:00'; one of the two")
    if within is not None:
        return {"within": span("within", within, least=1.0)}
    return {"by": due_line("by", by, tz), "tz": tz}
