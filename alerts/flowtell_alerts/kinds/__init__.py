"""The kinds of rules that are judged, a file each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from flowtell.events import OWN_NAMES, Event, RuleData, UserEvent
from flowtell_alerts._kind import Facts, Kind
from flowtell_alerts.kinds import absent, awaited, blind, budget, deadline, failed, late, measured, stale, too_long

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        *(late.KIND, deadline.KIND, blind.KIND),
        *(failed.KIND, too_long.KIND, measured.KIND, budget.KIND, stale.KIND, absent.KIND),
    )
}

FACTS: Final[Mapping[str, type[Facts]]] = {kind.facts.name: kind.facts for kind in (*KINDS.values(), awaited.KIND)}
"""By the name of their rows."""


def kind_of(rule: RuleData) -> Kind | None:
    """What judges the rule; None where nothing does. `absent` since the start of a run is judged by other facts."""
    if rule.kind == absent.KIND.name and rule.arguments.get("since") == "start":
        return awaited.KIND
    return KINDS.get(rule.kind)


def _by_type() -> Mapping[str, Sequence[type[Facts]]]:
    found: defaultdict[str, list[type[Facts]]] = defaultdict(list)
    for facts in FACTS.values():
        for wanted in facts.wants:
            found[wanted].append(facts)
    return dict(found)


TAKERS: Final = _by_type()
"""Facts by the type of the events that they take."""


def takers(event: Event) -> Sequence[type[Facts]]:
    """Facts that take the event."""
    return TAKERS.get(OWN_NAMES if isinstance(event, UserEvent) else event.type, ())


__all__ = ["FACTS", "KINDS", "TAKERS", "kind_of", "takers"]
