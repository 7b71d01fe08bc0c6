"""When a deployment's schedules want its next run: the first due time that no run has answered, even when it is past."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flowtell.errors import FlowtellError
from flowtell.events import Schedule
from flowtell.schedules import next_due

MOST_SCHEDULES: Final = 100
"""Of one deployment that are looked at."""


def first_due(schedules: Iterable[Schedule], after: int) -> int:
    """The soonest due time after `after`, in µs; 0 where there is none, and for schedules that cannot be evaluated here."""
    times = [_due(schedule, after) for schedule in schedules if schedule.active]
    return min([time for time in times if time], default=0)


def _due(schedule: Schedule, after: int) -> int:
    try:
        return next_due(schedule, after) or 0
    except (FlowtellError, ValueError, OverflowError):  # a source's own expression
        return 0
