"""The page `/flows`: each flow with how it did in the last 30 days."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from dash import html

from flowtell_dashboard import pieces
from flowtell_dashboard.flows.summary import DAYS, FlowSummary
from flowtell_dashboard.grid import column, grid

PARTS: Final = (
    ("flows", "rowData"),
    ("flows-summary", "children"),
    ("flows-instead", "children"),
)
"""What is filled in, in the order in which it is told."""

_COLUMNS: Final = [
    column("flow", "Flow", cell="FlowLink", flex=3, minWidth=200, sortable=True),
    column("recent", "Last runs", cell="Recent", width=230, cellDataType=False),
    column("success", "Success", cell="Share", width=110, sortable=True),
    column("runs", "Runs", width=90, sortable=True),
    column("bad", "Ended badly", width=120, sortable=True),
    column("running", "Running", width=100, sortable=True),
    column("median", "Usually takes", cell="Median", width=130, sortable=True),
    column("slow", "95 of 100", cell="Slow", width=110, sortable=True),
    column("last", "Last start", cell="Last", width=140, sortable=True),
    column("due", "Next due", cell="NextDue", width=130, sortable=True),
]


def layout() -> Any:
    """The empty page."""
    return html.Div(
        [
            html.H1("Flows", className="unseen"),
            html.Div([html.P(id="flows-summary", role="status")], className="over-table"),
            html.Div(grid("flows", "Flows", _COLUMNS, domLayout="autoHeight"), className="table"),
            html.Div(id="flows-instead"),
        ],
        className="overview",
    )


def rows_of(found: list[FlowSummary]) -> list[dict[str, Any]]:
    """Flows as the table takes them: those with bad ends first, then by name."""
    return [_row(one) for one in sorted(found, key=lambda one: (-one.bad, one.flow, one.environment))]


def _row(one: FlowSummary) -> dict[str, Any]:
    return {
        "id": f"{one.flow}\n{one.environment}",
        "href": address(one.flow, one.environment),
        "flow": one.flow or "no flow",
        "environment": one.environment,
        "recent": [list(each) for each in one.recent],
        "success": one.success,
        "runs": one.runs,
        "bad": one.bad,
        "running": one.running,
        "median": one.median,
        "slow": one.slow,
        "last": one.last,
        "due": one.next_due,
    }


def address(flow: str, environment: str = "") -> str:
    """The page of one flow. In the query, as a flow's name may hold anything."""
    named = {"name": flow, "environment": environment}
    return "/flow?" + urlencode({name: value for name, value in named.items() if value})


def shown(found: list[FlowSummary]) -> tuple[Any, ...]:
    """What stands in `PARTS`."""
    return rows_of(found), summary_of(found), instead_of(found)


def summary_of(found: list[FlowSummary]) -> str:
    runs, bad = sum(one.runs for one in found), sum(one.bad for one in found)
    ended = f", {bad:,} ended badly" if bad else ""
    return f"{len(found):,} flow{'s' * (len(found) != 1)}, {runs:,} runs in {DAYS} days{ended}" if found else ""


def instead_of(found: list[FlowSummary]) -> Any:
    if found:
        return None
    return pieces.notice(
        html.H2("No flow has run lately"),
        html.P([f"None in {DAYS} days. ", pieces.link("Look at all runs", "/?since=any")]),
    )
