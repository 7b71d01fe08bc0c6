"""The dashboard of assets: how old they are, and how they came."""

from __future__ import annotations

from flowtell_exporters.families import LAST_MATERIALIZATION, MATERIALIZATIONS
from flowtell_exporters.grafana.dashboard import Dashboard, Row
from flowtell_exporters.grafana.expressions import IN_ENVIRONMENT, age, increase
from flowtell_exporters.grafana.panels import Panel, Query

_BY = "asset, environment"
_FAILED = f'{IN_ENVIRONMENT},state="failed"'

_ALL = Row(
    "Assets",
    (
        Panel(
            title="Assets",
            help="Assets that runs make.",
            kind="stat",
            width=8,
            height=4,
            thresholds=(("blue", None),),
            queries=(Query(f"count(sum by ({_BY}) ({MATERIALIZATIONS.name}{{{IN_ENVIRONMENT}}}))"),),
        ),
        Panel(
            title="Failed in this time",
            help="Materializations that failed.",
            kind="stat",
            width=8,
            height=4,
            thresholds=(("green", None), ("red", 0.5)),
            queries=(Query(f"sum({increase(MATERIALIZATIONS, _FAILED, 'asset')})"),),
        ),
        Panel(
            title="Oldest",
            help="Time since the asset that is oldest was materialized.",
            kind="stat",
            unit="s",
            width=8,
            height=4,
            thresholds=(("blue", None),),
            queries=(Query(f"max({age(LAST_MATERIALIZATION, IN_ENVIRONMENT, _BY)})"),),
        ),
        Panel(
            title="Materializations",
            help="By how they ended.",
            stacked=True,
            queries=(Query(increase(MATERIALIZATIONS, IN_ENVIRONMENT, "state", "$__rate_interval"), "{{state}}"),),
        ),
        Panel(
            title="Age",
            help="Time since each was materialized, of the twenty oldest.",
            unit="s",
            queries=(Query(f"topk(20, {age(LAST_MATERIALIZATION, IN_ENVIRONMENT, _BY)})", "{{asset}}"),),
        ),
        Panel(
            title="Every asset",
            help="Counts are of this time.",
            kind="table",
            width=24,
            height=12,
            queries=(
                Query(increase(MATERIALIZATIONS, f'{IN_ENVIRONMENT},state="materialized"', _BY), column="materialized"),
                Query(increase(MATERIALIZATIONS, _FAILED, _BY), column="failed"),
                Query(age(LAST_MATERIALIZATION, IN_ENVIRONMENT, _BY), column="age", unit="s"),
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="flowtell-assets",
    title="flowtell / Assets",
    help="How old assets are, and how they came.",
    rows=(_ALL,),
    by_flow=False,
)
