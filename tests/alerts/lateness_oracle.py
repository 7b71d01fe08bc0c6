"""When `late` is to be told of, written apart from the evaluator: from the true times of a made-up year.

It knows nothing of events, watermarks or timers. It is given each due time and when, by a clock that is never wrong, the
run really started, how far the writer's clock stands from that, and how long its word takes to get here.
"""

from __future__ import annotations

from typing import NamedTuple


class Story(NamedTuple):
    """What really became of one due time. Seconds."""

    due: float
    """As the writer's clock shows it."""
    started: float | None
    """By the clock that is never wrong; None for never."""


class Told(NamedTuple):
    due: float
    earliest: float
    """Before this nobody may be told."""
    is_resolved: bool


def expected(stories: list[Story], *, grace: float, offset: float, way: float, end: float) -> list[Told]:
    """What is to be told of by `end`. `offset` is the writer's clock less the true one.

    A start is in time where either clock says so: the writer's stamp is within the grace, or its word was here within it.
    """
    found = []
    for story in stories:
        latest = story.due + grace
        earliest = max(latest, latest - offset)
        if story.started is not None and min(story.started + offset, story.started + way) <= latest:
            continue
        if earliest + 5 < end:
            found.append(Told(story.due, earliest, story.started is not None and story.started + way < end))
    return found
