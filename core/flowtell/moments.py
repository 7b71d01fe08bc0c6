"""Moments as people type them, and spans as they say them."""

from __future__ import annotations

from datetime import UTC, datetime

from flowtell import rules
from flowtell.errors import BadMoment, FlowtellError


def moment(text: str, now: int) -> int:
    """A date, a date with time (UTC where no zone is named), or a span before `now`; in µs.

    Raises:
        BadMoment: it is neither.
    """
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        return _before(text, now)
    said = said if said.tzinfo else said.replace(tzinfo=UTC)
    return round(said.timestamp() * 1_000_000)


def _before(text: str, now: int) -> int:
    try:
        return now - round(rules.seconds(text) * 1_000_000)
    except (FlowtellError, ValueError) as error:
        raise BadMoment(text) from error


def lasting(seconds: float) -> str:
    """`340 ms`, `12.5 s`, `3 m 07 s`, `5 h 20 m`, `3 d 04 h`."""
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m" if hours < 48 else f"{hours // 24} d {hours % 24:02d} h"
