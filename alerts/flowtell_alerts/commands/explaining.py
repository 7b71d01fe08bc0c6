"""`flowtell alerts explain`: why an incident is open, or why a rule has not fired."""

from __future__ import annotations

from typing import Annotated, Any, Final

from cyclopts import Parameter
from msgspec import to_builtins

from flowtell.cli import cells
from flowtell.cli.options import Json
from flowtell.cli.session import Session, open_session
from flowtell.events import RuleData
from flowtell.runner import system_clock
from flowtell_alerts.commands.listing import state_cell
from flowtell_alerts.errors import IncidentNotFound
from flowtell_alerts.explanation import Explained, explain
from flowtell_alerts.incidents import Incident, shown
from flowtell_alerts.reading import Silence, get_incident, history, silences
from flowtell_alerts.silences import silencing

_EARLIEST: Final = 1_000_000_000_000_000
"""Whole numbers from here on are moments in µs: of this millennium."""

_HISTORY: Final = ("at", "what", "severity", "by", "reason")


def explain_command(
    wanted: Annotated[str, Parameter(help="An incident's id, a rule's key, or a flow, FLOW/DEPLOYMENT, asset or event.")],
    /,
    *,
    json: Json = False,
) -> None:
    """Say why an incident opened and who is told, or why a rule fired or did not: reference, due time, watermark.

    A rule is judged once more by what the log holds now; nothing is written.
    """
    with open_session(json=json) as session:
        try:
            incident = get_incident(session.read, wanted)
        except IncidentNotFound as error:
            if error.several:
                raise
            _print_rules(session, explain(session.read, wanted, system_clock()))
        else:
            _print_incident(session, incident)


# --- an incident --------------------------------------------------------------------------------------------------


def _print_incident(session: Session, incident: Incident) -> None:
    now = system_clock()
    quiet = silencing(incident, silences(session.read, now=now), now) if incident.resolved is None else None
    happened = history(session.read, incident.incident)
    if session.json:
        session.print_json({**shown(incident), "history": happened, "silence": quiet})
        return
    session.print_facts(
        [
            ("incident", cells.Cell(incident.incident, incident.incident)),
            ("of", f"{incident.subject.kind} {incident.subject.name}"),
            ("environment", incident.environment),
            ("state", state_cell(incident, silent=quiet is not None)),
            ("why", _whole(incident.reason)),
            ("rule", _asked(incident.rule)),
            ("severity", incident.severity),
            ("owners", ", ".join(incident.owners)),
            ("due", cells.moment(incident.due)),
            ("since", cells.moment(incident.since)),
            ("found", cells.moment(incident.opened)),
            ("resolved", cells.moment(incident.resolved)),
            ("explained by", _cause(incident)),
            ("silenced by", _quiet(quiet)),
            *_evidence(incident.evidence),
            ("runbook", _whole(incident.rule.runbook)),
        ]
    )
    session.print_heading("History")
    rows = [(cells.moment(each.at), each.kind, each.severity, each.actor, each.reason) for each in happened]
    session.print_table(_HISTORY, rows)


def _cause(incident: Incident) -> str:
    named = incident.evidence.get("explained_by")
    if not incident.inhibited_by or not isinstance(named, dict):
        return ""
    return f"{named.get('rule', '')} of {named.get('subject', '')}, incident {incident.inhibited_by[16:24]}"


def _quiet(silence: Silence | None) -> str:
    if silence is None:
        return ""
    return f"{silence.actor} until {cells.moment(silence.over).shown}: {silence.reason}"


def _evidence(evidence: dict[str, Any]) -> list[tuple[str, cells.Value]]:
    return [
        (name, _value(value)) for name, value in evidence.items() if name != "explained_by" and value not in (None, "", {})
    ]


def _value(value: Any) -> cells.Value:
    if isinstance(value, int) and not isinstance(value, bool) and value >= _EARLIEST:
        return cells.moment(value)
    if isinstance(value, dict):
        return _whole(" ".join(f"{key}={each}" for key, each in value.items()))
    return _whole(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def _whole(text: str) -> cells.Cell:
    return cells.Cell(text, text)


def _asked(rule: RuleData) -> str:
    return " ".join([rule.kind, *(f"{name}={value}" for name, value in sorted(rule.arguments.items()))])


# --- rules --------------------------------------------------------------------------------------------------------


def _print_rules(session: Session, found: list[Explained]) -> None:
    if session.json:
        session.print_json([to_builtins(each) for each in found])
        return
    for place, each in enumerate(found):
        if place:
            session.print_text("")
        session.print_facts(_facts(each))


def _facts(each: Explained) -> list[tuple[str, cells.Value]]:
    holds = {True: "holds", False: "does not hold", None: "nobody can tell"}[each.holds]
    facts: list[tuple[str, cells.Value]] = [
        ("rule", _whole(_asked(each.rule))),
        ("key", each.key),
        ("of", each.subject),
        ("environment", each.environment),
        ("stated by", _whole(f"{each.place} {each.origin}".strip())),
        ("now", _whole(f"{holds}: {each.reason or 'nothing is known yet'}")),
        ("evaluator", _whole(_last(each))),
        ("judged next", cells.moment(each.again)),
        ("needs the log up to", cells.moment(each.watermark)),
    ]
    for finding in each.wrong:
        facts += [("wrong", _whole(finding.text)), ("since", cells.moment(finding.since)), *_evidence(finding.evidence)]
    return facts


def _last(each: Explained) -> str:
    if not each.found:
        return "has not judged it yet"
    return each.found + (f", since {cells.moment(each.changed).shown}" if each.changed else "")


__all__ = ["explain_command"]
