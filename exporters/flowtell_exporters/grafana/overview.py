"""The dashboard of all flows: what fails, what is late, what runs."""

from __future__ import annotations

from flowtell_exporters.families import (
    FLOW_DURATION,
    FLOW_RUNS,
    IN_PROGRESS,
    INCIDENTS_OPEN,
    LAST_COMPLETION,
    LAST_SUCCESS,
    OLDEST_RUNNING,
)
from flowtell_exporters.grafana.dashboard import Dashboard, Row
from flowtell_exporters.grafana.expressions import (
    BAD,
    CHOSEN,
    IN_ENVIRONMENT,
    RUN_LINK,
    SERIES_LINK,
    age,
    increase,
    latest_failed,
    quantile,
    share_of_bad,
    total,
)
from flowtell_exporters.grafana.panels import Panel, Query

_RED_ABOVE_0 = (("green", None), ("red", 0.5))
_BY_FLOW = "flow, environment"
_ENDED = increase(FLOW_RUNS, CHOSEN, "flow")

_NOW = Row(
    "Now",
    (
        Panel(
            title="Last run no success",
            help="Flows whose last end was no success.",
            kind="stat",
            width=6,
            height=4,
            thresholds=_RED_ABOVE_0,
            queries=(Query(f"sum({latest_failed(CHOSEN)})"),),
        ),
        Panel(
            title="Open incidents",
            help="Rules of flows that do not hold now.",
            kind="stat",
            width=6,
            height=4,
            thresholds=_RED_ABOVE_0,
            queries=(Query(f"sum({total(INCIDENTS_OPEN, IN_ENVIRONMENT, 'rule')})"),),
        ),
        Panel(
            title="Running",
            help="Runs that started and have not ended.",
            kind="stat",
            width=6,
            height=4,
            thresholds=(("blue", None),),
            queries=(Query(f"sum({total(IN_PROGRESS, CHOSEN, 'state')})"),),
        ),
        Panel(
            title="Ended badly",
            help="Share of the runs of this time that failed, crashed or timed out.",
            kind="stat",
            unit="percentunit",
            width=6,
            height=4,
            thresholds=(("green", None), ("orange", 0.01), ("red", 0.05)),
            queries=(Query(f"sum({increase(FLOW_RUNS, f'{CHOSEN},{BAD}', 'flow')}) / (sum({_ENDED}) > 0)"),),
        ),
    ),
)

_TIME = Row(
    "Over time",
    (
        Panel(
            title="Runs that ended, by state",
            help="Counted once each, by their first end.",
            stacked=True,
            queries=(Query(increase(FLOW_RUNS, CHOSEN, "state", "$__rate_interval"), "{{state}}"),),
        ),
        Panel(
            title="Slowest flows",
            help="Time that 95 of 100 runs stay below, of the ten slowest flows.",
            unit="s",
            link=SERIES_LINK,
            queries=(Query(f"topk(10, {quantile(0.95, FLOW_DURATION, CHOSEN, 'flow')})", "{{flow}}"),),
        ),
    ),
)

_FLOWS = Row(
    "Flows",
    (
        Panel(
            title="Every flow",
            help="A click on a flow leads to its runs.",
            kind="table",
            width=24,
            height=14,
            link=RUN_LINK,
            queries=(
                Query(increase(FLOW_RUNS, CHOSEN, _BY_FLOW), column="ended"),
                Query(increase(FLOW_RUNS, f"{CHOSEN},{BAD}", _BY_FLOW), column="ended badly"),
                Query(share_of_bad(CHOSEN, _BY_FLOW), column="share", unit="percentunit"),
                Query(age(LAST_SUCCESS, CHOSEN, _BY_FLOW), column="since success", unit="s"),
                Query(age(LAST_COMPLETION, CHOSEN, _BY_FLOW), column="since last end", unit="s"),
                Query(total(IN_PROGRESS, CHOSEN, _BY_FLOW), column="running"),
                Query(age(OLDEST_RUNNING, CHOSEN, _BY_FLOW), column="running for", unit="s"),
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="flowtell-overview",
    title="flowtell / Overview",
    help="All flows: what fails, what is late, what runs.",
    rows=(_NOW, _TIME, _FLOWS),
)
