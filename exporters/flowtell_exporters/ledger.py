"""All subjects of the tally by kind, what of them changed, and their rows: given out, taken back in, and expired."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from flowtell.decoders import decoder
from flowtell_exporters import families
from flowtell_exporters.histogram import Histogram
from flowtell_exporters.prometheus_settings import Settings
from flowtell_exporters.subjects import Subject, Subjects
from flowtell_exporters.totals import (
    AssetTotals,
    CapacityTotals,
    DeploymentTotals,
    FlowTotals,
    IncidentTotals,
    MeasureTotals,
    NotificationTotals,
    OwnTotals,
    TaskTotals,
)

Rows = list[dict[str, Any]]

DAY: Final = 86_400_000_000
"""µs."""

_encode: Final = msgspec.json.Encoder().encode


class Ledger:
    """Subjects are changed through whoever counts; what is in `touched` is written next."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.own = Subject(0, "own", (), OwnTotals())
        new = self._new_id
        self.flows = Subjects("flow", 2, FlowTotals, settings.max_flows, new_id=new, make=self._new_flow)
        self.tasks = Subjects("task", 3, TaskTotals, settings.max_tasks, new_id=new)
        self.deployments = Subjects("deployment", 3, DeploymentTotals, settings.max_deployments, new_id=new)
        self.measures = Subjects("measure", 4, MeasureTotals, settings.max_measures, new_id=new)
        self.capacities = Subjects("capacity", 3, CapacityTotals, settings.max_capacities, new_id=new)
        self.assets = Subjects("asset", 2, AssetTotals, settings.max_assets, new_id=new)
        self.incidents = Subjects("incident", 3, IncidentTotals, settings.max_incidents, new_id=new)
        self.channels = Subjects("channel", 1, NotificationTotals, settings.max_channels, new_id=new)
        self.bounded: Mapping[str, Subjects[Any]] = {
            families.FLOW_RUNS.name: self.flows,
            families.TASK_RUNS.name: self.tasks,
            families.DEPLOYMENT_RUNS.name: self.deployments,
            families.MEASURE.name: self.measures,
            families.CAPACITY_USED.name: self.capacities,
            families.MATERIALIZATIONS.name: self.assets,
            families.INCIDENTS.name: self.incidents,
            families.NOTIFICATIONS.name: self.channels,
        }
        """By the family that is named when there are too many."""
        self.touched: set[Subject[Any]] = set()
        self._gone: Rows = []
        self._version = 0

    def _new_id(self) -> int:
        self.own.totals.last_id += 1
        return self.own.totals.last_id

    def _new_flow(self) -> FlowTotals:
        settings = self.settings
        return FlowTotals(
            duration=Histogram(bounds=settings.duration_buckets), delay=Histogram(bounds=settings.delay_buckets)
        )

    # --- letting go -----------------------------------------------------------------------------------------------

    def remove(self, subjects: Subjects[Any], subject: Subject[Any]) -> None:
        """Its series end; named again, it begins at 0."""
        del subjects[subject.labels]
        self.touched.discard(subject)
        if subject.stored:
            self._gone.append({"key": subject.id})
            self.own.totals.expired += 1
            self.touched.add(self.own)

    def expire(self, now: int, is_busy: Callable[[Subject[Any]], bool]) -> None:
        """Remove what no event has named for the configured time and `is_busy` does not speak for."""
        expiring: tuple[Subjects[Any], ...] = self.flows, self.tasks, self.deployments, self.measures, self.assets
        for subjects in (*expiring, self.capacities):
            for subject in list(subjects.values()):
                self._expire(subjects, subject, now, is_busy)

    def _expire(self, subjects: Subjects[Any], subject: Subject[Any], now: int, is_busy: Callable[[Any], bool]) -> None:
        days = self.settings.worker_expire_days if _is_worker(subject) else self.settings.expire_days
        if not subject.totals.seen:  # a row of the first release
            subject.totals.seen = now
            self.touched.add(subject)
        elif days and subject.totals.seen < now - days * DAY and not subject.is_overflow and not is_busy(subject):
            self.remove(subjects, subject)

    # --- the rows, and back ---------------------------------------------------------------------------------------

    def changed(self) -> tuple[Rows, Rows]:
        """Rows to insert and rows to update, for what was touched since the last call."""
        touched, new, old = list(self.touched), Rows(), Rows()
        self.touched.clear()
        self._version += 1
        version = self._version
        for subject in touched:
            text = _encode(subject.totals).decode()
            if subject.stored:
                old.append({"key": subject.id, "version": version, "data": text})
            else:
                labels = _encode(subject.labels).decode()
                new.append({"id": subject.id, "kind": subject.kind, "labels": labels, "version": version, "data": text})
                subject.stored = True
        return new, old

    def gone(self) -> Rows:
        """Rows to delete since the last call."""
        gone, self._gone = self._gone, []
        return gone

    def restore(self, rows: Iterable[Any]) -> dict[int, Subject[Any]]:
        """Take in the rows that an earlier ledger gave out; by their ids. Only on a new one."""
        by_kind: dict[str, Subjects[Any]] = {subjects.kind: subjects for subjects in self.bounded.values()}
        by_id, highest = {}, 0
        for row in rows:
            highest, self._version = max(highest, row.id), max(self._version, row.version)
            if row.kind == self.own.kind:
                self._restore_own(row)
            else:
                by_id[row.id] = by_kind[row.kind].restore(row)
        self.own.totals.last_id = max(self.own.totals.last_id, highest)
        return by_id

    def _restore_own(self, row: Any) -> None:
        self.own.totals, self.own.stored = decoder(OwnTotals)(row.data), True
        for metric, number in self.own.totals.overflow.items():
            if metric in self.bounded:
                self.bounded[metric].overflowed = number


def _is_worker(subject: Subject[Any]) -> bool:
    return subject.kind == "capacity" and subject.labels[0] == "worker"
