"""Which open incident explains which other: a late or failing ancestor mutes the lateness downstream, and is named.

Of what is late because something before it is late or has failed nobody is told but of the first. When that is over the
others have a while to follow, counted anew as long as runs between the two begin and end; what is bad then still is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final, Protocol

from msgspec import Struct

from flowtell.rules import SEVERITIES
from flowtell_alerts._subject import ASSET, FLOW, SubjectKey, runs_of
from flowtell_alerts.incidents import Incident

EXPLAINING: Final = frozenset({"failed", "too_long", "late", "deadline", "stale", "absent"})
"""Kinds of rules whose incidents explain others."""

EXPLAINED: Final = frozenset({"late", "deadline", "stale", "absent"})
"""Kinds whose incidents others may explain: something did not come. A run that failed is told of, whatever was before it."""

SETTLE: Final = 15 * 60_000_000
"""µs that what is downstream has to follow once its ancestor is well again."""

SETTLE_AT_MOST: Final = 4 * 3_600_000_000
"""µs after which it is told though runs between the two still come and go."""


class Ancestry(Protocol):
    """Whose runs wait for whose."""

    def ancestors(self, runs: SubjectKey) -> Mapping[SubjectKey, int]: ...
    def makers(self, environment: str, asset: str) -> Iterable[SubjectKey]: ...


class Placed(Struct, frozen=True):
    """An incident and whose runs it is about: for one of an asset, of all that make it."""

    incident: Incident
    lanes: tuple[SubjectKey, ...]


def placed(incident: Incident, graph: Ancestry) -> Placed:
    """Where the incident stands; for one of no flow, with whose rule it is."""
    own = (runs_of(incident.flow, incident.environment, incident.deployment),)
    if incident.about == FLOW:
        return Placed(incident, own)
    makers = graph.makers(incident.environment, incident.subject.name) if incident.about == ASSET else ()
    return Placed(incident, tuple(sorted(makers)) or own)


def explains(cause: Placed, effect: Placed, graph: Ancestry) -> bool:
    """Whether `cause` explains `effect` by itself. Never both ways, whatever cycles there are; a lesser never a greater.

    Between incidents of the same runs, or of runs that wait for each other, the earlier one explains the later.
    """
    one, other = cause.incident, effect.incident
    if one.incident == other.incident:
        return False
    if one.rule.kind not in EXPLAINING or other.rule.kind not in EXPLAINED or _weight(one) < _weight(other):
        return False
    same = not set(cause.lanes).isdisjoint(effect.lanes)
    if not (same and _differ(one, other)) and (same or not _above(cause.lanes, effect.lanes, graph)):
        return False
    mutual = one.rule.kind in EXPLAINED and (same or _above(effect.lanes, cause.lanes, graph))
    return not mutual or (one.since, one.incident) < (other.since, other.incident)


def _differ(one: Incident, other: Incident) -> bool:
    """Of one kind of rule only the due times of one and the same rule explain each other."""
    return one.rule.kind != other.rule.kind or (one.rule_key == other.rule_key and one.due is not None)


def _above(upper: Iterable[SubjectKey], lower: Iterable[SubjectKey], graph: Ancestry) -> bool:
    return any(not graph.ancestors(lane).keys().isdisjoint(upper) for lane in lower)


def _weight(incident: Incident) -> int:
    return SEVERITIES.index(incident.severity) if incident.severity in SEVERITIES else len(SEVERITIES)


def foremost(one: Placed) -> tuple[bool, int, str]:
    """In which order causes are named: what nothing else can explain first, then the earliest."""
    incident = one.incident
    return incident.rule.kind in EXPLAINED, incident.since, incident.incident


def explanation(effect: Placed, others: Iterable[Placed], graph: Ancestry) -> Placed | None:
    """The incident that explains `effect` and is explained by none itself; of several the foremost. None where none does."""
    causes = sorted((each for each in others if explains(each, effect, graph)), key=foremost)
    return next((each for each in causes if not any(explains(other, each, graph) for other in causes)), None)


def between(cause: Placed, effect: Placed, graph: Ancestry) -> frozenset[SubjectKey]:
    """Whose runs must do their work before `effect` is well, once `cause` is: both ends and all between."""
    ends: Collection[SubjectKey] = {*cause.lanes, *effect.lanes}
    way = {above for lane in effect.lanes for above in graph.ancestors(lane)}
    return frozenset(ends) | {lane for lane in way if _above(cause.lanes, (lane,), graph)}
