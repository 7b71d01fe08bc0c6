"""What pages and commands ask of the asset graph. Each function takes a `read` that runs one SELECT.

Answers are frozen structs and bounded; moments are µs since the epoch, what is unknown is None or an empty text. A
removed asset is not shown until a run names it again; its edges stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from functools import partial
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Row, Select, Table, select

from flowtell.events import Failure
from flowtell.store.tables import cursors
from flowtell_lineage.errors import AssetNotFound
from flowtell_lineage.tables import assets as asset_table
from flowtell_lineage.tables import edges as edge_table
from flowtell_lineage.tables import materializations as outcome_table

Read = Callable[[Select[Any]], Sequence[Row[Any]]]
"""Runs one SELECT: a session's, a store's or a plugin context's `read`."""

LARGEST: Final = 10_000
"""Assets that one answer holds at most."""

_KEYS_A_QUERY: Final = 500


class _Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row."""


class Materialization(_Record, frozen=True):
    """How one attempt to make an asset ended."""

    id: str
    """Of its event."""
    asset: str
    time: int
    state: str
    """`materialized`, `cached`, or how it failed: `failed`, `crashed`, `cancelled`, `timed_out`."""
    run: str = ""
    task_run: str = ""
    flow: str = ""
    task: str = ""
    environment: str = ""
    rows: int | None = None
    bytes: int | None = None
    version: str = ""
    partition: str = ""
    by: str = ""
    metadata: dict[str, Any] = {}
    unfollowed: tuple[str, ...] = ()
    """Arguments that held data of which nobody knows where it came from: the edges may not be all."""
    error: Failure | None = None


class Asset(_Record, frozen=True):
    """A named piece of data, as declared last and as its runs left it."""

    asset: str
    first_seen: int
    last_seen: int
    name: str = ""
    kind: str = ""
    description: str = ""
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    materializations: int = 0
    """How often it was made."""
    latest: Materialization | None = None
    """The latest attempt to make it, however that ended; None for what is only read here."""
    made: Materialization | None = None
    """The latest that made data: what is there now."""

    @property
    def state(self) -> str:
        return self.latest.state if self.latest else ""


class Edge(_Record, frozen=True):
    """An asset is made of another, and how that is known."""

    upstream: str
    downstream: str
    evidence: str
    first_seen: int
    last_seen: int
    last_run: str = ""
    seen: int = 0
    """By how many events."""


class Graph(_Record, frozen=True):
    """Assets and the edges between them. `whole` is false where there is more than an answer holds."""

    assets: tuple[Asset, ...] = ()
    edges: tuple[Edge, ...] = ()
    whole: bool = True


def assets(read: Read, *, text: str = "", limit: int = LARGEST) -> list[Asset]:
    """Assets by key, those with `text` in it where it is given."""
    wanted = select(asset_table).where(_is_there()).order_by(asset_table.c.asset).limit(limit)
    if text:
        wanted = wanted.where(asset_table.c.asset.contains(text, autoescape=True))
    return _with_outcomes(read, _rows(read, wanted))


def get_asset(read: Read, asset: str) -> Asset:
    """The asset with this key.

    Raises:
        AssetNotFound: there is none; the closest key is named.
    """
    found = _assets_named(read, [asset]) if _has_run(read) else []
    if not found:
        raise AssetNotFound(asset, _closest(read, asset))
    return found[0]


def whole_graph(read: Read, *, limit: int = LARGEST) -> Graph:
    """Every asset and every edge between them."""
    found = assets(read, limit=limit + 1)
    kept = found[:limit]
    keys = [asset.asset for asset in kept]
    return Graph(assets=tuple(kept), edges=tuple(_edges_among(read, keys)), whole=len(found) <= limit)


def neighbourhood(
    read: Read, asset: str, *, upstream: int = LARGEST, downstream: int = LARGEST, limit: int = LARGEST
) -> Graph:
    """What the asset is made of, `upstream` steps far, and what is made of it, `downstream` steps far.

    Raises:
        AssetNotFound: there is no such asset.
    """
    get_asset(read, asset)
    above, above_whole = _reach(partial(_edges_by, read, edge_table.c.downstream), _upstream, asset, upstream, limit)
    below, below_whole = _reach(partial(_edges_by, read, edge_table.c.upstream), _downstream, asset, downstream, limit)
    edges = tuple({(edge.downstream, edge.upstream, edge.evidence): edge for edge in (*above, *below)}.values())
    keys = {asset, *(edge.upstream for edge in edges), *(edge.downstream for edge in edges)}
    return Graph(assets=tuple(_assets_named(read, keys)), edges=edges, whole=above_whole and below_whole)


def materializations(read: Read, asset: str = "", *, limit: int = 100) -> list[Materialization]:
    """How attempts to make the asset, or any, ended; the latest first."""
    wanted = select(outcome_table).order_by(outcome_table.c.time.desc(), outcome_table.c.id.desc()).limit(limit)
    if asset:
        wanted = wanted.where(outcome_table.c.asset == asset)
    return [_materialization(row) for row in _rows(read, wanted)]


# --- walking ------------------------------------------------------------------------------------------------------


_upstream: Final = attrgetter("upstream")
_downstream: Final = attrgetter("downstream")


def _reach(
    step: Callable[[Iterable[str]], list[Edge]], far: Callable[[Edge], str], asset: str, steps: int, limit: int
) -> tuple[list[Edge], bool]:
    """Edges met on the way from `asset`, `steps` far, and whether they are all."""
    met: list[Edge] = []
    seen = border = {asset}
    for _ in range(steps):
        edges = step(border)
        met += edges
        border = {far(edge) for edge in edges} - seen
        seen = seen | border
        if not border or len(seen) > limit:
            break
    return met, len(seen) <= limit


def _edges_by(read: Read, column: ColumnElement[str], keys: Iterable[str]) -> list[Edge]:
    return [_edge(row) for row in _by_keys(read, edge_table, column, keys)]


def _edges_among(read: Read, keys: Iterable[str]) -> list[Edge]:
    known = set(keys)
    return [edge for edge in _edges_by(read, edge_table.c.downstream, known) if edge.upstream in known]


def _closest(read: Read, asset: str) -> str:
    keys = [row.asset for row in _rows(read, select(asset_table.c.asset).where(_is_there()).limit(LARGEST))]
    inside = [key for key in keys if asset and asset in key]
    return next(iter(get_close_matches(asset, keys, n=1) or sorted(inside, key=len)), "")


def _rows(read: Read, wanted: Select[Any]) -> Sequence[Row[Any]]:
    return read(wanted) if _has_run(read) else ()


def _has_run(read: Read) -> bool:
    """Whether the plugin has committed anything; its tables may be missing where it has not, or is switched off."""
    return bool(read(select(cursors.c.plugin).where(cursors.c.plugin == "lineage")))


# --- rows to structs ----------------------------------------------------------------------------------------------


def _is_there() -> ColumnElement[bool]:
    return asset_table.c.removed < asset_table.c.last_seen


def _assets_named(read: Read, keys: Iterable[str]) -> list[Asset]:
    return _with_outcomes(read, _by_keys(read, asset_table, asset_table.c.asset, keys, _is_there()))


def _with_outcomes(read: Read, rows: Iterable[Row[Any]]) -> list[Asset]:
    rows = list(rows)
    wanted = {row.outcome for row in rows}.union(row.materialization for row in rows)
    found = _by_keys(read, outcome_table, outcome_table.c.id, wanted)
    outcomes = {row.id: _materialization(row) for row in found}
    return [_asset(row, outcomes) for row in rows]


def _by_keys(
    read: Read, table: Table, column: ColumnElement[str], keys: Iterable[str], *only: ColumnElement[bool]
) -> list[Row[Any]]:
    parts = _parts(sorted(keys))
    return [row for part in parts for row in read(select(table).where(column.in_(part), *only).order_by(column))]


def _parts(keys: Iterable[str]) -> Iterator[list[str]]:
    """Keys in numbers that every store takes in one query."""
    wanted = list(keys)
    for start in range(0, len(wanted), _KEYS_A_QUERY):
        yield wanted[start : start + _KEYS_A_QUERY]


def _asset(row: Row[Any], outcomes: dict[str, Materialization]) -> Asset:
    return Asset(
        asset=row.asset,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        name=row.name,
        kind=row.kind,
        description=row.description,
        owners=_parsed(row.owners, tuple[str, ...]),
        tags=_parsed(row.tags, tuple[str, ...]),
        metadata=_parsed(row.metadata, dict[str, Any]),
        materializations=row.materializations,
        latest=outcomes.get(row.outcome),
        made=outcomes.get(row.materialization),
    )


def _edge(row: Row[Any]) -> Edge:
    return Edge(**row._mapping)


def _materialization(row: Row[Any]) -> Materialization:
    parsed = {
        "metadata": _parsed(row.metadata, dict[str, Any]),
        "unfollowed": _parsed(row.unfollowed, tuple[str, ...]),
        "error": _parsed(row.error, Failure) if row.error else None,
    }
    return Materialization(**{**row._mapping, **parsed})


T = TypeVar("T")


def _parsed(text: str, kind: type[T]) -> T:
    return msgspec.json.decode(text, type=kind)


__all__ = [
    "LARGEST",
    "Asset",
    "Edge",
    "Graph",
    "Materialization",
    "Read",
    "assets",
    "get_asset",
    "materializations",
    "neighbourhood",
    "whole_graph",
]
