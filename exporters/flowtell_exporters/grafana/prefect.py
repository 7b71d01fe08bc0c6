"""The dashboard of what runs wait for: Prefect's pools, queues, workers and limits, and the sources that tell of them."""

from __future__ import annotations

from flowtell_exporters.families import (
    CAPACITY_LAST_SEEN,
    CAPACITY_LIMIT,
    CAPACITY_USED,
    IN_PROGRESS,
    NEXT_DUE,
    SOURCE_UP,
    START_DELAY,
)
from flowtell_exporters.grafana.dashboard import Dashboard, Row
from flowtell_exporters.grafana.expressions import IN_ENVIRONMENT, quantile, total
from flowtell_exporters.grafana.panels import Panel, Query

_PLACE = "kind, pool, name"


def _used(kind: str) -> str:
    return f'max by (pool, name) ({CAPACITY_USED.name}{{kind="{kind}"}})'


def _share(kind: str) -> str:
    """Of the slots of those that have a bound."""
    return f'{_used(kind)} / (max by (pool, name) ({CAPACITY_LIMIT.name}{{kind="{kind}"}}) > 0)'


_CAPACITY = Row(
    "Capacity",
    (
        Panel(
            title="Sources",
            help="1 while a source's other side answers. A source that is down makes flows look quiet, not well.",
            kind="stat",
            width=6,
            height=6,
            thresholds=(("red", None), ("green", 1.0)),
            queries=(Query(f"max by (source) ({SOURCE_UP.name})", "{{source}}"),),
        ),
        Panel(
            title="Pools, of their limit",
            help="Slots that are taken; at 100 % runs wait.",
            kind="bargauge",
            unit="percentunit",
            width=9,
            height=6,
            thresholds=(("green", None), ("orange", 0.8), ("red", 1.0)),
            queries=(Query(_share("pool"), "{{name}}"),),
        ),
        Panel(
            title="Queues, of their limit",
            help="Slots that are taken; at 100 % runs wait.",
            kind="bargauge",
            unit="percentunit",
            width=9,
            height=6,
            thresholds=(("green", None), ("orange", 0.8), ("red", 1.0)),
            queries=(Query(_share("queue"), "{{pool}} {{name}}"),),
        ),
        Panel(
            title="Slots taken",
            help="In each pool.",
            queries=(Query(_used("pool"), "{{name}}"),),
        ),
        Panel(
            title="Concurrency limits",
            help="Slots that are taken of each.",
            queries=(Query(_used("limit"), "{{name}}"),),
        ),
        Panel(
            title="Workers",
            help="Time since each gave a sign of life; they do so each half minute.",
            kind="table",
            unit="s",
            thresholds=(("green", None), ("red", 90.0)),
            queries=(
                Query(f'time() - max by (pool, name) ({CAPACITY_LAST_SEEN.name}{{kind="worker"}})', column="silent for"),
            ),
        ),
        Panel(
            title="All of it",
            help="What was observed last.",
            kind="table",
            queries=(
                Query(f"max by ({_PLACE}) ({CAPACITY_LIMIT.name})", column="limit"),
                Query(f"max by ({_PLACE}) ({CAPACITY_USED.name})", column="used"),
            ),
        ),
    ),
)

_WAITING = Row(
    "Runs that wait",
    (
        Panel(
            title="Overdue",
            help="How late the next run of a flow is; below 0 it is not yet due.",
            kind="table",
            unit="s",
            queries=(Query(f"time() - min by (flow, environment) ({NEXT_DUE.name}{{{IN_ENVIRONMENT}}})", column="late by"),),
        ),
        Panel(
            title="Start delay",
            help="95 of 100 runs started within this time after they were due.",
            unit="s",
            queries=(Query(quantile(0.95, START_DELAY, IN_ENVIRONMENT, "environment"), "{{environment}}"),),
        ),
        Panel(
            title="Runs in progress, by state",
            help="Of all flows.",
            width=24,
            stacked=True,
            queries=(Query(total(IN_PROGRESS, IN_ENVIRONMENT, "state"), "{{state}}"),),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="flowtell-prefect",
    title="flowtell / Prefect pools and queues",
    help="What runs wait for: pools, queues, workers and limits, and the sources that tell of them.",
    rows=(_CAPACITY, _WAITING),
    by_flow=False,
)
