"""How each flow did lately, counted from the timeline's columns: no query groups the table of runs for it."""

from __future__ import annotations

from collections import defaultdict
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowtell_dashboard.timeline.blocks import FIRST_BAD, STATES
from flowtell_dashboard.timeline.columns import GONE, Rows
from flowtell_dashboard.timeline.index import Index

DAYS: Final = 30
"""How far back a summary looks."""

RECENT: Final = 20
"""Runs whose states are shown one by one, the newest."""

_DAY: Final = 86_400_000_000
_RUNNING: Final = STATES.index("running")
_GOOD: Final = (STATES.index("completed"), STATES.index("cached"))


class FlowSummary(NamedTuple):
    """A flow in one environment. Moments in µs, durations in seconds, of runs that began in the last `DAYS` days."""

    flow: str
    environment: str
    runs: int
    good: int
    bad: int
    running: int
    median: float | None
    slow: float | None
    """What 95 of a hundred good runs took at most."""
    last: int | None
    recent: tuple[tuple[str, str], ...]
    """Id and state of the newest runs, the newest last."""
    next_due: int | None

    @property
    def success(self) -> float | None:
        """Part of the runs that ended well, of those that ended well or badly."""
        return self.good / (self.good + self.bad) if self.good + self.bad else None


def summaries(index: Index, now: int) -> list[FlowSummary]:
    """One for each flow and environment that has run lately or is due, by name. Refreshes the index first."""
    with index.lock:
        index.refresh()
        rows = index.columns.rows
        lately = rows.at(slice(int(np.searchsorted(rows.started, now - DAYS * _DAY)), None))
        lately = lately.at(lately.state != GONE)
        names = list(dict.fromkeys((kind.flow, kind.environment) for kind in index.kinds.all))
        numbers = {name: number for number, name in enumerate(names)}
        group_of = np.array([numbers[kind.flow, kind.environment] for kind in index.kinds.all], np.int64)
        due: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for ahead in index.ahead.values():
            kind = index.kinds.all[ahead.kind]
            due[kind.flow, kind.environment].append(ahead.due)
        group = group_of[lately.kind] if len(group_of) else np.zeros(0, np.int64)
        found = _Found(lately, group, len(names))
        made = [found.summary(number, name, min(due.get(name, []), default=None)) for number, name in enumerate(names)]
    return sorted(one for one in made if one.runs or one.next_due is not None)


class _Found:
    """Counts of all groups at once."""

    def __init__(self, rows: Rows, group: NDArray[np.int64], groups: int) -> None:
        self._rows = rows
        self._order = np.argsort(group, kind="stable")
        self._first = np.searchsorted(group[self._order], np.arange(groups + 1))
        good = np.isin(rows.state, _GOOD)
        self._good = np.bincount(group[good], minlength=groups)
        self._bad = np.bincount(group[rows.state >= FIRST_BAD], minlength=groups)
        self._running = np.bincount(group[rows.state == _RUNNING], minlength=groups)
        took = (rows.ended - rows.started)[good] / 1e6
        by_length = np.lexsort((took, group[good]))
        self._took = took[by_length]
        self._took_first = np.searchsorted(group[good][by_length], np.arange(groups + 1))

    def summary(self, number: int, name: tuple[str, str], next_due: int | None) -> FlowSummary:
        mine = self._order[self._first[number] : self._first[number + 1]]
        took = self._took[self._took_first[number] : self._took_first[number + 1]]
        recent = self._rows.at(mine[-RECENT:])
        states = [STATES[state] for state in recent.state]
        return FlowSummary(
            *name,
            runs=len(mine),
            good=int(self._good[number]),
            bad=int(self._bad[number]),
            running=int(self._running[number]),
            median=float(took[len(took) // 2]) if len(took) else None,
            slow=float(took[min(int(len(took) * 0.95), len(took) - 1)]) if len(took) else None,
            last=int(recent.started[-1]) if len(mine) else None,
            recent=tuple(zip(recent.ids, states, strict=True)),
            next_due=next_due,
        )
