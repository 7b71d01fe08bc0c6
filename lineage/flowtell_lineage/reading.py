"""What pages and commands ask of the asset graph. Each function takes a `read` that runs one SELECT.

Answers are frozen structs and bounded; moments are µs since the epoch, what is unknown is None or an empty text. A
removed asset is not shown until a run names it again; its edges stay.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select

from flowtell.decoders import decoder
from flowtell.events import Column, Failure, UpstreamAsset
from flowtell.store.tables import cursors
from flowtell_lineage.errors import AssetNotFound
from flowtell_lineage.graph import ALONE, REMOVED
from flowtell_lineage.identity import number
from flowtell_lineage.numbers import among
from flowtell_lineage.spelling import canonical
from flowtell_lineage.tables import assets as asset_table
from flowtell_lineage.tables import edges as edge_table
from flowtell_lineage.tables import outcomes as outcome_table
from flowtell_lineage.tables import sightings
from flowtell_lineage.walk import NOW, Direction, Pair, Read, View, Walk

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
    columns: tuple[Column, ...] = ()
    upstream: tuple[UpstreamAsset, ...] = ()
    """Of what it was made, where that was stated with a version or partition."""
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


class Node(_Record, frozen=True):
    """An asset in a picture."""

    key: str
    name: str = ""
    kind: str = ""
    owners: tuple[str, ...] = ()
    state: str = ""
    materialized: int | None = None
    """When the data was made that is there now."""
    distance: int = 0
    """Steps from the middle; upstream is negative."""
    hidden_up: int = 0
    """Neighbours upstream that are not in the picture."""
    hidden_down: int = 0


class Link(_Record, frozen=True):
    """An asset is made of another, by all the evidence there is."""

    upstream: str
    downstream: str
    evidences: tuple[str, ...] = ()


class Neighbourhood(_Record, frozen=True):
    """Assets around one. `whole` is false where `limit` left some out."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[Link, ...] = ()
    whole: bool = True


class Graph(_Record, frozen=True):
    """Assets and the edges between them. `whole` is false where there is more than an answer holds."""

    assets: tuple[Asset, ...] = ()
    edges: tuple[Edge, ...] = ()
    whole: bool = True


def assets(read: Read, *, text: str = "", after: str = "", limit: int = LARGEST) -> list[Asset]:
    """Assets by key, those with `text` in it where it is given, and those whose key comes after another's."""
    wanted = select(asset_table).where(is_there(), asset_table.c.asset > after).order_by(asset_table.c.asset).limit(limit)
    if text:
        wanted = wanted.where(asset_table.c.asset.contains(text, autoescape=True))
    return with_outcomes(read, _rows(read, wanted))


def get_asset(read: Read, asset: str, view: View = NOW) -> Asset:
    """The asset with this key, or this alias.

    Raises:
        AssetNotFound: there is none in the view; the closest key is named.
    """
    found = []
    if has_run(read):
        walk = Walk(read, view)
        found = assets_by_id(walk, {walk.id_of(asset)})
    if not found:
        raise AssetNotFound(asset, _closest(read, asset))
    return found[0]


def whole_graph(read: Read, *, limit: int = LARGEST, view: View = NOW) -> Graph:
    """Every asset and every edge between them. Of a run, what it touched."""
    if not has_run(read):
        return Graph()
    walk = Walk(read, view)
    ids = {walk.canonical(row[0]) for row in read(_present(view).limit(limit + 1))}
    found = sorted(assets_by_id(walk, ids), key=_key)
    kept = found[:limit]
    known = {number(asset.asset) for asset in kept}
    pairs = [pair for pair in walk.step(known, "up") if pair[0] in known]
    return Graph(assets=tuple(kept), edges=tuple(edges_between(walk, pairs)), whole=len(ids) <= limit)


def surroundings(
    read: Read, asset: str, *, upstream: int = LARGEST, downstream: int = LARGEST, limit: int = LARGEST, view: View = NOW
) -> Graph:
    """What the asset is made of, `upstream` steps far, and what is made of it, `downstream` steps far.

    Raises:
        AssetNotFound: there is no such asset.
    """
    get_asset(read, asset, view)
    walk = Walk(read, view)
    start = walk.id_of(asset)
    above, above_whole = _reach(walk, start, "up", upstream, limit)
    below, below_whole = _reach(walk, start, "down", downstream, limit)
    pairs = [*dict.fromkeys((*above, *below))]
    ids = {start}.union(*pairs)
    found = tuple(sorted(assets_by_id(walk, ids), key=_key))
    return Graph(assets=found, edges=tuple(edges_between(walk, pairs)), whole=above_whole and below_whole)


