"""The dashboard of one flow: its runs, durations, delays, tasks and measures."""

from __future__ import annotations

from flowtell_exporters.families import (
    DEPLOYMENT_RUNS,
    FLOW_DURATION,
    FLOW_INFO,
    FLOW_RUNS,
    IN_PROGRESS,
    LAST_SUCCESS,
    MEASURE,
    NEXT_DUE,
    START_DELAY,
    TASK_DURATION,
    TASK_RETRIES,
    TASK_RUNS,
)
from flowtell_exporters.grafana.dashboard import Dashboard, Row
from flowtell_exporters.grafana.expressions import BAD, CHOSEN, SERIES_LINK, age, increase, quantile, share_of_bad, total
from flowtell_exporters.grafana.panels import Panel, Query

_TASKS = "task, environment"

_NOW = Row(
    "Now",
    (
        Panel(
            title="Since the last success",
            help="Time since a run ended completed or cached.",
            kind="stat",
            unit="s",
            width=6,
            height=4,
            thresholds=(("blue", None),),
            queries=(Query(age(LAST_SUCCESS, CHOSEN, "environment"), "{{environment}}"),),
        ),
        Panel(
            title="Until the next run",
            help="Time to when the next run is due; below 0 it is late.",
            kind="stat",
            unit="s",
            width=6,
            height=4,
            thresholds=(("red", None), ("blue", 0.0)),
            queries=(Query(f"min by (environment) ({NEXT_DUE.name}{{{CHOSEN}}}) - time()", "{{environment}}"),),
        ),
        Panel(
            title="Ended badly",
            help="Share of the runs of this time that failed, crashed or timed out.",
            kind="stat",
            unit="percentunit",
            width=6,
            height=4,
            thresholds=(("green", None), ("orange", 0.01), ("red", 0.05)),
            queries=(Query(share_of_bad(CHOSEN, "environment"), "{{environment}}"),),
        ),
        Panel(
            title="Version",
            help="Owner, source and latest version that was declared.",
            kind="table",
            width=6,
            height=4,
            hidden=("Value", "__name__", "job", "instance"),
            queries=(Query(f"{FLOW_INFO.name}{{{CHOSEN}}}", column="Value"),),
        ),
    ),
)

_RUNS = Row(
    "Runs",
    (
        Panel(
            title="Runs that ended, by state",
            help="Counted once each, by their first end.",
            stacked=True,
            link=SERIES_LINK,
            queries=(Query(increase(FLOW_RUNS, CHOSEN, "state", "$__rate_interval"), "{{state}}"),),
        ),
        Panel(
            title="Runs in progress",
            help="By the state they are in.",
            queries=(Query(total(IN_PROGRESS, CHOSEN, "state"), "{{state}}"),),
        ),
        Panel(
            title="Duration",
            help="Half and 95 of 100 runs stay below these. The points are runs: each leads to its trace.",
            unit="s",
            queries=(
                Query(quantile(0.5, FLOW_DURATION, CHOSEN, "environment"), "{{environment}} half"),
                Query(quantile(0.95, FLOW_DURATION, CHOSEN, "environment"), "{{environment}} 95 of 100"),
            ),
        ),
        Panel(
            title="Start delay",
            help="How long after their due time runs started: half and 95 of 100 stay below these.",
            unit="s",
            queries=(
                Query(quantile(0.5, START_DELAY, CHOSEN, "environment"), "{{environment}} half"),
                Query(quantile(0.95, START_DELAY, CHOSEN, "environment"), "{{environment}} 95 of 100"),
            ),
        ),
        Panel(
            title="By deployment",
            help="Runs that ended in this time.",
            kind="table",
            width=24,
            height=6,
            queries=(Query(increase(DEPLOYMENT_RUNS, CHOSEN, "deployment, environment, state"), column="runs"),),
        ),
    ),
)

_IN_TASKS = Row(
    "Tasks and measures",
    (
        Panel(
            title="Tasks",
            help="Mean durations are of the runs of this time.",
            kind="table",
            width=12,
            height=10,
            queries=(
                Query(increase(TASK_RUNS, CHOSEN, _TASKS), column="ended"),
                Query(increase(TASK_RUNS, f"{CHOSEN},{BAD}", _TASKS), column="ended badly"),
                Query(increase(TASK_RETRIES, CHOSEN, _TASKS), column="tried again"),
                Query(
                    f"{increase(TASK_DURATION, CHOSEN, _TASKS, suffix='_sum')} / "
                    f"({increase(TASK_DURATION, CHOSEN, _TASKS, suffix='_count')} > 0)",
                    column="mean",
                    unit="s",
                ),
            ),
        ),
        Panel(
            title="Measures",
            help="What runs stated about themselves: the last value.",
            height=10,
            queries=(Query(f"max by (task, name) ({MEASURE.name}{{{CHOSEN}}})", "{{task}} {{name}}"),),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="flowtell-flow",
    title="flowtell / One flow",
    help="One flow's runs, durations, delays, tasks and measures.",
    rows=(_NOW, _RUNS, _IN_TASKS),
    one_flow=True,
)
