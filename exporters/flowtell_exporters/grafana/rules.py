"""Prometheus rules: what to be woken for when flowtell's own alerts are not used, or when flowtell itself is the trouble."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from flowtell_exporters.families import (
    BUILD_INFO,
    EVENTS_DROPPED,
    FLOW_RUNS,
    LAST_COMPLETION,
    LAST_SUCCESS,
    MATERIALIZATIONS,
    NEXT_DUE,
    NOTIFICATIONS,
    OVERFLOW,
    PLUGIN_LAG_SECONDS,
    SOURCE_UP,
    Family,
)
from flowtell_exporters.grafana.expressions import BAD, increase

RUNBOOK: Final = "docs/grafana.md#rules"


class Thresholds(Struct, frozen=True, kw_only=True):
    """What is late, stale and too much, the same for all flows: a flow's own rules know it better."""

    late_seconds: float = 900.0
    stale_days: float = 2.0
    objective: float = 0.99
    """Share of runs that should end well."""


class PrometheusRule(Struct, frozen=True, kw_only=True):
    alert: str
    expr: str
    summary: str
    description: str
    severity: str = "warning"
    wait: str = "0m"
    """How long it must hold."""

    def document(self) -> dict[str, Any]:
        return {
            "alert": self.alert,
            "expr": self.expr,
            "for": self.wait,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "description": self.description},
        }


_FLOW: Final = "flow {{ $labels.flow }} ({{ $labels.environment }})"


def groups(thresholds: Thresholds) -> list[dict[str, Any]]:
    """All rules, as a rule file has them."""
    made = {"flowtell-flows": flow_rules(thresholds), "flowtell-assets": asset_rules(thresholds), "flowtell": own_rules()}
    return [{"name": name, "rules": [rule.document() for rule in rules]} for name, rules in made.items()]


def flow_rules(thresholds: Thresholds) -> list[PrometheusRule]:
    budget = 1 - thresholds.objective
    return [
        PrometheusRule(
            alert="FlowtellFlowFailing",
            expr=(
                f"{increase(FLOW_RUNS, BAD, 'flow, environment', '1h')} > 0\n"
                f"unless on (flow, environment) {LAST_SUCCESS.name} >= {LAST_COMPLETION.name}"
            ),
            summary=f"{_FLOW} fails",
            description="Runs failed, crashed or timed out in the last hour, and none has ended well since.",
        ),
        PrometheusRule(
            alert="FlowtellFlowLate",
            expr=f"time() - min by (flow, environment) ({NEXT_DUE.name}) > {thresholds.late_seconds:g}",
            summary=f"{_FLOW} is late",
            description="A run was due {{ $value | humanizeDuration }} ago and has not started.",
        ),
        PrometheusRule(
            alert="FlowtellFlowStale",
            expr=_stale(FLOW_RUNS, 'state=~"completed|cached"', "flow, environment", thresholds.stale_days),
            summary=f"{_FLOW} has not succeeded for {thresholds.stale_days:g} days",
            description="It ended well at least five times in the week before.",
        ),
        PrometheusRule(
            alert="FlowtellBudgetBurning",
            expr=_burn(budget, factor=10, window="6h", recent="1h", at_least=3),
            summary=f"{_FLOW} burns its budget of bad runs",
            description=(
                f"Of its runs of the last 6 hours {{{{ $value | humanizePercentage }}}} ended badly, at least 3 of them, "
                f"and the last hour went on so; {budget:.1%} may."
            ),
            severity="critical",
        ),
        PrometheusRule(
            alert="FlowtellBudgetBurningSlowly",
            expr=_burn(budget, factor=2, window="3d", recent="6h", at_least=5),
            summary=f"{_FLOW} uses up its budget of bad runs",
            description=(
                f"Of its runs of the last 3 days {{{{ $value | humanizePercentage }}}} ended badly, at least 5 of them, "
                f"and the last 6 hours went on so; {budget:.1%} may."
            ),
        ),
    ]


def asset_rules(thresholds: Thresholds) -> list[PrometheusRule]:
    asset = "asset {{ $labels.asset }} ({{ $labels.environment }})"
    return [
        PrometheusRule(
            alert="FlowtellAssetStale",
            expr=_stale(MATERIALIZATIONS, 'state="materialized"', "asset, environment", thresholds.stale_days),
            summary=f"{asset} has not been materialized for {thresholds.stale_days:g} days",
            description="It was at least five times in the week before.",
        ),
    ]


def own_rules() -> list[PrometheusRule]:
    return [
        PrometheusRule(
            alert="FlowtellSourceBlind",
            expr=f"max by (source) ({SOURCE_UP.name}) == 0",
            wait="5m",
            summary="source {{ $labels.source }} does not answer",
            description="What runs there is not seen: flows that look quiet may fail.",
            severity="critical",
        ),
        PrometheusRule(
            alert="FlowtellPluginBehind",
            expr=f"{PLUGIN_LAG_SECONDS.name} > 300",
            wait="5m",
            summary="plugin {{ $labels.plugin }} is {{ $value | humanizeDuration }} behind",
            description="What it shows or sends is that old. `flowtell plugins list` says why.",
        ),
        PrometheusRule(
            alert="FlowtellEventsLost",
            expr=f"max by (machine) (increase({EVENTS_DROPPED.name}[1h])) > 0",
            summary="events of {{ $labels.machine }} were lost",
            description="No journal took them: its disk may be full or read only.",
        ),
        PrometheusRule(
            alert="FlowtellSeriesOverflow",
            expr=f"max by (metric) (increase({OVERFLOW.name}[1h])) > 0",
            summary="{{ $labels.metric }} has more series than it may",
            description="New names are counted together. Raise the bound in [plugin.prometheus], or stop who invents names.",
        ),
        PrometheusRule(
            alert="FlowtellMessagesGivenUp",
            expr=f'max by (channel) (increase({NOTIFICATIONS.name}{{outcome="given_up"}}[1h])) > 0',
            summary="messages to {{ $labels.channel }} were given up",
            description="Nobody may know of an incident. `flowtell alerts list` shows which are open.",
            severity="critical",
        ),
        PrometheusRule(
            alert="FlowtellDown",
            expr=f"absent({BUILD_INFO.name})",
            wait="5m",
            summary="no flowtell is scraped",
            description="No rule above can fire.",
            severity="critical",
        ),
        PrometheusRule(
            alert="FlowtellWatchdog",
            expr="vector(1)",
            summary="always fires",
            description="Route it to what tells somebody when it stops: then Prometheus or its Alertmanager is down.",
            severity="none",
        ),
    ]


def _stale(family: Family, where: str, by: str, days: float) -> str:
    """Not for so long, though at least five times in the week before that: what comes once a month is not stale."""
    hours = f"{days * 24:g}h"
    recent = f"{increase(family, where, by, hours)} == 0"
    of_each = f"sum by ({by}, job, instance) (increase({family.name}{{{where}}}[1w] offset {hours}))"
    before = f"max by ({by}) ({of_each}) >= 5"  # whoever led then
    return f"{recent}\nand {before}"


def _burn(budget: float, *, factor: float, window: str, recent: str, at_least: int) -> str:
    """Counted in runs: a share of those that ended, only where enough ended badly, and still going on."""
    bad, share = _ended(window, BAD), f"{_ended(window, BAD)} / {_ended(window)} > {factor * budget:g}"
    still = f"{_ended(recent, BAD)} / {_ended(recent)} > {factor * budget:g}"
    return f"{share}\nand {bad} >= {at_least}\nand {still}"


def _ended(window: str, where: str = "") -> str:
    return increase(FLOW_RUNS, where, "flow, environment", window)