def neighbourhood(
    read: Read,
    key: str,
    up: int = 1,
    down: int = 1,
    *,
    grown: Iterable[tuple[str, Direction]] = (),
    limit: int = 200,
    view: View = NOW,
) -> Neighbourhood:
    """At most `limit` assets around one, the nearest first, and how many neighbours each has that are not shown.

    Args:
        grown: assets in the picture whose neighbours, up or down, come into it too; in the order in which they do.

    Raises:
        AssetNotFound: there is no such asset.
    """
    if not has_run(read):
        raise AssetNotFound(key)
    walk = Walk(read, view)
    start = walk.id_of(key)
    shown = {start: 0}
    levels = [(walk.levels(start, "up", steps=up), -1), (walk.levels(start, "down", steps=down), 1)]
    whole = _take_in_turn(shown, levels, limit)
    whole = all([whole, *(_grow(walk, shown, walk.id_of(from_), way, limit) for from_, way in grown)])
    known = dict(_nodes(walk, shown))
    if start not in known:
        raise AssetNotFound(key, _closest(read, key))
    links = tuple(_links(walk, {at: node.key for at, node in known.items()}))
    above, below = walk.neighbours(shown, "up"), walk.neighbours(shown, "down")
    shown_up, shown_down = Counter(link.downstream for link in links), Counter(link.upstream for link in links)
    nodes = (
        msgspec.structs.replace(
            node,
            distance=shown[at],
            hidden_up=above.get(at, 0) - shown_up[node.key],
            hidden_down=below.get(at, 0) - shown_down[node.key],
        )
        for at, node in known.items()
    )
    return Neighbourhood(nodes=tuple(sorted(nodes, key=_node_key)), edges=links, whole=whole)


def materializations(read: Read, asset: str = "", *, after: str = "", limit: int = 100) -> list[Materialization]:
    """How attempts to make the asset, or any, ended; the latest first, or those that come after one by its id."""
    wanted = select(outcome_table).order_by(outcome_table.c.time.desc(), outcome_table.c.id.desc()).limit(limit)
    if asset:
        wanted = wanted.where(outcome_table.c.asset == canonical(asset))
    if after:
        wanted = wanted.where(_is_older(after))
    return [_materialization(row) for row in _rows(read, wanted)]


def _is_older(outcome: str) -> ColumnElement[bool]:
    """Whether an outcome is listed after another, by that one's id."""
    time = select(outcome_table.c.time).where(outcome_table.c.id == outcome).scalar_subquery()
    same = and_(outcome_table.c.time == time, outcome_table.c.id < outcome)
    return or_(outcome_table.c.time < time, same)


# --- walking ------------------------------------------------------------------------------------------------------


_key: Final = attrgetter("asset")
_node_key: Final = attrgetter("key")


def _reach(walk: Walk, start: int, direction: Direction, steps: int, limit: int) -> tuple[list[Pair], bool]:
    """Edges met on the way from `start`, `steps` far, and whether they are all."""
    met: list[Pair] = []
    seen = border = {start}
    for _ in range(steps):
        found = list(walk.step(border, direction))
        met += found
        border = {pair[0 if direction == "up" else 1] for pair in found} - seen
        seen = seen | border
        if not border or len(seen) > limit:
            break
    return met, len(seen) <= limit


def _take_in_turn(shown: dict[int, int], levels: list[tuple[Iterator[set[int]], int]], limit: int) -> bool:
    """Put level after level into `shown` with its distance, upstream negative, and tell whether there was room for all."""
    distance = 0
    while levels:
        distance += 1
        for turn in list(levels):
            level = next(turn[0], None)
            if level is None:
                levels.remove(turn)
                continue
            new = sorted(level - shown.keys())
            shown.update(dict.fromkeys(new[: max(0, limit - len(shown))], distance * turn[1]))
            if new and new[-1] not in shown:
                return False
    return True


def _grow(walk: Walk, shown: dict[int, int], start: int, way: Direction, limit: int) -> bool:
    """Put the neighbours of one that is shown into `shown`, and tell whether there was room for all."""
    if start not in shown:
        return True
    step = [(walk.levels(start, way, steps=1), 0)]
    before = set(shown)
    whole = _take_in_turn(shown, step, limit)
    side = -1 if way == "up" else 1
    shown.update(dict.fromkeys(shown.keys() - before, shown[start] + side))
    return whole


