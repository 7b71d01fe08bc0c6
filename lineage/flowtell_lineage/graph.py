"""The fold of asset events into assets and edges. Any order of the same events comes to the same graph.

An edge is added by what made data or says that it reads, never by a failure, and nothing takes one away: a run that
failed proves nothing about what its asset is made of.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final, Self

from msgspec import Struct

from flowtell.events import (
    AssetCached,
    AssetChecked,
    AssetDeclared,
    AssetFailed,
    AssetMaterialized,
    AssetMaterializing,
    AssetObserved,
    AssetRemoved,
    Event,
    encode_value,
)
from flowtell_lineage.identity import number
from flowtell_lineage.sql_columns import columns_told, upstream_told

REMOVED: Final = AssetRemoved.type
ALONE: Final = 0
"""`upstream` of a sighting that names the asset itself."""

MADE: Final = (AssetMaterialized, AssetCached)
ENDS: Final = (*MADE, AssetFailed)
STATING: Final = (*MADE, AssetDeclared, AssetObserved)


class Row(Struct):
    """A row that grows by events. The fields named in `key` are its table's key."""

    key: ClassVar[tuple[str, ...]] = ("id",)

    def at(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.key)


class Seen(Row):
    """A row that knows since when and until when it was seen, by writers' clocks."""

    first_seen: int
    last_seen: int

    def see(self, time: int) -> Self:
        self.first_seen, self.last_seen = min(self.first_seen, time), max(self.last_seen, time)
        return self


class AssetRow(Seen, kw_only=True):
    """One row of `lineage_nodes`."""

    id: int
    asset: str
    removed: int = 0
    declared: int = 0
    name: str = ""
    kind: str = ""
    description: str = ""
    owners: str = "[]"
    tags: str = "[]"
    metadata: str = "{}"
    outcome: str = ""
    changed: int = 0
    state: str = ""
    materialization: str = ""
    materialized: int = 0
    materializations: int = 0

    def declare(self, event: AssetDeclared) -> None:
        """Keep the latest declaration; of two in one microsecond the same one in any order."""
        described = event.name, event.kind, event.description
        said = event.time, *described, as_json(event.owners), as_json(event.tags), as_json(event.metadata)
        known = self.declared, self.name, self.kind, self.description, self.owners, self.tags, self.metadata
        self.declared, self.name, self.kind, self.description, self.owners, self.tags, self.metadata = max(known, said)

    def note_outcome(self, event: Any, *, made: bool) -> None:
        """Keep which outcome is the latest, by its writer's clock, and which of those that made data."""
        moment = event.time, event.id
        known = self.changed, self.outcome, self.state
        self.changed, self.outcome, self.state = max(known, (*moment, state_of(event)))
        if made:
            self.materializations += 1
            self.materialized, self.materialization = max((self.materialized, self.materialization), moment)


class EdgeRow(Seen, kw_only=True):
    """One row of `lineage_links`."""

    key: ClassVar = ("upstream", "downstream", "evidence")
    upstream: int
    downstream: int
    evidence: str
    last_run: str = ""
    seen: int = 0

    def see_by(self, time: int, run: str) -> None:
        self.last_run = max((self.last_seen, self.last_run), (time, run))[1]
        self.see(time)
        self.seen += 1


class ColumnRow(Seen, kw_only=True):
    """One row of `lineage_columns`."""

    key: ClassVar = ("downstream", "downstream_column", "upstream", "upstream_column", "transformation")
    downstream: int
    downstream_column: str
    upstream: int
    upstream_column: str
    transformation: str


class CheckRow(Row, kw_only=True):
    """One row of `lineage_checks`: how a check came out last."""

    key: ClassVar = ("asset", "check", "column", "partition")
    asset: int
    check: str
    column: str
    partition: str
    time: int = 0
    event: str = ""
    passed: bool = True
    severity: str = ""
    value: str = "null"
    run: str = ""

    def take(self, event: AssetChecked) -> None:
        if (event.time, event.id) > (self.time, self.event):
            self.time, self.event, self.passed = event.time, event.id, event.passed
            self.severity, self.value, self.run = event.severity, as_json(event.value), event.run


class AliasRow(Row, kw_only=True):
    """One row of `lineage_aliases`."""

    key: ClassVar = ("alias", "asset")
    alias: int
    asset: int
    first_seen: int


class JobRow(Seen, kw_only=True):
    """One row of `lineage_jobs`."""

    id: int
    environment: str
    source: str
    flow: str
    task: str


class JobAssetRow(Seen, kw_only=True):
    """One row of `lineage_job_assets`."""

    key: ClassVar = ("job", "asset", "role")
    job: int
    asset: int
    role: str
    last_run: str = ""

    def see_by(self, time: int, run: str) -> None:
        self.last_run = max((self.last_seen, self.last_run), (time, run))[1]
        self.see(time)


KINDS: Final[tuple[type[Row], ...]] = (AssetRow, EdgeRow, ColumnRow, CheckRow, AliasRow, JobRow, JobAssetRow)


