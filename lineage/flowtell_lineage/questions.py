"""What people ask of the asset graph: who is hit, why is it old, what changed, how is an edge known.

Each function takes a `read` that runs one SELECT and a `View`; answers are frozen structs, moments µs since the epoch.
Keys that no event has named raise `AssetNotFound`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from sqlalchemy import and_, func, select

from flowtell.decoders import decoder
from flowtell.store.tables import flows, runs
from flowtell_lineage.identity import number
from flowtell_lineage.numbers import packed
from flowtell_lineage.reading import Asset, Edge, Materialization, assets_by_id, edges_between, get_asset, keys_of
from flowtell_lineage.tables import assets, checks, columns, edges, outcomes, sightings
from flowtell_lineage.walk import NOW, Direction, Pair, Read, View, Walk

if TYPE_CHECKING:
    import networkx as nx

RUNS_TOLD: Final = 20
"""Runs that an explanation names at most, the latest first."""
LARGEST_GRAPH: Final = 2_000_000
"""Edges that `digraph` takes at most."""


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a question is answered with."""


class Related(Answer, frozen=True, gc=False):
    """An asset some steps away."""

    asset: str
    distance: int
    name: str = ""
    kind: str = ""
    owners: tuple[str, ...] = ()
    state: str = ""
    made: int | None = None
    """When the data was made that is there now."""


class RootCause(Answer, frozen=True):
    """An ancestor, or the asset itself, that is failing or late while nothing above it is."""

    asset: str
    distance: int
    why: str
    """`failed`, `crashed` or whatever its state is; `check NAME`; `late`."""
    owners: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    """From it to the asset that was asked about."""


class Staleness(Answer, frozen=True):
    """Why an asset is older than what it is made of. `causes` is empty where it is fresh."""

    asset: str
    made: int | None = None
    causes: tuple[Cause, ...] = ()


class Cause(Answer, frozen=True):
    """`missing`: never made. `data`: an upstream was made since. `dependencies`: it is said to be made of something that
    its latest run did not state. `code`: the flow that made it has another version by now. `upstream`: an upstream is
    stale itself.
    """

    kind: str
    asset: str = ""
    since: int | None = None
    was: str = ""
    """The version that made it, where its code is the cause."""
    now: str = ""
    """The version that would make it today."""


class Explanation(Answer, frozen=True):
    """How it is known that one asset is made of another: each kind of evidence, and the runs that showed it."""

    upstream: str
    downstream: str
    edges: tuple[Edge, ...] = ()
    runs: tuple[str, ...] = ()
    columns: tuple[ColumnEdge, ...] = ()


class ColumnEdge(Answer, frozen=True):
    upstream: str
    upstream_column: str
    downstream: str
    downstream_column: str
    transformation: str = ""
    first_seen: int = 0
    last_seen: int = 0