def _nodes(walk: Walk, ids: Collection[int]) -> Iterator[tuple[int, Node]]:
    """Numbers and what is drawn of them."""
    if walk.view.as_of is not None:
        yield from ((number(asset.asset), _node(asset)) for asset in assets_by_id(walk, ids))
        return
    told = asset_table.c
    wanted = select(told.id, told.asset, told.name, told.kind, told.owners, told.state, told.materialized)
    for row in walk.in_parts(wanted.where(is_there()), told.id, ids):
        owners = _parsed(row.owners, tuple[str, ...])
        made = row.materialized or None
        node = Node(key=row.asset, name=row.name, kind=row.kind, owners=owners, state=row.state, materialized=made)
        yield row.id, node


def _node(asset: Asset) -> Node:
    return Node(
        key=asset.asset,
        name=asset.name,
        kind=asset.kind,
        owners=asset.owners,
        state=asset.state,
        materialized=asset.made.time if asset.made else None,
    )


def _links(walk: Walk, keys: Mapping[int, str]) -> Iterator[Link]:
    """Each pair of these assets once, with all its evidence."""
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for upstream, downstream, evidence in _stated_within(walk, keys):
        found[upstream, downstream].add(evidence)
    for (upstream, downstream), evidences in sorted(found.items()):
        yield Link(upstream=upstream, downstream=downstream, evidences=tuple(sorted(evidences)))


def _stated_within(walk: Walk, keys: Mapping[int, str]) -> Iterator[tuple[str, str, str]]:
    if walk.is_plain:
        return ((keys[up], keys[down], evidence) for up, down, evidence in walk.evidence_within(keys))
    pairs = [pair for pair in walk.step(keys, "up") if pair[0] in keys]
    return ((edge.upstream, edge.downstream, edge.evidence) for edge in edges_between(walk, pairs, keys))


def edges_between(walk: Walk, pairs: Iterable[Pair], keys: Mapping[int, str] | None = None) -> list[Edge]:
    """The pairs with evidence, by keys, which are read where they are not known."""
    wanted = set(pairs)
    keys = keys or keys_of(walk.read, {asset for pair in wanted for asset in pair})
    found = []
    for row in _evidence_of(walk, wanted):
        up, down = walk.canonical(row.upstream), walk.canonical(row.downstream)
        cut = walk.is_cut(row.upstream, row.last_seen) or walk.is_cut(row.downstream, row.last_seen)
        if (up, down) in wanted and not cut:
            found.append(Edge(**{**row._mapping, "upstream": keys[up], "downstream": keys[down]}))
    return sorted(found, key=lambda edge: (edge.downstream, edge.upstream, edge.evidence))


def _evidence_of(walk: Walk, pairs: Collection[Pair]) -> Iterator[Any]:
    """Rows of the pairs, and of others with their downstreams."""
    starts = {member for up, _ in pairs for member in walk.members(up)}
    ends = {member for _, down in pairs for member in walk.members(down)}
    evidence = _evidence(walk.view)
    columns = evidence.selected_columns
    if len(starts) <= _KEYS_A_QUERY:
        evidence = evidence.where(among(columns.upstream + 0, starts))
    return walk.in_parts(evidence, columns.downstream, ends)


def _evidence(view: View) -> Select[Any]:
    """Rows of edges with their evidence, as the view has them."""
    if view == NOW or view == View(mode="latest"):
        return select(edge_table)
    stated = sightings.c
    wanted = (
        select(
            stated.upstream,
            stated.downstream,
            stated.evidence,
            func.min(stated.time).label("first_seen"),
            func.max(stated.time).label("last_seen"),
            func.max(stated.run).label("last_run"),
            func.count().label("seen"),
        )
        .where(stated.upstream != ALONE)
        .group_by(stated.upstream, stated.downstream, stated.evidence)
    )
    if view.mode == "run":
        return wanted.where(stated.run == view.run)
    return wanted if view.as_of is None else wanted.where(stated.time <= view.as_of)


def keys_of(read: Read, ids: Iterable[int]) -> dict[int, str]:
    """Keys by number."""
    wanted = select(asset_table.c.id, asset_table.c.asset)
    return {row.id: row.asset for row in _by_keys(read, wanted, asset_table.c.id, ids)}


def _present(view: View) -> Select[Any]:
    """Numbers of the assets that are there."""
    if view.mode != "run" and view.as_of is None:
        return select(asset_table.c.id).where(is_there()).order_by(asset_table.c.asset)
    told = sightings.c.run == view.run if view.mode == "run" else sightings.c.time <= view.as_of
    ends = select(sightings.c.downstream.label("id")).where(told, sightings.c.evidence != REMOVED)
    starts = select(sightings.c.upstream).where(told, sightings.c.upstream != ALONE)
    return select(ends.union(starts).subquery().c.id)


