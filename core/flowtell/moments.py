"""Moments as people type them."""

from __future__ import annotations

from datetime import UTC, datetime

from flowtell.errors import BadMoment, FlowtellError
from flowtell.rules import seconds


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
        return now - round(seconds(text) * 1_000_000)
    except (FlowtellError, ValueError) as error:
        raise BadMoment(text) from error
