"""The plugin `prefect_metrics`: keeps what exists and which runs count, and serves `/metrics/prefect`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from flowtell.events import Event
from flowtell.plugin import BasePlugin, Context
from flowtell.plugin_settings import settings
from flowtell.store.tables import runs as log_runs
from flowtell_exporters.metrics_page import MetricsPage
from flowtell_exporters.prefect_compat.ledger import KEPT, Ledger, Rows
from flowtell_exporters.prefect_compat.scrape import Scrape
from flowtell_exporters.prefect_compat.settings import Settings
from flowtell_exporters.prefect_compat.tables import (
    delete_run,
    delete_thing,
    insert_run,
    insert_thing,
    metadata,
    runs,
    things,
)


def create(config: Mapping[str, Any]) -> PrefectMetrics | None:
    """The factory that the entry point names. None, and so off, unless `enabled` is true."""
    wanted = settings(Settings, config, "prefect_metrics")
    return PrefectMetrics(wanted) if wanted.enabled else None


class PrefectMetrics(BasePlugin):
    """A projection: its rows move with the cursor, so a restart counts nothing twice and forgets nothing."""

    wants = (
        "flow.declared",
        "deployment.declared",
        "deployment.removed",
        "capacity.observed",
        "flow_run.scheduled",
        "flow_run.pending",
        "flow_run.late",
        "flow_run.waiting",
        "flow_run.started",
        "flow_run.retrying",
        "flow_run.paused",
        "flow_run.resumed",
        "flow_run.cancelling",
        "flow_run.finished",
        "flow_run.removed",
    )
    tables = metadata
    tick_seconds = 60.0

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ledger: Ledger | None = None

    def open(self, context: Context) -> None:
        super().open(context)
        context.mount("/metrics/prefect", MetricsPage(Scrape(context, self._settings).text, openmetrics=False))

    def handle(self, events: Sequence[Event]) -> None:
        ledger = self._restored()
        ledger.take(events, self._ended)
        self._save(ledger)

    def tick(self, now: int) -> None:
        ledger = self._restored()
        ledger.forget(now - KEPT)
        self._save(ledger)

    def _restored(self) -> Ledger:
        if self._ledger is None:
            self._ledger = Ledger(self._settings)
            self._ledger.restore(self.context.read(select(things)), self.context.read(select(runs)))
        return self._ledger

    def _ended(self, asked: Sequence[str]) -> set[str]:
        over = select(log_runs.c.id).where(log_runs.c.id.in_(asked), log_runs.c.ended.is_not(None))
        return {row.id for row in self.context.read(over)}

    def _save(self, ledger: Ledger) -> None:
        gone, kept = ledger.changed_runs()
        old, new = ledger.changed_things()
        for statement, rows in ((delete_run, gone), (insert_run, kept), (delete_thing, old), (insert_thing, new)):
            self._write(statement, rows)

    def _write(self, statement: Any, rows: Rows) -> None:
        if rows:
            self.context.write(statement, rows)
