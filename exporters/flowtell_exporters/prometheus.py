"""The Prometheus plugin: keeps exact totals beside its cursor and serves `/metrics` from what is committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flowtell.events import Event
from flowtell.plugin import BasePlugin, Context
from flowtell_exporters.ledger import Rows
from flowtell_exporters.metrics_page import MetricsPage
from flowtell_exporters.prometheus_settings import Settings, settings_of
from flowtell_exporters.scrape import Scrape
from flowtell_exporters.tables import (
    all_open_runs,
    all_totals,
    delete_run,
    delete_totals,
    insert_run,
    insert_totals,
    metadata,
    traces_of,
    update_totals,
)
from flowtell_exporters.tally import Tally

_EXPIRY_EVERY: Final = 3_600_000_000
"""µs between two looks for what nobody has named for long."""


def create(config: Mapping[str, Any]) -> Prometheus:
    """The factory that the entry point `prometheus` names."""
    return Prometheus(settings_of(config))


class Prometheus(BasePlugin):
    """Counts every event once. The totals that a batch changed move with the cursor, and are read back by the next.

    A scrape sees committed rows alone, so no series goes backwards when the server is killed, and shares nothing with
    `handle` but the store, whose readers and writer do not wait for each other.
    """

    tables = metadata
    tick_seconds = 60.0

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tally: Tally | None = None
        self._expired_at = 0

    def open(self, context: Context) -> None:
        super().open(context)
        context.mount("/metrics", MetricsPage(Scrape(context, self._settings.max_flows).text))

    def handle(self, events: Sequence[Event]) -> None:
        tally = self._tally = self._tally or self._restored()
        tally.take(events)
        self._write_changes(tally)

    def tick(self, now: int) -> None:
        """Once an hour, let go of what nobody has named for long."""
        if now - self._expired_at < _EXPIRY_EVERY:
            return
        self._expired_at = now
        tally = self._tally = self._tally or self._restored()
        tally.expire(now)
        self._write_changes(tally)

    def _restored(self) -> Tally:
        """What the tables hold. Not read in `open`, as most reading commands find nothing new to count."""
        tally = Tally(self._settings)
        read = self.context.read
        opened = read(all_open_runs)
        traces = {row.id: row.trace for asked in traces_of([row.run for row in opened]) for row in read(asked)}
        tally.restore(read(all_totals), opened, traces)
        return tally

    def _write_changes(self, tally: Tally) -> None:
        new, changed = tally.changed_totals()
        gone, opened = tally.changed_runs()
        self._write(delete_totals, tally.gone_totals())
        self._write(insert_totals, new)
        self._write(update_totals, changed)
        self._write(delete_run, gone)
        self._write(insert_run, opened)

    def _write(self, statement: Any, rows: Rows) -> None:
        if rows:
            self.context.write(statement, rows)
