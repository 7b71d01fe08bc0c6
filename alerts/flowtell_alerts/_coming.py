"""Something that is to come again and again: within a span of the time before, or once by each time of a cron line.

What comes late answers the due time that it missed, and no other: whoever delivers at eight what was due at seven has
delivered nothing yet for seven of the next day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from flowtell.errors import BadSchedule
from flowtell.events import Schedule
from flowtell.schedules import cron, next_due

KEPT: Final = 16
"""Newest comings that are remembered: of those before nothing follows for what is due now."""


class Coming(Struct, frozen=True, order=True, array_like=True, gc=False):
    """One time at which it came. Ordered by time, which is in µs."""

    time: int
    event: str
    run: str = ""
    partition: str = ""


class Owed(Struct, frozen=True):
    """What is missing, or what is awaited next."""

    due: int
    """By when it is owed, in µs: in the past, where it is missing."""
    missing: bool


def line_of(by: str, tz: str) -> Schedule:
    """The cron line of a rule.

    Raises:
        ValueError: it cannot be evaluated; a source or a version of tomorrow may state anything.
    """
    try:
        return cron(by, tz)
    except BadSchedule as error:
        raise ValueError(str(error)) from None


def owed_within(reference: int, within: int, at: int) -> Owed:
    """Within a span in µs of the time before; it is missing once `at` is past that."""
    return Owed(reference + within, missing=at > reference + within)


def owed_by(line: Schedule, comings: Sequence[Coming], since: int, at: int) -> Owed | None:
    """By each time of a cron line after `since`; the earliest due time up to `at` that nothing has answered yet, else
    the next one. None where the line has no more times.

    Args:
        comings: the newest, in order. Before the first of them nothing is owed.
    """
    debt: int | None = None
    ahead = False
    clock = comings[0].time if comings else since
    for coming in (*comings, None):
        until = at if coming is None else coming.time
        for due in _first_dues(line, max(clock, since), until):
            debt, ahead = (due if debt is None and not ahead else debt), False
        if coming is not None:
            debt, ahead, clock = None, debt is None, coming.time
    if debt is not None:
        return Owed(debt, missing=True)
    due_next = next_due(line, max(at, since))
    return None if due_next is None else Owed(due_next, missing=False)


def _first_dues(line: Schedule, after: int, until: int) -> Iterator[int]:
    """The first two due times: the one that what came before has answered, and the one that is missing."""
    for _ in range(2):
        due = next_due(line, after)
        if due is None or due > until:
            return
        yield due
        after = due