class Graph:
    """The part of the graph that a batch of events touches, beginning as what the tables hold of it."""

    def __init__(self, known: Iterable[Row] = ()) -> None:
        self.rows: dict[type[Row], dict[tuple[Any, ...], Any]] = {kind: {} for kind in KINDS}
        for row in known:
            self.rows[type(row)][row.at()] = row
        self.outcomes: list[dict[str, Any]] = []
        """New rows of `lineage_outcomes`."""
        self.sightings: dict[tuple[Any, ...], dict[str, Any]] = {}
        """New rows of `lineage_sightings`."""

    def take(self, event: Any) -> None:
        """Add what an asset event says."""
        asset = self._see(event.asset, event.time)
        self._sight(asset.id, ALONE, event.type, event)
        self._attribute(event)
        if isinstance(event, AssetRemoved):
            asset.removed = max(asset.removed, event.time)
        elif isinstance(event, AssetChecked):
            self._check(asset.id, event).take(event)
        elif isinstance(event, ENDS):
            asset.note_outcome(event, made=isinstance(event, AssetMaterialized))
            self.outcomes.append(outcome_row(event))
        if isinstance(event, AssetDeclared):
            asset.declare(event)
            self._alias(event)
        if isinstance(event, STATING):
            self._connect(event)
            self._connect_columns(event)

    def _row(self, kind: type[Any], **fields: Any) -> Any:
        """The row with this key, made where it is not there yet."""
        rows = self.rows[kind]
        key = tuple(fields[name] for name in kind.key)
        found = rows.get(key)
        if found is None:
            found = rows[key] = kind(**fields)
        return found

    def _see(self, key: str, time: int) -> AssetRow:
        row: AssetRow = self._row(AssetRow, id=number(key), asset=key, first_seen=time, last_seen=time)
        return row.see(time)

    def _connect(self, event: Any) -> None:
        downstream = number(event.asset)
        for upstream in upstream_told(event):
            if upstream.asset:
                edge = {"upstream": number(upstream.asset), "downstream": downstream, "evidence": upstream.evidence}
                self._see(upstream.asset, event.time)
                row = self._row(EdgeRow, **edge, first_seen=event.time, last_seen=event.time)
                row.see_by(event.time, event.run)
                self._sight(downstream, number(upstream.asset), upstream.evidence, event)

    def _sight(self, downstream: int, upstream: int, evidence: str, event: Event) -> None:
        sighting = {
            "downstream": downstream,
            "upstream": upstream,
            "evidence": evidence,
            "time": event.time,
            "event": number(event.id),
            "run": event.run,
        }
        self.sightings[tuple(sighting.values())] = sighting

    def _connect_columns(self, event: Any) -> None:
        for column in columns_told(event):
            for origin in column.origins:
                self._sight(self._see(origin.asset, event.time).id, ALONE, "column", event)
                self._row(
                    ColumnRow,
                    downstream=number(event.asset),
                    downstream_column=column.name,
                    upstream=number(origin.asset),
                    upstream_column=origin.column,
                    transformation=origin.transformation,
                    first_seen=event.time,
                    last_seen=event.time,
                ).see(event.time)

    def _check(self, asset: int, event: AssetChecked) -> Any:
        return self._row(CheckRow, asset=asset, check=event.check, column=event.column, partition=event.partition)

    def _alias(self, event: AssetDeclared) -> None:
        for alias in event.aliases:
            row = self._row(AliasRow, alias=number(alias), asset=number(event.asset), first_seen=event.time)
            row.first_seen = min(row.first_seen, event.time)

    def _attribute(self, event: Any) -> None:
        """Note which flow and task read and made what; a failure, too, shows what a job is there for."""
        if not event.flow or isinstance(event, AssetDeclared | AssetRemoved | AssetChecked):
            return
        names = event.environment, event.source, event.flow, event.task
        job = self._row(
            JobRow,
            id=number(*names),
            **dict(zip(("environment", "source", "flow", "task"), names, strict=True)),
            first_seen=event.time,
            last_seen=event.time,
        ).see(event.time)
        self._touch(job.id, event.asset, "input" if event.role == "read" else "output", event)
        for upstream in event.upstream if isinstance(event, STATING) else ():
            if upstream.asset and event.role != "read":
                self._touch(job.id, upstream.asset, "input", event)

    def _touch(self, job: int, asset: str, role: str, event: Any) -> None:
        key = {"job": job, "asset": number(asset), "role": role}
        self._row(JobAssetRow, **key, first_seen=event.time, last_seen=event.time).see_by(event.time, event.run)


ASSET_EVENTS: Final = (
    AssetDeclared,
    AssetMaterializing,
    AssetMaterialized,
    AssetFailed,
    AssetCached,
    AssetObserved,
    AssetChecked,
    AssetRemoved,
)


def outcome_row(event: Any) -> dict[str, Any]:
    """The row of `lineage_outcomes` for an event that says how a materialization ended."""
    return {
        "id": event.id,
        "asset": event.asset,
        "time": event.time,
        "state": state_of(event),
        "run": event.run,
        "task_run": event.task_run,
        "flow": event.flow,
        "task": event.task,
        "environment": event.environment,
        "rows": event.rows,
        "bytes": event.bytes,
        "version": event.version,
        "partition": event.partition,
        "by": event.by,
        "metadata": as_json(event.metadata),
        "unfollowed": as_json(event.unfollowed),
        "columns": as_json(columns_told(event)),
        "upstream": as_json([one for one in event.upstream if one.version or one.partition]),
        "error": as_json(event.error) if event.error else None,
    }


def state_of(event: Any) -> str:
    """How a materialization ended, in a word."""
    failed = isinstance(event, AssetFailed)
    return (event.state or "failed") if failed else event.type.rpartition(".")[2]


def as_json(value: Any) -> str:
    return encode_value(value).decode()
