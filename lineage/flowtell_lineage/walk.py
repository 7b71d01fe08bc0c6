"""Steps from asset to asset by their numbers, as the graph is now, was at a time, or as one run stated it.

A walk goes level by level, so that depths are exact and circles end. What was removed cuts the edges that were last
stated before; aliases of one asset are one node.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Literal, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Row, Select, and_, func, select

from flowtell.decoders import decoder
from flowtell_lineage.graph import ALONE, REMOVED
from flowtell_lineage.identity import number
from flowtell_lineage.numbers import PART, among, packed
from flowtell_lineage.spelling import canonical
from flowtell_lineage.tables import aliases, assets, edges, outcomes, sightings

Read = Callable[[Select[Any]], Sequence[Row[Any]]]
"""Runs one SELECT: a session's, a store's or a plugin context's `read`."""

Direction = Literal["up", "down"]
Pair = tuple[int, int]
"""Upstream, downstream."""

T = TypeVar("T")

_IDS_A_QUERY: Final = 20_000
"""A few megabytes of answer at a time."""
MANUAL: Final = "manual"


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Which edges count."""

    as_of: int | None = None
    """The graph as it was at this moment, µs; None for now. What is older than `keep_days` is right at the end of each day
    (UTC)."""
    mode: Literal["union", "latest", "run"] = "union"
    """`union`: all that was ever stated. `latest`: of an asset that was made, what its latest materialization stated.
    `run`: what the run named by `run` stated."""
    run: str = ""


NOW: Final = View()


class Walk:
    """Walks one view of the graph. Removals and aliases are read once."""

    def __init__(self, read: Read, view: View = NOW) -> None:
        self.read, self.view = read, view
        self._cuts = self._removals() if view.mode != "run" else {}
        self._canonical = self._merged()
        self._members = _grouped(self._canonical)

    def id_of(self, asset: str) -> int:
        """The asset's number; of an alias, that of what it stands for."""
        return self.canonical(number(canonical(asset)))

    def canonical(self, asset: int) -> int:
        return self._canonical.get(asset, asset)

    def members(self, asset: int) -> Collection[int]:
        """The asset and its aliases."""
        return self._members.get(asset, (asset,))

    def is_cut(self, asset: int, last_seen: int) -> bool:
        """Whether the asset was removed since."""
        return last_seen <= self._cuts.get(asset, -1)

    def step(self, border: Iterable[int], direction: Direction) -> Iterator[Pair]:
        """Edges that lead from the border, each once."""
        if self.is_plain:
            return iter(dict.fromkeys(self._current_step(set(border), direction)))
        found = (self._pair(up, down) for up, down in self._raw_step(border, direction))
        return iter(dict.fromkeys(found))

    def levels(self, start: int, direction: Direction, *, steps: int | None = None) -> Iterator[set[int]]:
        """What is met one step further at each turn, whatever was met before left out."""
        seen, border = {start}, {start}
        while border and (steps is None or steps > 0):
            border = self._next(border, direction) - seen
            seen |= border
            steps = steps if steps is None else steps - 1
            if border:
                yield border

    def _next(self, border: set[int], direction: Direction) -> set[int]:
        if self.is_plain:
            near, far = _sides(direction)
            # DISTINCT would lead SQLite through the whole other index
            return set(self.unpacked(select(packed(far)), near, border, int))
        place = 0 if direction == "up" else 1
        return {pair[place] for pair in self.step(border, direction)}

    @property
    def is_plain(self) -> bool:
        """Whether the edges now, with nothing removed or merged, are all there is to it."""
        return self.view == NOW and not self._cuts and not self._canonical

    def neighbours(self, ids: Collection[int], direction: Direction) -> Mapping[int, int]:
        """How many assets are one step away from each; those that have none may be left out."""
        if not self.is_plain:
            return Counter(pair[1 if direction == "up" else 0] for pair in self.step(ids, direction))
        near, far = _sides(direction)
        counted: Any = select(near, func.count(far.distinct())).group_by(near)
        return {row[0]: row[1] for row in self.in_parts(counted, near, ids)}

    def evidence_within(self, ids: Collection[int]) -> Iterator[tuple[int, int, str]]:
        """Upstream, downstream and evidence of the edges between these assets, where the view is plain."""
        stated = select(packed(edges.c.upstream, edges.c.downstream, edges.c.evidence))
        # plus nothing: to look for each pair takes longer than to read what leads to one end
        within = stated.where(among(edges.c.upstream + 0, ids))
        return self.unpacked(within, edges.c.downstream, ids, tuple[int, int, str])

    def _pair(self, up: int, down: int) -> Pair:
        return self.canonical(up), self.canonical(down)

    def _raw_step(self, border: Iterable[int], direction: Direction) -> Iterator[Pair]:
        ids = {member for asset in border for member in self.members(asset)}
        if self.view.mode == "latest":
            return self._latest_step(ids, direction)
        if self.view == NOW:
            return self._current_step(ids, direction)
        return self._past_step(ids, direction)

    def _current_step(self, ids: Collection[int], direction: Direction) -> Iterator[Pair]:
        near, _ = _sides(direction)
        pair = edges.c.upstream, edges.c.downstream
        if not self._cuts:
            return self.unpacked(select(packed(*pair)), near, ids, tuple[int, int])
        last = func.max(edges.c.last_seen)
        return self._uncut(self.in_parts(select(*pair, last).group_by(*pair), near, ids))

    def _past_step(self, ids: Collection[int], direction: Direction) -> Iterator[Pair]:
        near = sightings.c.upstream if direction == "down" else sightings.c.downstream
        pair = sightings.c.upstream, sightings.c.downstream
        wanted = select(*pair, func.max(sightings.c.time)).where(self.counted()).group_by(*pair)
        return self._uncut(self.in_parts(wanted, near, ids))

    def _latest_step(self, ids: Collection[int], direction: Direction) -> Iterator[Pair]:
        near = sightings.c.upstream if direction == "down" else sightings.c.downstream
        stated = sightings.c
        wanted = select(stated.upstream, stated.downstream, stated.time, stated.event, stated.evidence)
        rows = list(self.in_parts(wanted.where(self.counted()), near, ids))
        latest = self._latest_statements({row.downstream for row in rows})
        kept = (row for row in rows if row.evidence == MANUAL or latest.get(row.downstream, row.event) == row.event)
        return iter(dict.fromkeys(self._uncut(kept)))

    def _latest_statements(self, ids: Collection[int]) -> dict[int, int]:
        """For each asset that was made, the number of the event that said so last."""
        made = (outcomes.c.state == "materialized") & self.until(outcomes.c.time)
        wanted = select(assets.c.id, outcomes.c.id, outcomes.c.time).join(outcomes, outcomes.c.asset == assets.c.asset)
        found: dict[int, tuple[int, str]] = {}
        for asset, event, time in self.in_parts(wanted.where(made), assets.c.id, ids):
            found[asset] = max(found.get(asset, (0, "")), (time, event))
        return {asset: number(event) for asset, (_, event) in found.items()}

    def _uncut(self, rows: Iterable[Any]) -> Iterator[Pair]:
        for up, down, last, *_ in rows:
            if not self.is_cut(up, last) and not self.is_cut(down, last):
                yield up, down

    def counted(self) -> ColumnElement[bool]:
        """Sightings of edges that this view takes."""
        edge = sightings.c.upstream != ALONE
        if self.view.mode == "run":
            return and_(edge, sightings.c.run == self.view.run)
        return and_(edge, self.until(sightings.c.time))

    def until(self, time: ColumnElement[int]) -> ColumnElement[bool]:
        return time <= (self.view.as_of if self.view.as_of is not None else _ALWAYS)

    def all_pairs(self, limit: int) -> list[Pair]:
        """Every edge of the view, up to a number."""
        if self.is_plain:
            rows: Sequence[Any] = self.read(select(edges.c.upstream, edges.c.downstream).distinct().limit(limit))
            return [(row[0], row[1]) for row in rows]
        ids = {row.downstream for row in self.read(select(edges.c.downstream).distinct())}
        canonical = {self.canonical(asset) for asset in ids}
        return list(islice(self.step(canonical, "up"), limit))

    def in_parts(self, wanted: Select[Any], column: ColumnElement[int], ids: Collection[int]) -> Iterator[Any]:
        """Rows with the column among the numbers."""
        statement, rest = wanted.where(among(column)), iter(sorted(ids))
        while some := list(islice(rest, _IDS_A_QUERY)):
            yield from self.read(statement.params({PART: some}))

    def unpacked(self, wanted: Select[Any], column: ColumnElement[int], ids: Collection[int], kind: type[T]) -> Iterator[T]:
        """The same of a statement that packs its rows."""
        read_rows = decoder(list[kind])  # type: ignore[valid-type]
        for (rows,) in self.in_parts(wanted, column, ids):
            yield from read_rows(rows)

    def _removals(self) -> dict[int, int]:
        """When each asset was removed last."""
        if self.view.as_of is None:
            removed = select(assets.c.id, assets.c.removed).where(assets.c.removed > 0)
        else:
            removed = (
                select(sightings.c.downstream, func.max(sightings.c.time))
                .join(assets, assets.c.id == sightings.c.downstream)
                .where(assets.c.removed > 0, sightings.c.evidence == REMOVED, self.until(sightings.c.time))
                .group_by(sightings.c.downstream)
            )
        rows: Sequence[Any] = self.read(removed)
        return {row[0]: row[1] for row in rows}

    def _merged(self) -> dict[int, int]:
        """For each alias, the asset it stands for at last."""
        known = select(aliases).where(self.until(aliases.c.first_seen)).order_by(aliases.c.first_seen, aliases.c.asset)
        parents: dict[int, int] = {}
        for row in self.read(known):
            one, other = _root(parents, row.alias), _root(parents, row.asset)
            if one != other:
                parents[one] = other
        return {alias: _root(parents, alias) for alias in parents}


_ALWAYS: Final = 2**63 - 1


def _sides(direction: Direction) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """Columns near and far."""
    pair = edges.c.upstream, edges.c.downstream
    return pair if direction == "down" else (pair[1], pair[0])


def _root(parents: Mapping[int, int], asset: int) -> int:
    while asset in parents:
        asset = parents[asset]
    return asset


def _grouped(canonical: Mapping[int, int]) -> dict[int, set[int]]:
    groups: defaultdict[int, set[int]] = defaultdict(set)
    for alias, asset in canonical.items():
        groups[asset] |= {alias, asset}
    return dict(groups)


__all__ = ["NOW", "Direction", "Pair", "Read", "View", "Walk"]
