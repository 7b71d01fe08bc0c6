"""Rules as plain data: what must hold of a flow, stated where the flow is, interpreted by flowtell-alerts.

A rule travels inside the `flow.declared` event, so a flow's environment needs no alerting library. Each function names
one reference from which its time is counted; what becomes of it when a run fails, is cancelled, retried, paused,
back-filled or started by hand is in one table of `docs/rules.md`.
"""

from __future__ import annotations

from flowtell.rules.runs import DURATIONS_KEPT, MEASURES_KEPT, budget, failed, measured, too_long
from flowtell.rules.spans import seconds
from flowtell.rules.statement import KINDS, SEVERITIES
from flowtell.rules.things import absent, stale
from flowtell.rules.times import blind, deadline, late

__all__ = [
    "DURATIONS_KEPT",
    "KINDS",
    "MEASURES_KEPT",
    "SEVERITIES",
    "absent",
    "blind",
    "budget",
    "deadline",
    "failed",
    "late",
    "measured",
    "seconds",
    "stale",
    "too_long",
]
