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
    """Counts every event once. The totals that a batch changed move with the cursor, and are read back by the next.

    A scrape sees committed rows alone, so no series goes backwards when the server is killed, and shares nothing with
    `handle` but the store, whose readers and writer do not wait for each other.
    """

    tables = metadata

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._tally: Tally | None = None

    def open(self, context: Context) -> None:
        super().open(context)
        context.mount("/metrics", MetricsPage(context))

    def handle(self, events: Sequence[Event]) -> None:
        tally = self._tally = self._tally or self._restored()
        tally.take(events)
        new, changed = tally.changed_totals()
        gone, opened = tally.changed_runs()
        self._write(insert_totals, new)
        self._write(update_totals, changed)
        self._write(delete_run, gone)
        self._write(insert_run, opened)

    def _restored(self) -> Tally:
        """What the tables hold. Not read in `open`, as most reading commands find nothing new to count."""
        tally = Tally(self._limits)
        tally.restore(self.context.read(select(totals)), self.context.read(select(open_runs)))
        return tally

    def _write(self, statement: Any, rows: Rows) -> None:
        if rows:
            self.context.write(statement, rows)
