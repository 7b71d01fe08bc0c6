"""Families that no event feeds: plugins, writers, runs that are due, and the build, as they are at the scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, case, cast, func, select

from flowtell.plugin import Context, PluginStatus
from flowtell.store.tables import runs, writers
from flowtell.version import VERSION
from flowtell_exporters import families
from flowtell_exporters.exposition import KINDS, label_text, sample
from flowtell_exporters.families import Family
from flowtell_exporters.subjects import OVERFLOW_LABEL, clean_label
from flowtell_exporters.tables import totals

_live_skew: Final = case((writers.c.ended.is_(None), writers.c.skew))
_by_machine: Final = (
    select(
        writers.c.machine,
        cast(func.sum(writers.c.dropped), BigInteger).label("dropped"),  # PostgreSQL sums into a decimal
        func.min(_live_skew).label("lowest"),
        func.max(_live_skew).label("highest"),
    )
    .group_by(writers.c.machine)
    .order_by(writers.c.machine)
)
_first_due: Final = (
    select(runs.c.flow, runs.c.environment, func.min(runs.c.due).label("due"))
    .where(runs.c.ended.is_(None), runs.c.started.is_(None), runs.c.due.is_not(None))
    .group_by(runs.c.flow, runs.c.environment)
)
"""From the log's own table of runs, which any order of events comes to the same in; its index holds the open runs alone."""
_scheduled: Final = select(totals.c.labels, totals.c.data).where(totals.c.kind == "deployment")
_FRESH_MICROSECONDS: Final = {"writers": 1_000_000, "due": 5_000_000}


class Surroundings:
    """Reads the writers' table at most once a second and the open runs each five, however often it is scraped."""

    def __init__(self, context: Context, max_flows: int) -> None:
        self._context, self._max_flows = context, max_flows
        self._read: dict[str, tuple[int, Mapping[str, Iterable[str]]]] = {}

    def texts(self) -> dict[str, Iterable[str]]:
        """The lines of each family by its name."""
        build = sample(families.BUILD_INFO.name, label_text(families.BUILD_INFO.labels, (VERSION,)), 1)
        plugins = self._context.plugins()
        return {
            families.BUILD_INFO.name: [build],
            families.LEADER.name: [leader_text(plugins)],
            **self._fresh("writers", lambda: writer_texts(self._context.read(_by_machine))),
            **self._fresh("due", self._due),
            **plugin_texts(plugins),
        }

    def _due(self) -> Mapping[str, Iterable[str]]:
        """Of runs that are known and have not started, and of schedules whose next run is not known yet."""
        runs_due = ((row.flow, row.environment, row.due) for row in self._context.read(_first_due))
        return due_texts([*runs_due, *schedules_due(self._context.read(_scheduled))], self._max_flows)

    def _fresh(self, what: str, texts: Callable[[], Mapping[str, Iterable[str]]]) -> Mapping[str, Iterable[str]]:
        now = self._context.clock()
        stale_at, read = self._read.get(what, (0, {}))
        if now >= stale_at:
            read = texts()
            self._read[what] = now + _FRESH_MICROSECONDS[what], read
        return read


def schedules_due(deployments: Iterable[Any]) -> Iterator[tuple[str, str, int]]:
    """Flow, environment and due time of each deployment whose schedules have one."""
    for row in deployments:
        counted = KINDS["deployment"].decode(row.data)
        if counted.next_due:
            flow, _, environment = msgspec.json.decode(row.labels)
            yield flow, environment, counted.next_due


def due_texts(times: Iterable[tuple[str, str, int]], max_flows: int) -> dict[str, Iterable[str]]:
    """When each flow's next run is due, of its due times; beyond `max_flows` of them the soonest of the rest."""
    family, soonest = families.NEXT_DUE, dict[tuple[str, ...], int]()
    for flow, environment, due in sorted(times, key=lambda each: each[2]):
        labels = clean_label(flow), clean_label(environment)
        if labels not in soonest and len(soonest) >= max_flows:
            labels = OVERFLOW_LABEL, OVERFLOW_LABEL
        soonest.setdefault(labels, due)
    lines = [sample(family.name, label_text(family.labels, labels), due / 1e6) for labels, due in soonest.items()]
    return {family.name: lines}


def leader_text(plugins: Iterable[PluginStatus]) -> str:
    """A server that stands by says so of its plugins."""
    return sample(families.LEADER.name, "", 0 if any(plugin.state == "standby" for plugin in plugins) else 1)


def plugin_texts(plugins: Iterable[PluginStatus]) -> dict[str, Iterable[str]]:
    facts: dict[Family, Callable[[PluginStatus], float]] = {
        families.PLUGIN_LAG_EVENTS: lambda plugin: plugin.lag_events,
        families.PLUGIN_LAG_SECONDS: lambda plugin: plugin.lag_seconds,
        families.PLUGIN_ERRORS: lambda plugin: plugin.errors,
        families.PLUGIN_DROPPED: lambda plugin: plugin.dropped,
    }
    named = list(plugins)
    return {family.name: [_line(family, plugin.name, fact(plugin)) for plugin in named] for family, fact in facts.items()}


def writer_texts(machines: Iterable[Any]) -> dict[str, Iterable[str]]:
    """Dropped events and the widest skew of each machine's writers; a machine whose writers all ended has no skew."""
    named = [row for row in machines if row.machine]
    skews = [(row.machine, max(row.lowest, row.highest, key=abs)) for row in named if row.highest is not None]
    return {
        families.EVENTS_DROPPED.name: [_line(families.EVENTS_DROPPED, row.machine, row.dropped) for row in named],
        families.WRITER_SKEW.name: [_line(families.WRITER_SKEW, machine, skew) for machine, skew in skews],
    }


def _line(family: Family, label: str, value: float) -> str:
    return sample(family.name, label_text(family.labels, (clean_label(label),)), value)
