"""The fold of asset events into assets and edges. Any order of the same events comes to the same graph.

An edge is added by what made data or says that it reads, never by a failure, and nothing takes one away: a run that
failed proves nothing about what its asset is made of.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct

from flowtell.events import (
    AssetCached,
    AssetDeclared,
    AssetFailed,
    AssetMaterialized,
    AssetMaterializing,
    AssetObserved,
    AssetRemoved,
    UpstreamAsset,
    encode_value,
)

EdgeKey = tuple[str, str, str]
"""Downstream, upstream, evidence."""


class AssetRow(Struct):
    """One row of `lineage_assets`."""

    asset: str
    first_seen: int
    last_seen: int
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
    materialization: str = ""
    materialized: int = 0
    materializations: int = 0

    def see(self, time: int) -> None:
        self.first_seen, self.last_seen = min(self.first_seen, time), max(self.last_seen, time)

    def declare(self, event: AssetDeclared) -> None:
        """Keep the latest declaration; of two in one microsecond the same one in any order."""
        described = event.name, event.kind, event.description
        said = event.time, *described, as_json(event.owners), as_json(event.tags), as_json(event.metadata)
        known = self.declared, self.name, self.kind, self.description, self.owners, self.tags, self.metadata
        self.declared, self.name, self.kind, self.description, self.owners, self.tags, self.metadata = max(known, said)

    def note_outcome(self, event: Any, *, made: bool) -> None:
        """Keep which outcome is the latest, by its writer's clock, and which of those that made data."""
        moment = event.time, event.id
        self.changed, self.outcome = max((self.changed, self.outcome), moment)
        if made:
            self.materializations += 1
            self.materialized, self.materialization = max((self.materialized, self.materialization), moment)


class EdgeRow(Struct):
    """One row of `lineage_edges`."""

    downstream: str
    upstream: str
    evidence: str
    first_seen: int
    last_seen: int
    last_run: str = ""
    seen: int = 0

    def see(self, time: int, run: str) -> None:
        self.first_seen = min(self.first_seen, time)
        self.last_seen, self.last_run = max((self.last_seen, self.last_run), (time, run))
        self.seen += 1


class Graph:
    """The part of the graph that a batch of events touches. `assets` and `edges` begin as what the tables hold of it."""

    def __init__(self, assets: Iterable[AssetRow] = (), edges: Iterable[EdgeRow] = ()) -> None:
        self.assets = {row.asset: row for row in assets}
        self.edges = {(row.downstream, row.upstream, row.evidence): row for row in edges}
        self.outcomes: list[dict[str, Any]] = []
        """New rows of `lineage_materializations`."""

    def take(self, event: Any) -> None:
        """Add what an asset event says."""
        asset = self._see(event.asset, event.time)
        match event:
            case AssetDeclared():
                asset.declare(event)
                self._connect(event)
            case AssetMaterialized() | AssetCached():
                asset.note_outcome(event, made=isinstance(event, AssetMaterialized))
                self.outcomes.append(outcome_row(event))
                self._connect(event)
            case AssetFailed():
                asset.note_outcome(event, made=False)
                self.outcomes.append(outcome_row(event))
            case AssetObserved():
                self._connect(event)
            case AssetRemoved():
                asset.removed = max(asset.removed, event.time)
            case _:  # it is being made: seen, and no more
                pass

    def _see(self, key: str, time: int) -> AssetRow:
        asset = self.assets.get(key)
        if asset is None:
            asset = self.assets[key] = AssetRow(key, time, time)
        asset.see(time)
        return asset

    def _connect(self, event: Any) -> None:
        for upstream in event.upstream:
            if upstream.asset:
                self._see(upstream.asset, event.time)
                self._edge(event, upstream).see(event.time, event.run)

    def _edge(self, event: Any, upstream: UpstreamAsset) -> EdgeRow:
        key = event.asset, upstream.asset, upstream.evidence
        edge = self.edges.get(key)
        if edge is None:
            edge = self.edges[key] = EdgeRow(*key, event.time, event.time)
        return edge


ASSET_EVENTS: Final = (
    AssetDeclared,
    AssetMaterializing,
    AssetMaterialized,
    AssetFailed,
    AssetCached,
    AssetObserved,
    AssetRemoved,
)


def outcome_row(event: Any) -> dict[str, Any]:
    """The row of `lineage_materializations` for an event that says how a materialization ended."""
    return {
        "id": event.id,
        "asset": event.asset,
        "time": event.time,
        "state": (event.state or "failed") if isinstance(event, AssetFailed) else event.type.rpartition(".")[2],
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
        "error": as_json(event.error) if event.error else None,
    }


def as_json(value: Any) -> str:
    return encode_value(value).decode()
