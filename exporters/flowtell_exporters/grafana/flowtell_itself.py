"""The dashboard of flowtell itself: whether what the others show is complete and fresh."""

from __future__ import annotations

from flowtell_exporters.families import (
    BUILD_INFO,
    CORRECTIONS,
    EVENTS,
    EVENTS_DROPPED,
    LEADER,
    OVERFLOW,
    PLUGIN_DROPPED,
    PLUGIN_ERRORS,
    PLUGIN_LAG_EVENTS,
    PLUGIN_LAG_SECONDS,
    SOURCE_UP,
    WRITER_SKEW,
)
from flowtell_exporters.grafana.dashboard import Dashboard, Row
from flowtell_exporters.grafana.expressions import LEADING
from flowtell_exporters.grafana.panels import Panel, Query

_RED_ABOVE_0 = (("green", None), ("red", 0.5))


def _stat(title: str, help: str, expr: str, legend: str = "") -> Panel:
    return Panel(
        title=title,
        help=help,
        kind="stat",
        width=6,
        height=4,
        thresholds=_RED_ABOVE_0,
        queries=(Query(expr, legend),),
    )


_COMPLETE = Row(
    "Is it complete?",
    (
        _stat(
            "Events lost",
            "Events that no journal took, since their writers began.",
            f"sum(max by (machine) ({EVENTS_DROPPED.name}))",
        ),
        _stat("Dropped by plugins", "By their own count.", f"sum({PLUGIN_DROPPED.name})"),
        _stat(
            "Without series of their own",
            "Changes that went to an overflow series: raise the bound of the family that is named.",
            f"(max by (metric) ({OVERFLOW.name}) > 0) or vector(0)",
            "{{metric}}",
        ),
        _stat("Contradicted ends", "Ends that came after a run's first and changed no total.", f"max({CORRECTIONS.name})"),
    ),
)

_FRESH = Row(
    "Is it fresh?",
    (
        Panel(
            title="Plugins behind",
            help="Age of the oldest event that a plugin has not handled.",
            unit="s",
            queries=(Query(f"max by (plugin) ({PLUGIN_LAG_SECONDS.name})", "{{plugin}}"),),
        ),
        Panel(
            title="Events behind",
            help="In the log, and not handled by the plugin.",
            queries=(Query(f"max by (plugin) ({PLUGIN_LAG_EVENTS.name})", "{{plugin}}"),),
        ),
        Panel(
            title="Events",
            help="A second, by type.",
            unit="cps",
            queries=(Query(f"topk(10, sum by (type) (rate({EVENTS.name}[$__rate_interval]) {LEADING}))", "{{type}}"),),
        ),
        Panel(
            title="Calls of plugins that failed",
            help="They are tried again, and then without the event that they cannot take.",
            queries=(Query(f"sum by (plugin) (increase({PLUGIN_ERRORS.name}[$__rate_interval]))", "{{plugin}}"),),
        ),
        Panel(
            title="Clocks",
            help="The server's minus that of each machine's writers.",
            unit="s",
            queries=(Query(f"max by (machine) ({WRITER_SKEW.name})", "{{machine}}"),),
        ),
        Panel(
            title="Sources",
            help="1 while a source's other side answers.",
            queries=(Query(f"min by (source) ({SOURCE_UP.name}) or vector(1)", "{{source}}"),),
        ),
        Panel(
            title="Servers",
            help="1 leads, 0 stands by.",
            kind="table",
            width=24,
            height=5,
            queries=(
                Query(f"max by (instance) ({LEADER.name})", column="leads"),
                Query(f"max by (instance, version) ({BUILD_INFO.name})", column="is up"),
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="flowtell-itself",
    title="flowtell / flowtell itself",
    help="Whether what the other dashboards show is complete and fresh.",
    rows=(_COMPLETE, _FRESH),
    by_flow=False,
)
