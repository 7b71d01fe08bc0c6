"""A message in words: what every channel that is read by people says, each in its own shape."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from flowtell_alerts.message import Message

_MARKS = {"resolved": "RESOLVED", "acknowledged": "ACKNOWLEDGED", "repeat": "STILL OPEN", "test": "TEST"}


def mark(message: Message) -> str:
    """What happened, in a word or two: `ERROR`, or `RESOLVED`."""
    return _MARKS.get(message.kind) or message.incident.severity.upper() or "ALERT"


def title(message: Message) -> str:
    """One line: `ERROR: nightly (production)`."""
    incident = message.incident
    place = f" ({incident.environment})" if incident.environment else ""
    return f"{mark(message)}: {incident.subject.name}{place}"


def summary(message: Message) -> str:
    """The title and the reason on one line."""
    return f"{title(message)}: {message.incident.reason}"


def facts(message: Message) -> list[tuple[str, str]]:
    """What is known, by label; the least important last, as what does not fit is cut from the end."""
    incident = message.incident
    known = [
        ("Rule", incident.rule.kind),
        ("Why", "; ".join(message.why)),
        ("Since", moment(incident.since)),
        ("Severity", incident.severity),
        ("Acknowledged by", message.acknowledged_by),
        ("Owners", ", ".join(incident.owners)),
        *((label.capitalize(), value) for label, value in message.facts.items()),
    ]
    return [(label, value) for label, value in known if value]


def guilty(message: Message) -> list[str]:
    """The subjects of a digest, the worst first; the last line says how many more there are."""
    digest = message.digest
    if digest is None:
        return []
    lines = [f"{each.name}: {_incidents(each.incidents)}, {each.open:,} open" for each in digest.guilty]
    more = digest.subjects - len(digest.guilty)
    return [*lines, f"and {more:,} more"] if more > 0 else lines


def _incidents(number: int) -> str:
    return "1 incident" if number == 1 else f"{number:,} incidents"


def moment(at: int) -> str:
    """µs since the epoch as `2026-01-01 00:00:00 UTC`."""
    try:
        return f"{datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):  # a moment that no calendar has
        return "an unknown time"


def cut(text: str, limit: int, size: Callable[[str], int] = len) -> str:
    """The text, or as much of it as fits with a mark that something is missing.

    Args:
        size: how the receiver counts.
    """
    if size(text) <= limit:
        return text
    low, high = 0, min(len(text), limit)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size(text[:middle] + "…") <= limit else (low, middle - 1)
    return text[:low] + "…"


__all__ = ["cut", "facts", "guilty", "mark", "moment", "summary", "title"]
