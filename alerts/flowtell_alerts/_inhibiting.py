"""What the open incidents explain of each other as time passes: who is muted, and who is told after all."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from flowtell_alerts._subject import SubjectKey
from flowtell_alerts.incidents import Incident
from flowtell_alerts.inhibition import (
    EXPLAINED,
    EXPLAINING,
    SETTLE,
    SETTLE_AT_MOST,
    Ancestry,
    Placed,
    between,
    explanation,
    foremost,
    placed,
)

CAUSES_LOOKED_AT: Final = 100
"""Incidents upstream that are compared, failures first and then the earliest: one explanation is enough."""

EFFECTS_A_TICK: Final = 500
"""Incidents that are looked at in one tick; the others follow in the next ones."""


class Activity:
    """Which runs go on, and when one ended last. In memory alone: after a restart what is not known is idle."""

    def __init__(self) -> None:
        self._open: dict[SubjectKey, set[str]] = defaultdict(set)
        self._ended: dict[SubjectKey, int] = {}

    def begins(self, lane: SubjectKey, run: str) -> None:
        self._open[lane].add(run)

    def ends(self, lane: SubjectKey, run: str, at: int) -> None:
        if lane in self._open:
            self._open[lane].discard(run)
            if not self._open[lane]:
                del self._open[lane]
        self._ended[lane] = max(at, self._ended.get(lane, 0))

    def last(self, lanes: Iterable[SubjectKey], now: int) -> int:
        """When one of these runs was seen last: now where one goes on, 0 where none was."""
        return max((now if lane in self._open else self._ended.get(lane, 0) for lane in lanes), default=0)


class Settling(Struct, frozen=True):
    """A cause that is over, and whose runs what it explained waits for."""

    over: int
    way: frozenset[SubjectKey]

    def until(self, activity: Activity, now: int) -> int:
        quiet_since = max(self.over, min(activity.last(self.way, now), self.over + SETTLE_AT_MOST))
        return quiet_since + SETTLE


class Finding(Struct, frozen=True):
    """An incident whose explanation is another one from now on, or none."""

    incident: Incident
    cause: Incident | None


class Inhibiting:
    """For the evaluator's thread. Told of every incident that opens, changes and ends; asked on every tick."""

    def __init__(self, graph: Ancestry, activity: Activity, since: int) -> None:
        """`since` is when `activity` began to be told: of runs before that nothing is known."""
        self._graph, self._activity, self._since = graph, activity, since
        self._open: dict[str, Placed] = {}
        self._at: dict[SubjectKey, set[str]] = defaultdict(set)
        self._effects: set[str] = set()
        self._recent: dict[str, tuple[Placed, int]] = {}
        self._recent_at: dict[SubjectKey, set[str]] = defaultdict(set)
        self._settling: dict[str, Settling] = {}
        self._moved: set[SubjectKey] = set()
        self._queue: dict[str, None] = {}
        self._next = 0

    # --- what is open ---------------------------------------------------------------------------------------------

    def put(self, incident: Incident) -> None:
        """The incident is open, as it is now."""
        before = self._open.get(incident.incident)
        where = placed(incident, self._graph) if before is None else replace(before, incident=incident)
        self._open[incident.incident] = where
        if incident.rule.kind in EXPLAINED:
            self._effects.add(incident.incident)
        for each in where.lanes:
            self._at[each].add(incident.incident)
        if before is None or _rank(before.incident) != _rank(incident):
            self._moved.update(where.lanes)

    def over(self, incident: Incident, now: int) -> None:
        """The incident is resolved; for a while it explains what comes late because of it."""
        where = self._open.pop(incident.incident, None) or placed(incident, self._graph)
        self._effects.discard(incident.incident)
        self._settling.pop(incident.incident, None)
        for each in where.lanes:
            self._at[each].discard(incident.incident)
            if not self._at[each]:
                del self._at[each]
        if incident.rule.kind in EXPLAINING:
            self._recent[incident.incident] = (replace(where, incident=incident), now)
            for each in where.lanes:
                self._recent_at[each].add(incident.incident)
        self._moved.update(where.lanes)

    # --- asked ----------------------------------------------------------------------------------------------------

    def cause_of_new(self, incident: Incident, now: int) -> Incident | None:
        """What explains an incident that is about to open: one that is open, or one that was over a moment ago."""
        if incident.rule.kind not in EXPLAINED:
            return None
        effect = placed(incident, self._graph)
        cause = self._explanation(effect)
        if cause is None:
            cause = explanation(effect, self._settling_causes(effect, now), self._graph)
        return self._named(cause) if cause is not None else None

    def _named(self, cause: Placed) -> Incident:
        """The incident that people were told of: a cause that is pending itself is explained by another."""
        root = cause.incident.inhibited_by
        if root in self._open:
            return self._open[root].incident
        return self._recent[root][0].incident if root in self._recent else cause.incident

    def findings(self, now: int) -> Iterator[Finding]:
        """Those of which something else is true than before."""
        if self._moved:
            moved, self._moved = self._moved, set()
            self._queue.update(dict.fromkeys(each for each in sorted(self._effects) if self._touches(each, moved)))
        if now >= self._next:
            self._queue.update(dict.fromkeys(sorted(self._settling if self._next else self._pending())))
            self._next = now + SETTLE
            self._forget(now)
        for each in list(itertools.islice(self._queue, EFFECTS_A_TICK)):
            del self._queue[each]
            finding = self._judge(self._open[each], now) if each in self._effects else None
            if finding is not None:
                yield finding

    def _pending(self) -> list[str]:
        """After a restart nobody knows whose cause is over."""
        return [each for each in self._effects if self._open[each].incident.inhibited_by]

    def next(self) -> int | None:
        """When something else may be true though nothing happens; None where all that is open is told."""
        return self._next if self._settling or self._moved or self._queue else None

    def _touches(self, incident: str, moved: set[SubjectKey]) -> bool:
        lanes = self._open[incident].lanes
        return not moved.isdisjoint(lanes) or any(not self._graph.ancestors(each).keys().isdisjoint(moved) for each in lanes)

    def _judge(self, effect: Placed, now: int) -> Finding | None:
        incident = effect.incident
        cause = self._explanation(effect)
        if cause is not None:
            self._settling.pop(incident.incident, None)
            named = self._named(cause)
            return Finding(incident, named) if named.incident != incident.inhibited_by else None
        if not incident.inhibited_by:
            return None
        settling = self._settling.get(incident.incident) or self._begin(effect, now)
        until = settling.until(self._activity, now)
        if now >= until:
            del self._settling[incident.incident]
            return Finding(incident, None)
        self._next = min(self._next, until)
        return None

    def _begin(self, effect: Placed, now: int) -> Settling:
        """From the end of the cause; after a restart from that, as nobody knows which runs came and went before."""
        cause, over = self._recent.get(effect.incident.inhibited_by, (effect, now))
        if effect.incident.opened < self._since:
            over = max(over, self._since)
        settling = self._settling[effect.incident.incident] = Settling(over, between(cause, effect, self._graph))
        return settling

    def _explanation(self, effect: Placed) -> Placed | None:
        causes = (self._open[each] for each in self._near(effect, self._at))
        return explanation(effect, heapq.nsmallest(CAUSES_LOOKED_AT, causes, key=foremost), self._graph)

    def _settling_causes(self, effect: Placed, now: int) -> Iterator[Placed]:
        for key in self._near(effect, self._recent_at):
            cause, over = self._recent[key]
            if now < Settling(over, between(cause, effect, self._graph)).until(self._activity, now):
                yield cause

    def _near(self, effect: Placed, at: Mapping[SubjectKey, set[str]]) -> set[str]:
        """Incidents of the same runs and of those upstream."""
        lanes = {*effect.lanes, *(above for lane in effect.lanes for above in self._graph.ancestors(lane))}
        return {incident for lane in lanes & at.keys() for incident in at[lane]}

    def _forget(self, now: int) -> None:
        """Causes that were over so long ago that nothing waits for them."""
        old = [key for key, (_, over) in self._recent.items() if now - over >= SETTLE_AT_MOST + SETTLE]
        for key in old:
            where, _ = self._recent.pop(key)
            for each in where.lanes:
                self._recent_at[each].discard(key)
                if not self._recent_at[each]:
                    del self._recent_at[each]


def _rank(incident: Incident) -> tuple[str, str]:
    """What of an incident decides on what it explains, and by what name."""
    return incident.severity, incident.inhibited_by
