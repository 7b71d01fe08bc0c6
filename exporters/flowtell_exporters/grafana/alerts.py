"""The dashboard of alerts: open incidents, and whether people were told."""

from __future__ import annotations

from flowtell_exporters.families import FLOW_RUNS, INCIDENTS, INCIDENTS_OPEN, NOTIFICATIONS
from flowtell_exporters.grafana.dashboard import Dashboard, Row
from flowtell_exporters.grafana.expressions import BAD, CHOSEN, IN_ENVIRONMENT, increase, share_of_bad, total
from flowtell_exporters.grafana.panels import Panel, Query

_RED_ABOVE_0 = (("green", None), ("red", 0.5))

_INCIDENTS = Row(
    "Incidents",
    (
        Panel(
            title="Open",
            help="By the severity of their rule.",
            kind="stat",
            height=5,
            thresholds=_RED_ABOVE_0,
            queries=(Query(total(INCIDENTS_OPEN, IN_ENVIRONMENT, "severity"), "{{severity}}"),),
        ),
        Panel(
            title="Messages that were given up",
            help="Nobody may know of an incident whose message was given up.",
            kind="stat",
            height=5,
            thresholds=_RED_ABOVE_0,
            queries=(Query(increase(NOTIFICATIONS, 'outcome="given_up"', "channel"), "{{channel}}"),),
        ),
        Panel(
            title="Opened",
            help="By kind of rule.",
            stacked=True,
            queries=(Query(increase(INCIDENTS, IN_ENVIRONMENT, "rule", "$__rate_interval"), "{{rule}}"),),
        ),
        Panel(
            title="Open over time",
            help="By kind of rule.",
            queries=(Query(total(INCIDENTS_OPEN, IN_ENVIRONMENT, "rule"), "{{rule}}"),),
        ),
        Panel(
            title="Messages",
            help="Attempts by channel and outcome: sent, failed and tried again, given up.",
            width=24,
            stacked=True,
            queries=(
                Query(
                    increase(NOTIFICATIONS, "", "channel, outcome", "$__rate_interval"),
                    "{{channel}} {{outcome}}",
                ),
            ),
        ),
    ),
)

_OBJECTIVE = Row(
    "Objective: 99 of 100 runs end well",
    (
        Panel(
            title="Budget left",
            help="Of the bad runs that this time allows, how many are left; below 0 the objective is missed.",
            kind="bargauge",
            unit="percentunit",
            thresholds=(("red", None), ("orange", 0.0), ("green", 0.5)),
            queries=(Query(f"1 - ({share_of_bad(CHOSEN, 'flow')}) / 0.01", "{{flow}}"),),
        ),
        Panel(
            title="Bad runs",
            help="Runs that failed, crashed or timed out.",
            stacked=True,
            queries=(Query(increase(FLOW_RUNS, f"{CHOSEN},{BAD}", "flow", "$__rate_interval"), "{{flow}}"),),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="flowtell-alerts",
    title="flowtell / Alerts and SLAs",
    help="Open incidents, whether people were told, and the budget of bad runs.",
    rows=(_INCIDENTS, _OBJECTIVE),
)
