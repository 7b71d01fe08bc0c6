"""What pages, commands and other plugins ask of the alerts: incidents, and rules with their last verdict.

Each function takes a `read` that runs one SELECT, such as `Store.read` or a plugin's `context.read`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Row, Select, select

from flowtell.events import RuleData
from flowtell.store.tables import cursors
from flowtell_alerts import tables
from flowtell_alerts._rows import incident_of
from flowtell_alerts.incidents import Incident

Read = Callable[[Select[Any]], Sequence[Row[Any]]]


class RuleStatus(Struct, frozen=True):
    """A rule that a flow declared, and what was found when it was judged last."""

    key: str
    flow: str
    environment: str
    rule: RuleData
    verdict: str
    """A named reason, such as `the last run ended well`; empty until it was judged."""
    holds: bool | None
    """None where it was not judged yet, or is not understood."""
    changed: int | None
    """When the verdict became this one, in µs since the epoch."""


def incidents(read: Read, *, open_only: bool = False, flow: str = "", limit: int = 100) -> list[Incident]:
    """Up to `limit` incidents, the newest first."""
    wanted = select(tables.incidents).order_by(tables.incidents.c.opened.desc(), tables.incidents.c.incident.desc())
    if open_only:
        wanted = wanted.where(tables.incidents.c.resolved.is_(None))
    if flow:
        wanted = wanted.where(tables.incidents.c.flow == flow)
    return [incident_of(row) for row in _rows(read, wanted.limit(limit))]


def rules(read: Read, *, flow: str = "", limit: int = 1000) -> list[RuleStatus]:
    """Up to `limit` rules by flow."""
    wanted = select(tables.rules).order_by(tables.rules.c.flow, tables.rules.c.environment, tables.rules.c.key)
    if flow:
        wanted = wanted.where(tables.rules.c.flow == flow)
    return [_status(row) for row in _rows(read, wanted.limit(limit))]


def _rows(read: Read, wanted: Select[Any]) -> Sequence[Row[Any]]:
    """None where the plugin has never committed anything: its tables may not be there, as where it is switched off."""
    has_run = read(select(cursors.c.plugin).where(cursors.c.plugin == "alerts"))
    return read(wanted) if has_run else ()


def _status(row: Row[Any]) -> RuleStatus:
    return RuleStatus(
        key=row.key,
        flow=row.flow,
        environment=row.environment,
        rule=msgspec.json.decode(row.rule, type=RuleData),
        verdict=row.verdict,
        holds=None if row.holds is None else bool(row.holds),
        changed=row.changed,
    )


__all__ = ["Incident", "Read", "RuleStatus", "incidents", "rules"]
