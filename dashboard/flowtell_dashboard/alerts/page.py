"""The page `/alerts`. What it says comes from the public read models of flowtell-alerts, where that is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dash_mantine_components as dmc
from dash import html

from flowtell_dashboard import pieces
from flowtell_dashboard.acting import OPERATE, needs
from flowtell_dashboard.grid import column, grid
from flowtell_dashboard.pieces import attributes

if TYPE_CHECKING:
    from flowtell.store.reading import Read
    from flowtell_alerts.dead_letters import DeadLetter
    from flowtell_alerts.reading import Incident, RuleStatus, Silence

PARTS: Final = (
    ("alerts-summary", "children"),
    ("incidents", "rowData"),
    ("alerts-instead", "children"),
    ("alerts-resolved", "children"),
    ("alerts-silences", "children"),
    ("alerts-dead", "children"),
    ("rules", "rowData"),
    ("rules-summary", "children"),
)
"""What is filled in, in the order in which it is told."""

OPEN: Final = 500
"""Open incidents that are shown."""
RESOLVED: Final = 50
RULES: Final = 1_000
SILENCES: Final = 200
DEAD: Final = 200

_WORST: Final = ("critical", "error", "warning", "info")
_INCIDENTS: Final = [
    column("severity", "Severity", cell="Severity", width=120, sortable=True),
    column("subject", "What", cell="IncidentLink", flex=2, minWidth=180, sortable=True),
    column("reason", "Why", flex=3, minWidth=220, tooltipField="reason"),
    column("state", "State", cell="IncidentState", width=190, sortable=True),
    column("since", "Since", cell="Since", width=150, sortable=True),
    column("owners", "Owners", flex=1, minWidth=100),
    column("id", "Act", cell="Acknowledge", width=130),
]
_RULES: Final = [
    column("holds", "Now", cell="Holds", width=100, sortable=True),
    column("subject", "Runs of", cell="Subject", flex=2, minWidth=160, sortable=True),
    column("rule", "Rule", flex=2, minWidth=160, sortable=True, tooltipField="rule"),
    column("verdict", "Found", flex=2, minWidth=160, tooltipField="verdict"),
    column("place", "Stated in", width=110, sortable=True),
    column("origin", "Where", flex=1, minWidth=120, tooltipField="origin"),
]


class AlertsPage(NamedTuple):
    """What the page shows, in the order of its callback's outputs."""

    summary: str
    open: list[dict[str, Any]]
    instead: Any
    resolved: Any
    silences: Any
    dead: Any
    rules: list[dict[str, Any]]
    rules_summary: str


def layout() -> Any:
    """The empty page."""
    return html.Div(
        [
            html.H1("Alerts", className="unseen"),
            html.Div([html.P(id="alerts-summary", role="status"), _silence_button()], className="over-table"),
            html.Div(id="alerts-said", role="alert"),
            html.Div(grid("incidents", "Open incidents", _INCIDENTS, enableBrowserTooltips=True), className="table"),
            html.Div(id="alerts-instead"),
            _silence_form(),
            html.Section(id="alerts-silences"),
            html.Section(id="alerts-dead"),
            html.Section(id="alerts-resolved"),
            html.Section(
                [
                    html.Div([html.H2("Rules"), html.Span(id="rules-summary")], className="section-head"),
                    html.Div(grid("rules", "Rules", _RULES, enableBrowserTooltips=True), className="table"),
                ]
            ),
        ],
        id="alerts",
        className="overview sections",
    )


def _silence_button() -> Any:
    button = attributes(data_do="silence-form", data_needs=OPERATE)
    return html.Span(
        [html.Button("Silence …", id="silence-open", className="plain", **button), needs("To act on incidents")]
    )


def _silence_form() -> Any:
    """Sent by `assets/alerts.js` as a request of the API; names are patterns as in a shell."""
    named = [
        dmc.TextInput(id=f"silence-{name}", label=name.capitalize(), placeholder="Any", size="xs")
        for name in ("flow", "environment", "rule", "severity", "owner", "tag")
    ]
    lasts = dmc.Select(id="silence-lasts", label="For", data=["1h", "4h", "12h", "1d", "7d"], value="4h", size="xs")
    who = [
        dmc.TextInput(
            id="silence-reason", label="Why", placeholder="Such as: moving the database", size="xs", required=True
        ),
        dmc.TextInput(id="silence-actor", label="Your name", size="xs", required=True),
    ]
    buttons = [
        html.Button("Silence", className="plain main", **attributes(data_do="silence")),
        html.Button("Close", className="plain", **attributes(data_do="silence-form")),
    ]
    return html.Section(
        [
            html.H2("Tell nobody of incidents that fit"),
            html.Div([*named, lasts, *who], className="fields"),
            html.Div(buttons, className="buttons"),
        ],
        id="silence-form",
        className="sheet",
        hidden=True,
    )


def read_alerts(read: Read, now: int) -> AlertsPage:
    """Everything that the page shows, by bounded queries; that the distribution is missing, where it is."""
    try:
        from flowtell_alerts import dead_letters, reading
    except ImportError:
        return _not_installed()
    opened = reading.incidents(read, open_only=True, limit=OPEN)
    resolved = [one for one in reading.incidents(read, limit=OPEN) if one.resolved is not None][:RESOLVED]
    rules = reading.rules(read, limit=RULES)
    return AlertsPage(
        summary=_summary(opened),
        open=[row(one) for one in sorted(opened, key=_by_weight)],
        instead=None if opened else _all_is_well(rules),
        resolved=_resolved(resolved),
        silences=_silences(reading.silences(read, now=now, limit=SILENCES)),
        dead=_dead(dead_letters.dead_letters(read, limit=DEAD)),
        rules=[_rule_row(one) for one in sorted(rules, key=lambda one: (one.holds is not False, one.flow, one.key))],
        rules_summary=f"{len(rules):,} hold for runs known so far" if rules else "",
    )


