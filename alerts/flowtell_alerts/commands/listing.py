"""List incidents, and the rules that open them."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from flowtell.cli import cells
from flowtell.cli.options import Json
from flowtell.cli.session import open_session
from flowtell.runner import system_clock
from flowtell_alerts.incidents import Incident, shown
from flowtell_alerts.reading import RuleStatus, Silence, file_rules, incidents, rules, silences
from flowtell_alerts.rule_table import RULE_COLUMNS, flow_and_deployment, rule_row, without_runs
from flowtell_alerts.silences import silencing

_SEVERITIES = {"info": "cyan", "warning": "yellow", "error": "red", "critical": "bold red"}
_COLUMNS = ("incident", "flow", "environment", "rule", "severity", "since", "lasted", "state", "reason")

_STATES = {"pending": "dim", "firing": "red", "acknowledged": "yellow", "resolved": "green"}


def list_incidents(
    *,
    all: Annotated[bool, Parameter(name="--all", negative="")] = False,
    flow: str = "",
    environment: str = "",
    kind: str = "",
    severity: str = "",
    limit: int = 100,
    json: Json = False,
) -> None:
    """List open incidents, newest first.

    Args:
        all: Resolved ones too.
        flow: Only those of this flow.
        environment: Only those of this environment.
        kind: Only those of rules of this kind, such as late.
        severity: Only those of this severity.
        limit: How many to list.
    """
    with open_session(json=json) as session:
        found = incidents(
            session.read, open_only=not all, flow=flow, environment=environment, kind=kind, severity=severity,
            limit=max(limit, 1),
        )  # fmt: skip
        if json:
            session.print_json([shown(incident) for incident in found])
        elif found:
            quiet = silences(session.read, now=system_clock())
            session.print_table(_COLUMNS, [_row(incident, _silent(incident, quiet)) for incident in found])
        else:
            session.say(_nothing(rules(session.read, flow=flow), resolved_too=all))


def _silent(incident: Incident, quiet: list[Silence]) -> bool:
    return incident.resolved is None and silencing(incident, quiet, system_clock()) is not None


def list_rules(*, flow: str = "", limit: int = 1000, json: Json = False) -> None:
    """List the rules that hold, for which runs, who states each, and what was found when it was judged last.

    Args:
        flow: Only those that hold for this flow.
        limit: How many to list.
    """
    with open_session(json=json) as session:
        found = rules(session.read, flow=flow, limit=max(limit, 1))
        idle = [] if flow else without_runs(file_rules(session.read), found)
        if json:
            session.print_json(found + idle)
        elif found or idle:
            session.print_table(RULE_COLUMNS, [rule_row(rule) for rule in found + idle])
        else:
            session.say(_no_rules(flow))


def _no_rules(flow: str) -> str:
    which = f" for flow '{flow}'" if flow else ""
    how = "State them in code, @flow(rules=[failed()]), or as [[rules]] in flowtell.toml, which a server reads."
    return f"No rules{which}. {how}"


def _row(incident: Incident, silent: bool) -> tuple[cells.Value, ...]:
    style = _SEVERITIES.get(incident.severity, "")
    return (
        cells.short_id(incident.incident),
        flow_and_deployment(incident.flow, incident.deployment),
        incident.environment,
        incident.rule.kind,
        cells.Cell(incident.severity, incident.severity, style),
        cells.moment(incident.since),
        cells.lasted(incident.since, incident.resolved, None),
        state_cell(incident, silent=silent),
        incident.reason,
    )


def state_cell(incident: Incident, *, silent: bool = False) -> cells.Cell:
    """Such as `acknowledged by ada` or `firing, silenced`."""
    text = incident.state + (", silenced" if silent else "")
    if incident.state == "acknowledged":
        text = f"{text} by {incident.acknowledged_by}"
    elif incident.state == "pending":
        text = f"{text}, explained by {incident.inhibited_by[16:24]}"
    return cells.Cell(text, text, _STATES[incident.state])


def _nothing(found: list[RuleStatus], *, resolved_too: bool) -> str:
    """What to say where there is no incident: that all is well, or that nobody asked to be told."""
    if not found:
        return "No incidents, and no rules. Add one to a flow: @flow(rules=[failed(), too_long('30m')])"
    which = "" if resolved_too else " open"
    watched = f"{len(found)} rule{'s' if len(found) != 1 else ''}"
    holding = sum(rule.holds is True for rule in found)
    return f"No{which} incidents. {watched} declared, {holding} found to hold."
