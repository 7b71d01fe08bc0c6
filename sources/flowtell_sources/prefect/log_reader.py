"""Reads log records as they come, where that is switched on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from flowtell.events import Event
from flowtell_sources.prefect.api import PrefectApi
from flowtell_sources.prefect.directory import Directory, Recent
from flowtell_sources.prefect.identity import iso, moment
from flowtell_sources.prefect.logs import log_recorded

_EVERY_SECONDS: Final = 10.0
_OVERLAP: Final = 30_000_000
"""µs that records are read again: clients send them some seconds after their time."""


class LogReader:
    """For one thread. Told again, a record is the same record."""

    def __init__(self, api: PrefectApi, directory: Directory, since: int) -> None:
        self._api, self._directory = api, directory
        self._since = since
        self._expected = True
        self._read_at = 0.0
        self._told: Recent[bool] = Recent()

    def expect(self) -> None:
        """Something happens there, of which there will be records."""
        self._expected = True

    @property
    def due(self) -> float:
        """When to read next, by the monotonic clock; never while nothing happens there."""
        return self._read_at + _EVERY_SECONDS if self._expected else float("inf")

    def pages(self) -> Iterator[list[Event]]:
        """Records since a moment before the newest, a page at a time."""
        self._read_at, self._expected = time.monotonic(), False
        wanted = {"logs": {"timestamp": {"after_": iso(self._since - _OVERLAP)}}, "sort": "TIMESTAMP_ASC"}
        for page in self._api.pages("logs", wanted):
            news = [record for record in page if str(record.get("id")) not in self._told]
            yield self._told_of(news)
            self._expected |= bool(news)
            self._since = max([self._since, *(moment(record.get("timestamp")) or 0 for record in page)])

    def _told_of(self, records: list[dict[str, Any]]) -> list[Event]:
        self._directory.flow_runs(str(record.get("flow_run_id") or "") for record in records)
        made: list[Event] = []
        for record in records:
            self._told.put(str(record.get("id")), value=True)
            known = self._directory.runs.get(str(record.get("flow_run_id") or ""))
            facts = {"run": known.id, "flow": known.flow, "root_run": known.root_run} if known else {}
            task = self._directory.tasks.get(str(record.get("task_run_id") or ""), "")
            event = log_recorded(record, {**facts, "task": task})
            made += [event] if event is not None else []
        return made