def _not_installed() -> AlertsPage:
    said = pieces.notice(
        html.H2("No rules are judged here"),
        html.P(["Install ", html.Code("flowtell-alerts"), ", and start the server again."]),
    )
    return AlertsPage("", [], said, None, None, None, [], "")


# --- incidents ----------------------------------------------------------------------------------------------------


def row(one: Incident) -> dict[str, Any]:
    """An incident as the table takes it."""
    return {
        "id": one.incident,
        "href": f"/incidents/{one.incident}",
        "severity": one.severity,
        "kind": one.rule.kind,
        "subject": one.subject.name,
        "environment": one.environment,
        "reason": one.reason,
        "state": one.state,
        "by": one.acknowledged_by,
        "explained": one.inhibited_by,
        "since": one.since,
        "owners": ", ".join(one.owners),
    }


def weight(severity: str) -> int:
    """The worst first."""
    return _WORST.index(severity) if severity in _WORST else len(_WORST)


def _by_weight(one: Incident) -> tuple[bool, bool, int, int]:
    return bool(one.inhibited_by), one.acknowledged is not None, weight(one.severity), -one.since


def _summary(opened: list[Incident]) -> str:
    if not opened:
        return "No open incident"
    explained, seen = sum(bool(one.inhibited_by) for one in opened), sum(one.acknowledged is not None for one in opened)
    more = [f"{seen:,} acknowledged"] * bool(seen) + [f"{explained:,} explained by others"] * bool(explained)
    plus = "+" if len(opened) == OPEN else ""
    return ", ".join([f"{len(opened):,}{plus} open incident{'s' * (len(opened) != 1)}", *more])


def _all_is_well(rules: list[RuleStatus]) -> Any:
    if rules:
        return pieces.notice(html.H2("All is well"), html.P(f"{len(rules):,} rules hold, or wait for their first run."))
    return pieces.notice(
        html.H2("No rules yet"),
        html.P("Say what must hold where the flow is:"),
        html.Pre(
            html.Code(
                'from flowtell import failed, flow, late\n\n@flow(rules=[failed(), late(after="15m")])\ndef nightly(): ...'
            )
        ),
        html.P(["or for flows of others, in ", html.Code("flowtell.toml"), " under ", html.Code("[[rules]]"), "."]),
    )


def _resolved(found: list[Incident]) -> Any:
    if not found:
        return None
    rows = [
        html.Tr(
            [
                html.Td(pieces.moment(one.resolved, "ago")),
                html.Th(pieces.link(one.subject.name or one.flow, f"/incidents/{one.incident}"), scope="row"),
                html.Td(one.rule.kind),
                html.Td(one.reason),
            ]
        )
        for one in found
    ]
    return html.Details([html.Summary(f"Resolved lately ({len(rows)})"), html.Table(html.Tbody(rows))], className="twin")


# --- silences and dead letters ------------------------------------------------------------------------------------


def _silences(found: list[Silence]) -> Any:
    if not found:
        return None
    rows = [
        html.Tr(
            [
                html.Th(" ".join(f"{name}={value}" for name, value in one.matchers.items()), scope="row"),
                html.Td(one.reason),
                html.Td(one.actor),
                html.Td(["ends ", pieces.moment(one.over, "ago")]),
                html.Td(
                    html.Button(
                        "End", className="plain", **attributes(data_do="unsilence", data_needs=OPERATE, data_id=one.silence)
                    )
                ),
            ]
        )
        for one in found
    ]
    return [html.Div([html.H2("Silences")], className="section-head"), html.Table(html.Tbody(rows), className="plain-table")]


def _dead(found: list[DeadLetter]) -> Any:
    if not found:
        return None
    rows = [
        html.Tr(
            [
                html.Td(pieces.moment(one.given_up, "ago")),
                html.Th(one.channel, scope="row"),
                html.Td(one.kind),
                html.Td(one.subject),
                html.Td(one.problem),
                html.Td(f"{one.attempts} attempts"),
            ]
        )
        for one in found
    ]
    told = html.P(["Send them again with ", html.Code("flowtell alerts dead replay"), " once the channel is mended."])
    head = html.Div(
        [html.H2("Messages that no channel took"), html.Span(f"{len(rows)}{'+' * (len(rows) == DEAD)}")],
        className="section-head",
    )
    return [head, told, html.Table(html.Tbody(rows), className="plain-table")]


# --- rules --------------------------------------------------------------------------------------------------------


def _rule_row(one: RuleStatus) -> dict[str, Any]:
    arguments = " ".join(f"{name}={value}" for name, value in sorted(one.rule.arguments.items()))
    return {
        "id": f"{one.key} {one.flow} {one.environment} {one.deployment}",
        "holds": one.holds,
        "subject": f"{one.flow}/{one.deployment}" if one.deployment else one.flow,
        "environment": one.environment,
        "rule": f"{one.rule.kind} {arguments}".strip(),
        "verdict": one.verdict or "not judged yet",
        "place": one.place,
        "origin": one.origin,
    }