class Difference(Answer, frozen=True):
    """What the graph has at the later moment and not at the earlier, and the reverse."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    added_edges: tuple[tuple[str, str], ...] = ()
    removed_edges: tuple[tuple[str, str], ...] = ()
    added_columns: tuple[tuple[str, str], ...] = ()
    lost_columns: tuple[tuple[str, str], ...] = ()
    """Asset and column: the data made last does not have it any more."""


class RunLink(Answer, frozen=True):
    """Run `reader` read what run `writer` had made."""

    writer: str
    reader: str
    asset: str
    version: str = ""


# --- walks ----------------------------------------------------------------------------------------------------------


def upstream(read: Read, asset: str, *, steps: int | None = None, view: View = NOW) -> list[Related]:
    """What the asset is made of, the nearest first."""
    return _related(read, asset, "up", steps, view)


def downstream(read: Read, asset: str, *, steps: int | None = None, view: View = NOW) -> list[Related]:
    """What is made of the asset, the nearest first."""
    return _related(read, asset, "down", steps, view)


def impact(read: Read, asset: str, *, steps: int | None = None, view: View = NOW) -> list[Related]:
    """Who is hit when the asset is wrong: all that is made of it, with owners and distance."""
    return downstream(read, asset, steps=steps, view=view)


def distances(walk: Walk, asset: int, direction: Direction, steps: int | None = None) -> dict[int, int]:
    """How far each asset is that can be reached, the asset itself left out."""
    levels = enumerate(walk.levels(asset, direction, steps=steps), start=1)
    return {met: distance for distance, level in levels for met in level}


def path(read: Read, start: str, end: str, *, view: View = NOW) -> tuple[str, ...]:
    """Keys of a shortest way downstream from `start` to `end`; empty where there is none."""
    get_asset(read, start, view)
    get_asset(read, end, view)
    walk = Walk(read, view)
    ids = _way(walk, walk.id_of(start), walk.id_of(end))
    keys = keys_of(read, ids)
    return tuple(keys[asset] for asset in ids)


def _way(walk: Walk, start: int, end: int) -> list[int]:
    """Numbers on a shortest way."""
    came_from: dict[int, int] = {start: start}
    border = {start}
    while border and end not in came_from:
        pairs = sorted(pair for pair in walk.step(border, "down") if pair[1] not in came_from)
        for near, far in pairs:
            came_from.setdefault(far, near)
        border = {far for _, far in pairs}
    return _traced(came_from, start, end) if end in came_from else []


def _traced(came_from: dict[int, int], start: int, end: int) -> list[int]:
    way = [end]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return way[::-1]


def _related(read: Read, asset: str, direction: Direction, steps: int | None, view: View) -> list[Related]:
    get_asset(read, asset, view)
    walk = Walk(read, view)
    far = distances(walk, walk.id_of(asset), direction, steps)
    found = sorted(_told_now(walk, far) if view.as_of is None else _told_then(walk, far), key=attrgetter("asset"))
    return sorted(found, key=attrgetter("distance"))  # twice, without a tuple for each of hundreds of thousands


class _Told(Struct, frozen=True, array_like=True, gc=False):
    """What is told of an asset, as its row is packed."""

    id: int
    asset: str
    name: str
    kind: str
    owners: str
    state: str
    made: int


def _told_now(walk: Walk, far: dict[int, int]) -> Iterator[Related]:
    told = assets.c
    wanted = packed(told.id, told.asset, told.name, told.kind, told.owners, told.state, told.materialized)
    read_owners = cache(decoder(tuple[str, ...]))  # many assets have the same ones
    for one in walk.unpacked(select(wanted), told.id, far, _Told):
        yield Related(
            asset=one.asset,
            distance=far[one.id],
            name=one.name,
            kind=one.kind,
            owners=read_owners(one.owners),
            state=one.state,
            made=one.made or None,
        )


def _told_then(walk: Walk, far: dict[int, int]) -> Iterator[Related]:
    for asset in assets_by_id(walk, far):
        yield Related(
            asset=asset.asset,
            distance=far[number(asset.asset)],
            name=asset.name,
            kind=asset.kind,
            owners=asset.owners,
            state=asset.state,
            made=asset.made.time if asset.made else None,
        )


# --- causes ---------------------------------------------------------------------------------------------------------

_WELL: Final = frozenset({"", "materialized", "cached"})


def root_causes(read: Read, asset: str, *, late: Collection[str] = (), view: View = NOW) -> list[RootCause]:
    """The failing or late assets at the top of the ways to this one, the nearest first.

    `late` names the assets that are late by whatever rule. In a circle of failing assets each is a cause.
    """
    import networkx as nx

    get_asset(read, asset, view)
    walk = Walk(read, view)
    start = walk.id_of(asset)
    graph = nx.DiGraph(_ancestry(walk, start))
    graph.add_node(start)
    bad = _unwell(walk, graph.nodes, {walk.id_of(key) for key in late})
    far = {start: 0, **distances(walk, start, "up")}
    found = {one: bad[one] for one in _topmost(graph, bad)}
    facts = {walk.id_of(one.asset): one for one in assets_by_id(walk, found)}
    causes = [
        RootCause(
            asset=facts[one].asset,
            distance=far[one],
            why=why,
            owners=facts[one].owners,
            path=tuple(_keys_along(read, nx.shortest_path(graph, one, start))),
        )
        for one, why in found.items()
        if one in facts
    ]
    return sorted(causes, key=lambda cause: (cause.distance, cause.asset))


def _ancestry(walk: Walk, start: int) -> Iterator[Pair]:
    """Every edge on a way to `start`."""
    seen = border = {start}
    while border:
        pairs = list(walk.step(border, "up"))
        yield from pairs
        border = {up for up, _ in pairs} - seen
        seen = seen | border


def _topmost(graph: nx.DiGraph[int], bad: Collection[int]) -> list[int]:
    """The bad ones with nothing bad above them."""
    import networkx as nx

    whole = nx.condensation(graph)
    below_bad: dict[Any, bool] = {}
    found = []
    for part in nx.topological_sort(whole):
        members = [one for one in whole.nodes[part]["members"] if one in bad]
        above = any(below_bad[one] for one in whole.predecessors(part))
        below_bad[part] = above or bool(members)
        found += [] if above else members
    return found


def _unwell(walk: Walk, ids: Iterable[int], late: Collection[int]) -> dict[int, str]:
    """Assets that are failing or late, and why."""
    found = {one: "late" for one in ids if one in late}
    for asset in assets_by_id(walk, ids):
        if asset.state not in _WELL:
            found[number(asset.asset)] = asset.state
    for row in walk.read(select(checks).where(checks.c.passed.is_(False), walk.until(checks.c.time))):
        one = walk.canonical(row.asset)
        if one in ids and row.severity.lower() not in {"warn", "warning"}:
            found.setdefault(one, f"check {row.check}")
    return found


def _keys_along(read: Read, ids: list[int]) -> Iterator[str]:
    keys = keys_of(read, ids)
    return (keys[one] for one in ids)


def staleness(read: Read, asset: str, *, code: str = "", view: View = NOW) -> Staleness:
    """Why the asset is older than what it is made of.

    Args:
        code: the version of the code that would make it today; the one that its flow was last declared with, where it is not
            given. Of a flow that states no version nothing is known, nor what it was at an earlier moment.
    """
    here = get_asset(read, asset, view)
    walk = Walk(read, view)
    above = list(assets_by_id(walk, {up for up, down in walk.step({walk.id_of(asset)}, "up") if up != down}))
    if here.made is None:
        return Staleness(asset=here.asset, causes=(Cause(kind="missing"),) if here.latest or above else ())
    made = here.made.time
    causes = [Cause(kind="data", asset=up.asset, since=up.made.time) for up in above if up.made and up.made.time > made]
    causes += [Cause(kind="dependencies", asset=key) for key in _unstated(walk, here, above)]
    causes += _other_code(walk, here.made, code)
    causes += [Cause(kind="upstream", asset=up.asset) for up in above if _is_behind(walk, up)]
    return Staleness(asset=here.asset, made=made, causes=tuple(causes))


def _unstated(walk: Walk, here: Asset, above: Iterable[Asset]) -> list[str]:
    """Upstreams that were declared after the data was made, and that its latest run did not state."""
    made = here.made.time if here.made else 0
    ids = walk.members(walk.id_of(here.asset))
    wanted = select(edges.c.upstream).where(edges.c.downstream.in_(ids), edges.c.first_seen <= made)
    before = {walk.canonical(row.upstream) for row in walk.read(wanted)}
    return [up.asset for up in above if number(up.asset) not in before]


def _other_code(walk: Walk, made: Materialization, code: str) -> Iterator[Cause]:
    """Where the run that made it had another version than its flow has now."""
    (was,) = next(iter(walk.read(select(runs.c.version).where(runs.c.id == made.run))), (None,))
    now = code or _declared(walk, made)
    if was and now and was != now:
        yield Cause(kind="code", was=was, now=now)


def _declared(walk: Walk, made: Materialization) -> str:
    if walk.view.as_of is not None:
        return ""
    wanted = select(flows.c.version).where(flows.c.flow == made.flow, flows.c.environment == made.environment)
    (version,) = next(iter(walk.read(wanted)), (None,))
    return version or ""


def _is_behind(walk: Walk, asset: Asset) -> bool:
    """Whether anything right above was made since."""
    above = {up for up, down in walk.step({walk.id_of(asset.asset)}, "up") if up != down}
    made = asset.made.time if asset.made else None
    return made is not None and any(up.made and up.made.time > made for up in assets_by_id(walk, above))


# --- edges ----------------------------------------------------------------------------------------------------------


def explain(read: Read, upstream: str, downstream: str, *, view: View = NOW) -> Explanation:
    """How it is known that `downstream` is made of `upstream`; without edges where nothing says so."""
    above, below = get_asset(read, upstream, view), get_asset(read, downstream, view)
    walk = Walk(read, view)
    pair = walk.id_of(upstream), walk.id_of(downstream)
    edges = edges_between(walk, [pair]) if pair in set(walk.step({pair[1]}, "up")) else []
    told = () if not edges else tuple(_runs_that_stated(walk, pair))
    return Explanation(
        upstream=above.asset,
        downstream=below.asset,
        edges=tuple(edges),
        runs=told,
        columns=tuple(one for one in columns_of(read, below.asset, view=view) if one.upstream == above.asset),
    )


def _runs_that_stated(walk: Walk, pair: Pair) -> list[str]:
    stated = and_(
        sightings.c.upstream.in_(walk.members(pair[0])),
        sightings.c.downstream.in_(walk.members(pair[1])),
        sightings.c.run != "",
        walk.counted(),
    )
    wanted = select(sightings.c.run, func.max(sightings.c.time).label("last")).where(stated).group_by(sightings.c.run)
    return [row.run for row in walk.read(wanted.order_by(func.max(sightings.c.time).desc()).limit(RUNS_TOLD))]


def columns_of(read: Read, asset: str, column: str = "", *, view: View = NOW) -> list[ColumnEdge]:
    """From which columns those of the asset, or one of them, are made."""
    walk = Walk(read, view)
    wanted = select(columns).where(columns.c.downstream.in_(walk.members(walk.id_of(asset))))
    if column:
        wanted = wanted.where(columns.c.downstream_column == column)
    rows = read(wanted.where(walk.until(columns.c.first_seen)))
    keys = keys_of(read, {walk.canonical(one) for row in rows for one in (row.upstream, row.downstream)})
    found = (_column_edge(row, keys[walk.canonical(row.upstream)], keys[walk.canonical(row.downstream)]) for row in rows)
    return sorted(found, key=lambda one: (one.downstream_column, one.upstream, one.upstream_column))


def _column_edge(row: Any, upstream: str, downstream: str) -> ColumnEdge:
    return ColumnEdge(**{**row._mapping, "upstream": upstream, "downstream": downstream})


def run_graph(read: Read, run: str) -> list[RunLink]:
    """Which runs made what the run read, and which read what it made. What no run made is not told."""
    above = [link for one in _reads(read, sightings.c.run == run) for link in _writer_of(read, *one)]
    made = read(select(outcomes.c.asset).where(outcomes.c.run == run, outcomes.c.state == "materialized"))
    below = [
        link
        for asset in sorted({row.asset for row in made})
        for one in _reads(read, sightings.c.upstream == number(asset), sightings.c.run != "")
        for link in _writer_of(read, *one)
        if link.writer == run
    ]
    return list(dict.fromkeys(link for link in (*above, *below) if link.writer != link.reader))


def _reads(read: Read, *which: Any) -> list[tuple[str, str, int]]:
    """Run, key of the asset that it read, and when."""
    wanted = select(sightings.c.run, assets.c.asset, func.max(sightings.c.time).label("time"))
    wanted = wanted.join(assets, assets.c.id == sightings.c.upstream).where(*which)
    return [(row.run, row.asset, row.time) for row in read(wanted.group_by(sightings.c.run, assets.c.asset))]


def _writer_of(read: Read, reader: str, asset: str, time: int) -> Iterator[RunLink]:
    """The run whose data was there when it was read."""
    made = select(outcomes.c.run, outcomes.c.version).where(
        outcomes.c.asset == asset, outcomes.c.state == "materialized", outcomes.c.time <= time, outcomes.c.run != reader
    )
    for row in read(made.order_by(outcomes.c.time.desc(), outcomes.c.id.desc()).limit(1)):
        yield RunLink(writer=row.run, reader=reader, asset=asset, version=row.version)


# --- whole graphs ---------------------------------------------------------------------------------------------------


def digraph(read: Read, asset: str = "", *, view: View = NOW) -> nx.DiGraph[str]:
    """The graph, or the part on ways through `asset`, as networkx has it: keys as nodes, each edge with `evidences`."""
    import networkx as nx

    walk = Walk(read, view)
    pairs = _through(walk, walk.id_of(asset)) if asset else walk.all_pairs(LARGEST_GRAPH)
    ids = {one for pair in pairs for one in pair}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(one.asset for one in assets_by_id(walk, ids))
    for edge in edges_between(walk, pairs):
        graph.add_edge(edge.upstream, edge.downstream)
        graph[edge.upstream][edge.downstream].setdefault("evidences", []).append(edge.evidence)
    return graph


def _through(walk: Walk, asset: int) -> list[Pair]:
    above = {asset, *distances(walk, asset, "up")}
    below = {asset, *distances(walk, asset, "down")}
    return [*dict.fromkeys((*walk.step(above, "up"), *walk.step(below, "down")))]


def diff(read: Read, before: int, after: int | None = None) -> Difference:
    """What changed between two moments; the later is now where none is given."""
    old, new = _state(read, View(as_of=before)), _state(read, View(as_of=after))
    kept = old.assets & new.assets
    return Difference(
        added=tuple(sorted(new.assets - old.assets)),
        removed=tuple(sorted(old.assets - new.assets)),
        added_edges=tuple(sorted(new.edges - old.edges)),
        removed_edges=tuple(sorted(old.edges - new.edges)),
        added_columns=tuple(sorted(one for one in new.columns - old.columns if one[0] in kept)),
        lost_columns=tuple(sorted(one for one in old.columns - new.columns if one[0] in kept)),
    )


class _State(Struct, frozen=True):
    """A graph as sets of keys."""

    assets: set[str]
    edges: set[tuple[str, str]]
    columns: set[tuple[str, str]]


def _state(read: Read, view: View) -> _State:
    from flowtell_lineage.reading import whole_graph

    graph = whole_graph(read, view=view, limit=LARGEST_GRAPH)
    return _State(
        {one.asset for one in graph.assets},
        {(edge.upstream, edge.downstream) for edge in graph.edges},
        {(one.asset, column.name) for one in graph.assets if one.made for column in one.made.columns},
    )


__all__ = [
    "Cause",
    "ColumnEdge",
    "Difference",
    "Explanation",
    "Related",
    "RootCause",
    "RunLink",
    "Staleness",
    "columns_of",
    "diff",
    "digraph",
    "distances",
    "downstream",
    "explain",
    "impact",
    "path",
    "root_causes",
    "run_graph",
    "staleness",
    "upstream",
]
