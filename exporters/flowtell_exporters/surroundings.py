"""Families that no event feeds: plugins, writers and the build, as they are at the scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from sqlalchemy import case, func, select

from flowtell.plugin import Context, PluginStatus
from flowtell.store.tables import writers
from flowtell.version import VERSION
from flowtell_exporters import families
from flowtell_exporters.exposition import label_text, sample
from flowtell_exporters.families import Family
from flowtell_exporters.subjects import clean_label

_live_skew: Final = case((writers.c.ended.is_(None), writers.c.skew))
_by_machine: Final = (
    select(
        writers.c.machine,
        func.sum(writers.c.dropped).label("dropped"),
        func.min(_live_skew).label("lowest"),
        func.max(_live_skew).label("highest"),
    )
    .group_by(writers.c.machine)
    .order_by(writers.c.machine)
)
_FRESH_MICROSECONDS: Final = 1_000_000


class Surroundings:
    """Reads the writers' table at most once a second, however often it is scraped."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._writers: Mapping[str, Iterable[str]] = {}
        self._stale_at = 0

    def texts(self) -> dict[str, Iterable[str]]:
        """The lines of each family by its name."""
        now = self._context.clock()
        if now >= self._stale_at:
            self._writers = writer_texts(self._context.read(_by_machine))
            self._stale_at = now + _FRESH_MICROSECONDS
        build = sample(families.BUILD_INFO.name, label_text(families.BUILD_INFO.labels, (VERSION,)), 1)
        return {families.BUILD_INFO.name: [build], **self._writers, **plugin_texts(self._context.plugins())}


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
