"""What events of assets, capacity, incidents, notifications and sources change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from flowtell.events import Event, RuleData
from flowtell_exporters.exemplars import exemplar_of, keep
from flowtell_exporters.ledger import Ledger
from flowtell_exporters.open_runs import OpenRuns
from flowtell_exporters.subjects import Subject, clean_label
from flowtell_exporters.totals import MOST_OPEN, AssetTotals, IncidentTotals

Acts = dict[str, Callable[[Any], object]]

_ENDS: Final = {"asset.materialized": "materialized", "asset.cached": "cached", "asset.failed": "failed"}


class AssetCounts:
    """Assets that runs make; one that is only read or observed is none of them."""

    def __init__(self, ledger: Ledger, runs: OpenRuns) -> None:
        self._ledger, self._runs = ledger, runs
        self.acts: Acts = {
            "asset.declared": self._asset,
            **dict.fromkeys(_ENDS, self._ended),
            "asset.removed": self._removed,
        }

    def _asset(self, event: Any) -> Subject[AssetTotals]:
        asset = self._ledger.assets[event.asset, event.environment]
        asset.totals.seen = event.received
        self._ledger.touched.add(asset)
        return asset

    def _ended(self, event: Any) -> None:
        if event.role == "output":
            moment = min(event.time, event.received or event.time)
            exemplar = exemplar_of(event, self._runs.trace_of(event.run))
            self._asset(event).totals.end_materialization(_ENDS[event.type], moment, exemplar)

    def _removed(self, event: Any) -> None:
        asset = self._ledger.assets.known(event.asset, event.environment)
        if asset is not None:
            self._ledger.remove(self._ledger.assets, asset)


class CapacityCounts:
    """Pools, queues, workers and limits."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.acts: Acts = {"capacity.observed": self._observed}

    def _observed(self, event: Any) -> None:
        capacity = self._ledger.capacities[event.kind, event.pool, event.name]
        capacity.totals.observe(event)
        capacity.totals.seen = event.received
        self._ledger.touched.add(capacity)


class IncidentCounts:
    """Incidents by kind of rule, there at 0 from when a rule is declared; and what channels were told of them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.acts: Acts = {
            "rule.declared": lambda event: self._rules([event.rule] if event.rule else [], event),
            "incident.opened": self._opened,
            "incident.resolved": self._resolved,
            "notification.sent": lambda event: self._told(event, "sent"),
            "notification.failed": lambda event: self._told(event, "given_up" if event.permanent else "failed"),
        }

    def flow_declared(self, event: Any) -> None:
        """A flow's declaration brings its rules."""
        self._rules(event.rules, event)

    def _rules(self, rules: Iterable[RuleData], event: Event) -> None:
        for rule in rules:
            self._kind(rule, rule.severity, event)

    def _kind(self, rule: RuleData | None, severity: str, event: Event) -> Subject[IncidentTotals]:
        kind = self._ledger.incidents[rule.kind if rule else "", severity, event.environment]
        kind.totals.seen = event.received
        self._ledger.touched.add(kind)
        return kind

    def _opened(self, event: Any) -> None:
        totals = self._kind(event.rule, event.severity, event).totals
        totals.opened += 1
        keep(totals.exemplars, "", exemplar_of(event, ""))
        if len(totals.open) < MOST_OPEN:
            totals.open.append(clean_label(event.incident))

    def _resolved(self, event: Any) -> None:
        """An incident may be resolved under another severity than it was opened under."""
        incident = clean_label(event.incident)
        kinds = [self._kind(event.rule, event.severity, event), *self._ledger.incidents.values()]
        kind = next((kind for kind in kinds if incident in kind.totals.open), None)
        if kind is not None:
            kind.totals.open.remove(incident)
            self._ledger.touched.add(kind)

    def _told(self, event: Any, outcome: str) -> None:
        channel = self._ledger.channels[(event.channel,)]
        channel.totals.outcomes[outcome] += 1
        channel.totals.seen = event.received
        self._ledger.touched.add(channel)


class SourceCounts:
    """Whether sources are up."""

    def __init__(self, ledger: Ledger) -> None:
        self._own = ledger.own
        self.acts: Acts = {"source.up": self._moved, "source.down": self._moved}

    def _moved(self, event: Event) -> None:
        self._own.totals.hear(clean_label(event.source), event.time, int(event.type == "source.up"))
