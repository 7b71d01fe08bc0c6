"""Which runs wait for which: flow by flow, through the assets that they make and read, and through runs inside runs.

Small and bounded: alerts know of lineage only what says whose lateness another's failure explains. Whole lineage, by
column and version, is another distribution's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from sqlalchemy import bindparam, delete, select

from flowtell import events as e
from flowtell.events import Event
from flowtell.plugin import Context
from flowtell_alerts import tables
from flowtell_alerts._replacing import Replacing
from flowtell_alerts._subject import SubjectKey, runs_of

WANTS: Final = (
    "asset.declared",
    "asset.materializing",
    "asset.materialized",
    "asset.cached",
    "asset.failed",
    "asset.observed",
)
"""The events that say who makes what of what; runs say the rest by their start."""

MAX_LINKS: Final = 100_000
"""Links that are kept; what comes beyond is left out, and logged once."""

LINKS_OF_ONE: Final = 1_000
"""Assets of one kind that one flow is known to make or read."""

DEPTH: Final = 32
"""Steps that are followed upstream."""

MOST: Final = 200
"""Ancestors of one flow that are looked at: the nearest."""

KEPT: Final = 30 * 86_400_000_000
"""µs after which a link that no run has shown again is forgotten."""

_DAY: Final = 86_400_000_000
_MAX_NAME: Final = 500

Kind = Literal["makes", "reads", "part of"]
Link = tuple[SubjectKey, Kind, str]
"""Whose it is, and the asset's name, or the outer flow's with its deployment."""

_LINKS: Final = Replacing(tables.links)
_DELETE_OLD: Final = delete(tables.links).where(tables.links.c.seen < bindparam("before"))


class FlowGraph:
    """In memory and in the evaluator's table, for its thread. Cycles are followed once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seen: dict[Link, int] = {}
        self._makers: dict[tuple[str, str], set[SubjectKey]] = defaultdict(set)
        self._reads: dict[SubjectKey, set[str]] = defaultdict(set)
        self._outer: dict[SubjectKey, set[SubjectKey]] = defaultdict(set)
        self._counts: dict[tuple[SubjectKey, Kind], int] = defaultdict(int)
        self._ancestors: dict[SubjectKey, Mapping[SubjectKey, int]] = {}
        self._full = False
        for row in context.read(select(tables.links)):
            self._put((runs_of(row.flow, row.environment, row.deployment), row.kind, row.other), row.seen)

    # --- from events ----------------------------------------------------------------------------------------------

    def take(self, event: Event, runs: SubjectKey) -> None:
        """What an event of an asset says about these runs."""
        if not runs.name:
            return
        match event:
            case e.AssetDeclared() | e.AssetMaterialized() | e.AssetCached() | e.AssetFailed() | e.AssetMaterializing():
                role = getattr(event, "role", "output")
                self._link(runs, "reads" if role == "read" else "makes", event.asset, event)
                for upstream in event.upstream[:LINKS_OF_ONE]:
                    self._link(runs, "reads", upstream.asset, event)
            case e.AssetObserved():
                self._link(runs, "reads", event.asset, event)
            case _:
                pass

    def inside(self, runs: SubjectKey, outer: SubjectKey, event: Event) -> None:
        """A run has begun inside one of `outer`."""
        if runs != outer:
            self._link(runs, "part of", f"{outer.name}\n{outer.deployment}", event)

    def _link(self, runs: SubjectKey, kind: Kind, other: str, event: Event) -> None:
        if not other or len(other) > _MAX_NAME:
            return
        link, seen = (runs, kind, other), event.received or event.time
        before = self._seen.get(link)
        if before is not None and seen - before < _DAY:
            return
        if before is None and not self._has_room(runs, kind):
            return
        self._put(link, seen)
        named = {"flow": runs.name, "environment": runs.environment, "deployment": runs.deployment}
        _LINKS.write(self._context, [{**named, "kind": kind, "other": other, "seen": seen}])

    def _has_room(self, runs: SubjectKey, kind: Kind) -> bool:
        room = len(self._seen) < MAX_LINKS and self._counts[runs, kind] < LINKS_OF_ONE
        if not room and not self._full:
            self._full = True
            self._context.logger.warning(
                "flow %s %s more assets than are watched; the rest explains no lateness", runs[0], kind
            )
        return room

    def _put(self, link: Link, seen: int) -> None:
        runs, kind, other = link
        if link not in self._seen:
            self._counts[runs, kind] += 1
            self._ancestors.clear()
        self._seen[link] = seen
        if kind == "makes":
            self._makers[runs.environment, other].add(runs)
        elif kind == "reads":
            self._reads[runs].add(other)
        else:
            flow, _, deployment = other.partition("\n")
            self._outer[runs].add(runs_of(flow, runs.environment, deployment))

    def forget(self, now: int) -> None:
        """Links that nobody has shown for long."""
        before = now - KEPT
        old = [link for link, seen in self._seen.items() if seen < before]
        if not old:
            return
        kept = {link: seen for link, seen in self._seen.items() if seen >= before}
        for known in (self._seen, self._makers, self._reads, self._outer, self._counts, self._ancestors):
            known.clear()
        for link, seen in kept.items():
            self._put(link, seen)
        self._context.write(_DELETE_OLD, [{"before": before}])

    # --- asked ----------------------------------------------------------------------------------------------------

    def makers(self, environment: str, asset: str) -> Iterable[SubjectKey]:
        """Whose runs make the asset."""
        return self._makers.get((environment, asset), ())

    def ancestors(self, runs: SubjectKey) -> Mapping[SubjectKey, int]:
        """Whose runs these runs wait for, with the number of steps there; without itself."""
        known = self._ancestors.get(runs)
        if known is None:
            known = self._ancestors[runs] = self._search(runs)
        return known

    def _search(self, runs: SubjectKey) -> Mapping[SubjectKey, int]:
        found: dict[SubjectKey, int] = {runs: 0}
        front = [runs]
        for step in range(1, DEPTH + 1):
            front = [above for below in front for above in self._above(below) if above not in found]
            found.update(dict.fromkeys(front[: MOST - len(found) + 1], step))
            front = list(dict.fromkeys(front))
            if not front or len(found) > MOST:
                break
        del found[runs]
        return found

    def _above(self, runs: SubjectKey) -> Iterable[SubjectKey]:
        yield from sorted(self._outer.get(runs, ()))
        for asset in sorted(self._reads.get(runs, ())):
            yield from sorted(self._makers.get((runs.environment, asset), ()))
