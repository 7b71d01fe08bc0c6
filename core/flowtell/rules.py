"""Rules as plain data: what must hold of a flow, stated where the flow is, interpreted by flowtell-alerts.

A rule travels inside the `flow.declared` event, so a flow's environment needs no alerting library.
"""

from __future__ import annotations

import re
from typing import Any

from flowtell.events import RuleData

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")


def seconds(span: str | float) -> float:
    """Seconds of a span such as `"90s"`, `"30m"`, `"1h 15m"`, or of a number of seconds.

    Raises:
        ValueError: negative, or not of that form.
    """
    if isinstance(span, int | float) and not isinstance(span, bool):
        value = float(span)
    else:
        pieces = _PIECE.findall(str(span))
        if not pieces or _PIECE.sub("", str(span)).strip():
            raise ValueError(f"{span!r} is no span of time; write '90s', '30m' or '1h 15m', or a number of seconds")
        value = sum(float(number) * _UNITS[unit] for number, unit in pieces)
    if value < 0:
        raise ValueError(f"{span!r} is negative")
    return value


def too_long(
    bound: str | float, *, severity: str = "warning", labels: dict[str, str] | None = None, runbook: str = ""
) -> RuleData:
    """A run of the flow ends within `bound` of its start.

    Counted from the start of the run by its writer's clock. The incident opens two seconds after the bound, as the end
    may be on its way, lists every run of the flow that is past it, and resolves when none is, however they ended: how a
    run ended is the business of `failed`. A run that was too long and ended before anybody looked is kept as opened and
    resolved, unless that was over an hour ago; of what is over nobody is told.
    """
    return _rule("too_long", {"bound": seconds(bound)}, severity, labels, runbook)


def failed(
    *, consecutive: int = 1, severity: str = "error", labels: dict[str, str] | None = None, runbook: str = ""
) -> RuleData:
    """Runs of the flow end well: `failed`, `timed_out` and `crashed` open an incident, `completed` and `cached` resolve it.

    Ends count in the order of their time. An incident grows with each further bad end. One that was over before anybody
    looked is kept as opened and resolved, unless that was over an hour ago; of what is over nobody is told.

    Args:
        consecutive: how many runs in a row must end badly before it opens, at most 100. A cancelled or skipped run says
            nothing.
    """
    if not 1 <= consecutive <= 100:
        raise ValueError("consecutive counts runs: from 1 to 100")
    return _rule("failed", {"consecutive": consecutive}, severity, labels, runbook)


def _rule(kind: str, arguments: dict[str, Any], severity: str, labels: dict[str, str] | None, runbook: str) -> RuleData:
    if severity not in SEVERITIES:
        raise ValueError(f"severity {severity!r} is none of {', '.join(SEVERITIES)}")
    return RuleData(kind=kind, arguments=arguments, severity=severity, labels=labels or {}, runbook=runbook)


SEVERITIES = ("info", "warning", "error", "critical")
"""PagerDuty's Events API v2 severities, which other channels map from."""

__all__ = ["SEVERITIES", "failed", "seconds", "too_long"]
