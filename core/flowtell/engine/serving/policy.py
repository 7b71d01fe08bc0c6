"""Which due times are to be answered, and whether a run may start: pure decisions over plain data."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from flowtell.events import Schedule
from flowtell.schedules import MISSED_AFTER, catch_up_policy, dues, previous_due

MOST_CAUGHT_UP: Final = 1000
"""Missed due times that one start answers at most, the newest of them."""
MOST_WAITING: Final = 1000
"""Runs of one deployment that wait at most; what comes on top is skipped."""


class Due(NamedTuple):
    """A due time to be answered; `missed` when it was over before anybody looked."""

    due: int
    missed: bool


def to_answer(schedule: Schedule, since: int, now: int) -> list[Due]:
    """Due times after `since` up to `now`, in order, less those missed ones that the catch-up policy leaves out. In µs."""
    on_time_from = max(since, now - MISSED_AFTER)
    missed = _caught_up(schedule, since, on_time_from)
    return [*(Due(due, True) for due in missed), *(Due(due, False) for due in dues(schedule, on_time_from, now))]


def _caught_up(schedule: Schedule, since: int, until: int) -> Sequence[int]:
    name, window = catch_up_policy(schedule)
    if window is not None:
        since = max(since, until + MISSED_AFTER - int(window * 1_000_000))
    if name == "none" or since >= until:
        return ()
    if name == "all":
        return deque(dues(schedule, since, until), maxlen=MOST_CAUGHT_UP)
    latest = previous_due(schedule, until)
    return () if latest is None or latest <= since else (latest,)


def room(schedules: Sequence[Schedule], limit: int | None) -> float:
    """How many runs of a deployment may be open at a time."""
    if limit is not None:
        return limit
    return float("inf") if any(schedule.overlap == "allow" for schedule in schedules) else 1


Fate = Literal["take", "skip_overlap", "skip_full"]


def fate(overlap: str, *, missed: bool, open_runs: int, waiting: int, room: float) -> Fate:
    """What becomes of a due time. Missed ones that are caught up wait for one another, as none would be left else."""
    if waiting >= MOST_WAITING:
        return "skip_full"
    if overlap in ("", "skip") and not missed and open_runs >= room:
        return "skip_overlap"
    return "take"