def _closest(read: Read, asset: str) -> str:
    keys = [row.asset for row in _rows(read, select(asset_table.c.asset).where(is_there()).limit(LARGEST))]
    inside = [key for key in keys if asset and asset in key]
    return next(iter(get_close_matches(asset, keys, n=1) or sorted(inside, key=len)), "")


def _rows(read: Read, wanted: Select[Any]) -> Sequence[Row[Any]]:
    return read(wanted) if has_run(read) else ()


def has_run(read: Read) -> bool:
    """Whether the plugin has committed anything; its tables may be missing where it has not, or is switched off."""
    return bool(read(select(cursors.c.plugin).where(cursors.c.plugin == "lineage")))


# --- rows to structs ----------------------------------------------------------------------------------------------


def is_there() -> ColumnElement[bool]:
    return asset_table.c.removed < asset_table.c.last_seen


def assets_by_id(walk: Walk, ids: Iterable[int]) -> list[Asset]:
    """The assets with these numbers that are there in the walk's view."""
    rows = _by_keys(walk.read, select(asset_table), asset_table.c.id, ids)
    if walk.view.as_of is None:
        there = [row for row in rows if row.removed < row.last_seen or walk.view.mode == "run"]
        return with_outcomes(walk.read, there)
    last = _last_seen(walk, {row.id for row in rows})
    there = [row for row in rows if row.id in last and not walk.is_cut(row.id, last[row.id])]
    return [_as_it_was(walk, row) for row in there]


def _last_seen(walk: Walk, ids: Iterable[int]) -> dict[int, int]:
    """When each was named last in the view, by itself or as another's upstream."""
    found: dict[int, int] = {}
    for end in (sightings.c.downstream, sightings.c.upstream):
        seen = select(end.label("id"), func.max(sightings.c.time).label("time")).group_by(end)
        seen = seen.where(walk.until(sightings.c.time), sightings.c.evidence != REMOVED)
        for row in _by_keys(walk.read, seen, end, ids):
            found[row.id] = max(found.get(row.id, 0), row.time)
    return found


def _as_it_was(walk: Walk, row: Row[Any]) -> Asset:
    """With the outcomes up to the view's moment. Its description is today's."""
    past = select(outcome_table).where(outcome_table.c.asset == row.asset, walk.until(outcome_table.c.time))
    newest = past.order_by(outcome_table.c.time.desc(), outcome_table.c.id.desc()).limit(1)
    latest, made = walk.read(newest), walk.read(newest.where(outcome_table.c.state == "materialized"))
    outcomes = {one.id: _materialization(one) for one in (*latest, *made)}
    asset = _asset(row, outcomes)
    return msgspec.structs.replace(
        asset,
        latest=outcomes[latest[0].id] if latest else None,
        made=outcomes[made[0].id] if made else None,
    )


def with_outcomes(read: Read, rows: Iterable[Row[Any]]) -> list[Asset]:
    rows = list(rows)
    wanted = {row.outcome for row in rows}.union(row.materialization for row in rows)
    found = _by_keys(read, select(outcome_table), outcome_table.c.id, wanted)
    outcomes = {row.id: _materialization(row) for row in found}
    return [_asset(row, outcomes) for row in rows]


def _by_keys(read: Read, wanted: Select[Any], column: ColumnElement[Any], keys: Iterable[Any]) -> list[Row[Any]]:
    return [row for part in _parts(sorted(keys)) for row in read(wanted.where(column.in_(part)))]


def _parts(keys: Iterable[Any]) -> Iterator[list[Any]]:
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


def _materialization(row: Row[Any]) -> Materialization:
    parsed = {
        "metadata": _parsed(row.metadata, dict[str, Any]),
        "unfollowed": _parsed(row.unfollowed, tuple[str, ...]),
        "columns": _parsed(row.columns, tuple[Column, ...]),
        "upstream": _parsed(row.upstream, tuple[UpstreamAsset, ...]),
        "error": _parsed(row.error, Failure) if row.error else None,
    }
    return Materialization(**{**row._mapping, **parsed})


T = TypeVar("T")


def _parsed(text: str, kind: type[T]) -> T:
    return decoder(kind)(text)


__all__ = [
    "LARGEST",
    "NOW",
    "Asset",
    "Edge",
    "Graph",
    "Link",
    "Materialization",
    "Neighbourhood",
    "Node",
    "Read",
    "View",
    "Walk",
    "assets",
    "assets_by_id",
    "edges_between",
    "get_asset",
    "has_run",
    "is_there",
    "keys_of",
    "materializations",
    "neighbourhood",
    "surroundings",
    "whole_graph",
    "with_outcomes",
]
