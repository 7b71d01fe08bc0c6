"""What decided how long a run took, and how much longer each of its tasks could have taken.

A task *waits for* the tasks whose results it was given. Where none is known, for every task that had ended when it began:
the flow's own code may have waited for any of them, so nothing is promised that might not hold. The critical path goes
back from the task that ended last, at each step to the one waited for that ended last. A task's slack is how much later it
could have ended without the run's end moving; on the path it is the time the flow itself took between two tasks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

_NO_ROOM: Final = float("inf")


class Span(NamedTuple):
    """A task run that has begun. Moments are in µs; `ended` of one that goes on is now. `upstream` are ids."""

    id: str
    started: int
    ended: int
    upstream: tuple[str, ...] = ()


class CriticalPath(NamedTuple):
    """`path` are ids in the order of time; `slack` is in µs, never negative."""

    path: list[str]
    slack: dict[str, int]


def critical_path(spans: Sequence[Span], end: int) -> CriticalPath:
    """The path through the run that ended at `end`. Takes n log n steps for n task runs."""
    known = {span.id: span for span in spans}
    by_end = sorted(spans, key=_by_end)
    return CriticalPath(_walk_back(known, by_end), _slack(known, spans, end))


def waits_for(span: Span, known: Mapping[str, Span]) -> list[Span]:
    """The upstream task runs that are known and began before this one."""
    begun = (known[one] for one in span.upstream if one in known and one != span.id)
    return [each for each in begun if each.started <= span.started]


def _by_end(span: Span) -> tuple[int, str]:
    return span.ended, span.id


def _walk_back(known: Mapping[str, Span], by_end: Sequence[Span]) -> list[str]:
    ends = [span.ended for span in by_end]
    at = by_end[-1] if by_end else None
    path: list[str] = []
    seen: set[str] = set()
    while at is not None and at.id not in seen:
        seen.add(at.id)
        path.append(at.id)
        upstream = waits_for(at, known)
        at = max(upstream, key=_by_end) if upstream else _last_before(at, by_end, ends)
    return path[::-1]


def _last_before(span: Span, by_end: Sequence[Span], ends: Sequence[int]) -> Span | None:
    """Of those that had ended when it began, the one that ended last."""
    place = bisect_right(ends, span.started) - 1
    while place >= 0 and (by_end[place].id == span.id or by_end[place].started >= span.started):
        place -= 1
    return by_end[place] if place >= 0 else None


def _slack(known: Mapping[str, Span], spans: Sequence[Span], end: int) -> dict[str, int]:
    """From the last to begin to the first, so that whoever waits for a task comes before it."""
    slack: dict[str, int] = {}
    bound: dict[str, float] = {}
    free = _Free()
    for span in sorted(spans, key=lambda span: (-span.started, span.id)):
        latest = min(bound.get(span.id, _NO_ROOM), free.first_after(span.ended, span.started), float(max(end, span.ended)))
        slack[span.id] = max(0, int(latest) - span.ended)
        upstream = waits_for(span, known)
        for each in upstream:
            bound[each.id] = min(bound.get(each.id, _NO_ROOM), span.started + slack[span.id])
        if not upstream:
            free.add(span.started, span.started + slack[span.id])
    return slack


class _Free:
    """Tasks that may have waited for anything: the latest moment by which what they waited for must have ended."""

    def __init__(self) -> None:
        self._starts: list[int] = []  # negated, so that it ascends while starts descend
        self._least: list[float] = []

    def add(self, started: int, latest: int) -> None:
        """In descending order of `started`."""
        before = self._least[-1] if self._least else _NO_ROOM
        self._starts.append(-started)
        self._least.append(min(before, latest))

    def first_after(self, ended: int, started: int) -> float:
        """The least of those that began at `ended` or later, and after `started`."""
        place = min(bisect_right(self._starts, -ended), bisect_left(self._starts, -started))
        return self._least[place - 1] if place else _NO_ROOM
