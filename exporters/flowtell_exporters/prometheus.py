"""The Prometheus plugin: keeps exact totals beside its cursor and serves `/metrics` from what is committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from flowtell.events import Event
from flowtell.plugin import BasePlugin, Context
from flowtell_exporters._settings import settings
from flowtell_exporters.metrics_page import MetricsPage
from flowtell_exporters.tables import (
    delete_run,
    insert_run,
    insert_totals,
    metadata,
    open_runs,
    totals,
    update_totals,
)
from flowtell_exporters.tally import Limits, Rows, Tally


def create(config: Mapping[str, Any]) -> Prometheus:
    """The factory that the entry point `prometheus` names."""
    return Prometheus(settings(Limits, config, "prometheus"))


class Prometheus(BasePlugin):
    """Counts every event once. The totals that a batch changed move with the cursor, and are read back in `open`.

    A scrape sees committed rows alone, so no series goes backwards when the server is killed, and shares nothing with
    `handle` but the store, whose readers and writer do not wait for each other.
    """

    tables = metadata

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def open(self, context: Context) -> None:
        super().open(context)
        self._tally = Tally(self._limits)
        self._tally.restore(context.read(select(totals)), context.read(select(open_runs)))
        context.mount("/metrics", MetricsPage(context))

    def handle(self, events: Sequence[Event]) -> None:
        self._tally.take(events)
        new, changed = self._tally.changed_totals()
        gone, opened = self._tally.changed_runs()
        self._write(insert_totals, new)
        self._write(update_totals, changed)
        self._write(delete_run, gone)
        self._write(insert_run, opened)

    def _write(self, statement: Any, rows: Rows) -> None:
        if rows:
            self.context.write(statement, rows)
