"""The page of one incident: what is wrong, since when, with which evidence, and all that happened to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from dash import html

from flowtell_dashboard import pieces
from flowtell_dashboard.acting import OPERATE, needs
from flowtell_dashboard.flows.page import address
from flowtell_dashboard.pieces import attributes

if TYPE_CHECKING:
    from flowtell.store.reading import Read
    from flowtell_alerts.reading import Happened, Incident

PARTS: Final = (
    ("incident-head", "children"),
    ("incident-facts", "children"),
    ("incident-history", "children"),
    ("incident", "data-title"),
)
"""What is filled in, in the order in which it is told."""

_LONGEST: Final = 2_000


class IncidentPage(NamedTuple):
    """What the page shows, in the order of its callback's outputs."""

    head: Any
    facts: Any
    history: Any
    title: str


def layout() -> Any:
    """The empty page."""
    parts = [html.Div(id=f"incident-{name}") for name in ("head", "facts", "history")]
    return html.Article([html.Div(id="alerts-said", role="alert"), *parts], id="incident", className="sections")


def wanted_incident(pathname: str | None) -> str:
    return (pathname or "").removeprefix("/incidents/").strip("/")


def read_incident_page(read: Read, wanted: str) -> IncidentPage:
    """Everything that the page shows. Of an incident that is not there it says so."""
    try:
        from flowtell_alerts import reading
        from flowtell_alerts.errors import IncidentNotFound
    except ImportError:
        return _missing("flowtell-alerts is not installed, so there are no incidents.")
    try:
        incident = reading.get_incident(read, wanted)
    except IncidentNotFound as error:
        return _missing(str(error))
    return IncidentPage(
        head=_head(incident),
        facts=_facts(incident),
        history=_history(reading.history(read, incident.incident)),
        title=f"{incident.rule.kind}: {incident.subject.name}",
    )


def _missing(why: str) -> IncidentPage:
    told = pieces.notice(html.H1("Incident not found"), html.P(why), html.P(pieces.link("See all alerts", "/alerts")))
    return IncidentPage(told, None, None, "Incident not found")


def _head(one: Incident) -> Any:
    crumbs = html.Nav(
        [pieces.link("Alerts", "/alerts"), html.Span("/", **attributes(aria_hidden="true")), html.Span(one.rule.kind)],
        className="crumbs",
        **attributes(aria_label="Place"),
    )
    state = html.Span(
        [html.Span(one.severity, className="severity", **attributes(data_severity=one.severity)), f" · {one.state}"],
        className="incident-state",
        role="status",
    )
    actions = []
    if one.resolved is None and one.acknowledged is None:
        does = attributes(data_do="acknowledge", data_needs=OPERATE, data_id=one.incident)
        actions += [html.Button("Acknowledge", className="plain main", **does), needs("To acknowledge it")]
    title = html.Div([html.H1(one.subject.name or one.flow), state, *actions], className="title")
    asked = [pieces.why(one.incident)] if one.resolved is None else []
    return html.Header([crumbs, title, html.P(one.reason, className="lead"), *asked])


def _facts(one: Incident) -> Any:
    facts: list[tuple[str, Any]] = [
        ("Since", [pieces.moment(one.since), " ", pieces.moment(one.since, "ago")]),
        ("Found", pieces.moment(one.opened)),
        ("Due", pieces.moment(one.due) if one.due else ""),
        ("Resolved", pieces.moment(one.resolved) if one.resolved else ""),
        ("Acknowledged", f"by {one.acknowledged_by}" if one.acknowledged else ""),
        ("Explained by", pieces.link("another incident", f"/incidents/{one.inhibited_by}") if one.inhibited_by else ""),
        ("Flow", pieces.link(one.flow, address(one.flow, one.environment)) if one.flow else ""),
        ("Environment", one.environment),
        ("Deployment", one.deployment),
        ("Owners", ", ".join(one.owners)),
        ("Runbook", _runbook(one.rule.runbook)),
        ("Runs", _runs(one.runs) if one.runs else ""),
    ]
    shown = [html.Div([html.Dt(name), html.Dd(value)]) for name, value in facts if value not in ("", None)]
    return html.Section([html.Dl(shown, className="facts"), _evidence(one.evidence)], className="sheet")


def _runbook(said: str) -> Any:
    """A link where it is an address of the web, and text where it is anything else: a link may run what it names."""
    if not said.startswith(("https://", "http://")):
        return said
    return html.A(said, href=said, target="_blank", rel="noopener noreferrer")


def _runs(runs: Sequence[str]) -> list[Any]:
    return [html.Span([pieces.link(run[-8:], f"/runs/{run}"), " "]) for run in reversed(runs[-10:])]


def _evidence(evidence: Mapping[str, Any]) -> Any:
    if not evidence:
        return None
    rows = [html.Tr([html.Th(name, scope="row"), html.Td(_value(value))]) for name, value in evidence.items()]
    return html.Details([html.Summary("Evidence"), html.Table(html.Tbody(rows))], open=True)


def _value(value: Any) -> Any:
    return html.Code(value if isinstance(value, str) else msgspec.json.encode(value).decode()[:_LONGEST])


def _history(found: Sequence[Happened]) -> Any:
    rows = [
        html.Tr(
            [
                html.Td(pieces.moment(each.at)),
                html.Th(each.kind, scope="row"),
                html.Td(each.actor or each.severity),
                html.Td(each.reason),
            ]
        )
        for each in found
    ]
    return html.Section(
        [
            html.Div(
                [html.H2("What happened"), html.Span(f"{len(rows)} change{'s' * (len(rows) != 1)}")],
                className="section-head",
            ),
            html.Table(html.Tbody(rows), className="plain-table"),
        ]
    )
