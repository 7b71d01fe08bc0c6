"""Incidents over time as lines of text: a strip for each rule and subject, dark where an incident was open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from flowtell_alerts.incidents import Incident

TOLD: Final = "█"
MUTED: Final = "▒"
WELL: Final = "·"


class Line(NamedTuple):
    name: str
    picture: str


def strip(
    incidents: Iterable[Incident], since: int, until: int, *, told: Collection[str], width: int, most: int
) -> list[Line]:
    """A line for each rule and subject, those with the most time in incidents first, and one that counts the rest.

    Args:
        told: ids of the incidents of which somebody is told.
        width: characters of a strip.
        most: lines.
    """
    rows: dict[str, list[Incident]] = defaultdict(list)
    for incident in incidents:
        rows[f"{incident.rule.kind} {incident.subject.name}"].append(incident)
    names = sorted(rows, key=lambda name: (-sum(_length(each, until) for each in rows[name]), name))
    wide = max((len(name) for name in names[:most]), default=0)
    lines = [Line(name.ljust(wide), _drawn(rows[name], since, until, told, width)) for name in names[:most]]
    rest = len(names) - len(lines)
    return [*lines, Line(f"and {rest} more".ljust(wide), "")] if rest else lines


def legend(since: int, until: int) -> str:
    """What the strips show."""
    return f"{_day(since)} to {_day(until)} UTC; {TOLD} told, {MUTED} muted, {WELL} no incident"


def _drawn(incidents: list[Incident], since: int, until: int, told: Collection[str], width: int) -> str:
    cells = [WELL] * width
    for incident in sorted(incidents, key=lambda each: each.incident in told):
        first = _place(incident.since, since, until, width)
        last = _place(min(incident.resolved or until, until), since, until, width)
        mark = TOLD if incident.incident in told else MUTED
        cells[first : last + 1] = [mark] * (last + 1 - first)
    return "".join(cells)


def _place(moment: int, since: int, until: int, width: int) -> int:
    """The character in which a moment lies."""
    return min(max((moment - since) * width // max(until - since, 1), 0), width - 1)


def _length(incident: Incident, until: int) -> int:
    return (incident.resolved or until) - incident.since


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1e6, UTC).strftime("%Y-%m-%d %H:%M")


__all__ = ["Line", "legend", "strip"]
