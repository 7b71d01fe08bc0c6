"""The tasks of two runs, each beside its like: what took how much longer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from flowtell.store.reading import TaskRun
from flowtell_dashboard.timeline.blocks import STATES

Key = tuple[str, int]
"""A task, and which of its calls; all of a mapped task are one."""


class Stretch(NamedTuple):
    """One call of a task, or all of a mapped one: seconds from the run's start, and its worst state."""

    begin: float
    end: float
    runs: int
    state: str

    @property
    def seconds(self) -> float:
        return self.end - self.begin


class Pair(NamedTuple):
    """A task in both runs; None in the one that did not call it."""

    task: str
    call: int
    here: Stretch | None
    there: Stretch | None

    @property
    def more(self) -> float:
        """Seconds that it took longer here; all of them where it is in one run alone."""
        return (self.here.seconds if self.here else 0.0) - (self.there.seconds if self.there else 0.0)


def aligned(here: Sequence[TaskRun], there: Sequence[TaskRun], began: tuple[int, int], now: int) -> list[Pair]:
    """What differs most comes first; of the same, what began first.

    Args:
        began: when each run began, in µs.
        now: until which what goes on has lasted, in µs.
    """
    mine, others = _stretches(here, began[0], now), _stretches(there, began[1], now)
    pairs = [Pair(*key, mine.get(key), others.get(key)) for key in dict.fromkeys((*mine, *others))]
    return sorted(pairs, key=_by_weight)


def _by_weight(pair: Pair) -> tuple[float, float]:
    first = pair.here or pair.there
    return -abs(round(pair.more, 3)), first.begin if first else 0.0


def _stretches(tasks: Sequence[TaskRun], began: int, now: int) -> dict[Key, Stretch]:
    calls: defaultdict[Key, list[TaskRun]] = defaultdict(list)
    count: defaultdict[str, int] = defaultdict(int)
    for task in sorted((each for each in tasks if each.started is not None), key=_by_start):
        if task.map_index is None:
            count[task.task] += 1
        calls[task.task, count[task.task] if task.map_index is None else 0].append(task)
    return {key: _stretch(members, began, now) for key, members in calls.items()}


def _by_start(task: TaskRun) -> tuple[int, str]:
    return task.started or 0, task.id


def _stretch(members: Sequence[TaskRun], began: int, now: int) -> Stretch:
    begin = min(task.started or 0 for task in members)
    end = max(now if task.ended is None else task.ended for task in members)
    worst = max(members, key=lambda task: STATES.index(task.state if task.state in STATES else "unknown"))
    return Stretch((begin - began) / 1e6, max(end - began, begin - began) / 1e6, len(members), worst.state)
