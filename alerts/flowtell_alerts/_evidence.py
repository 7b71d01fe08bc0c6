"""An incident's evidence in words: moments with their zone, spans as people write them, numbers as they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from flowtell_alerts._kind import spelled

SHOWN: Final = 10
"""Facts that are shown; the rest stays in the log."""

_MOMENT: Final = 100_000_000_000_000
"""From here on a whole number is a moment in µs: no count and no size of anybody's is as large."""

_SPANS: Final = frozenset({"grace", "within", "after"})
_BOUNDS_IN_TIME: Final = frozenset({"too_long", "blind", "late", "stale", "absent"})


def in_words(evidence: Mapping[str, Any], rule_kind: str) -> dict[str, str]:
    """What can be said in a word or a number, in the evidence's order."""
    zone = _zone(evidence.get("zone"))
    spans = _SPANS | ({"bound"} if rule_kind in _BOUNDS_IN_TIME else set())
    found: dict[str, str] = {}
    for name, value in evidence.items():
        if isinstance(value, float | int | str) and value != "" and name != "zone" and len(found) < SHOWN:
            found[name.replace("_", " ")] = _word(value, zone, span=name in spans)
    return found


def _word(value: float | str, zone: tzinfo, *, span: bool) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int() if value >= _MOMENT:
            return _moment(value, zone)
        case int() | float() if span:
            return spelled(value)
        case float():
            return f"{value:,.6g}"
        case int():
            return f"{value:,}"
        case _:
            return value


def _moment(at: int, zone: tzinfo) -> str:
    try:
        moment = datetime.fromtimestamp(at / 1e6, UTC).astimezone(zone)
    except (OverflowError, ValueError, OSError):  # a moment that no calendar has
        return str(at)
    return f"{moment:%Y-%m-%d %H:%M:%S} {zone}"


def _zone(name: Any) -> tzinfo:
    try:
        return ZoneInfo(name) if isinstance(name, str) and name else UTC
    except (ValueError, OSError, KeyError):  # none that is known here
        return UTC


__all__ = ["SHOWN", "in_words"]
