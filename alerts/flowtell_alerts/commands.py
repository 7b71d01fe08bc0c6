"""List incidents, and the rules that open them."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from flowtell.cli import cells
from flowtell.cli.options import Json
from flowtell.cli.session import open_session
from flowtell_alerts.incidents import Incident
from flowtell_alerts.reading import RuleStatus, incidents, rules

app = App(name="alerts", help="Look at incidents.")

_SEVERITIES = {"info": "cyan", "warning": "yellow", "error": "red", "critical": "bold red"}
_COLUMNS = ("incident", "flow", "environment", "rule", "severity", "since", "lasted", "reason")


@app.command(name="list")
def list_incidents(
    *,
    all: Annotated[bool, Parameter(name="--all", negative="")] = False,
    flow: str = "",
    limit: int = 100,
    json: Json = False,
) -> None:
    """List open incidents, newest first.

    Args:
        all: Resolved ones too.
        flow: Only those of this flow.
        limit: How many to list.
    """
    with open_session(json=json) as session:
        found = incidents(session.read, open_only=not all, flow=flow, limit=max(limit, 1))
        if json:
            session.print_json(found)
        elif found:
            session.print_table(_COLUMNS, [_row(incident) for incident in found])
        else:
            session.say(_nothing(rules(session.read, flow=flow), resolved_too=all))


def _row(incident: Incident) -> tuple[cells.Value, ...]:
    style = _SEVERITIES.get(incident.severity, "")
    return (
        cells.short_id(incident.incident),
        incident.flow,
        incident.environment,
        incident.rule.kind,
        cells.Cell(incident.severity, incident.severity, style),
        cells.moment(incident.since),
        cells.lasted(incident.since, incident.resolved, None),
        _state(incident),
    )


def _state(incident: Incident) -> str:
    return incident.reason if incident.resolved is None else f"resolved: {incident.reason}"


def _nothing(found: list[RuleStatus], *, resolved_too: bool) -> str:
    """What to say where there is no incident: that all is well, or that nobody asked to be told."""
    if not found:
        return "No incidents, and no rules. Add one to a flow: @flow(rules=[failed(), too_long('30m')])"
    which = "" if resolved_too else " open"
    watched = f"{len(found)} rule{'s' if len(found) != 1 else ''}"
    holding = sum(rule.holds is True for rule in found)
    return f"No{which} incidents. {watched} declared, {holding} found to hold."
