"""Runs whose time has come and of which nothing was heard: a deployment was paused, or somebody deleted them.

Prefect tells of neither by a message, and marks as late, with one, what is still there.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Final

from flowtell.events import Event, FlowRunScheduled
from flowtell.source import OpenRun

_SILENCE: Final = 30_000_000
"""µs after a run was due in which Prefect says that it starts or is late: it marks the late ones after 15 to 20 s."""


class Expected:
    """Those that are scheduled, by the time they are due. For one thread."""

    def __init__(self) -> None:
        self._runs: dict[str, OpenRun] = {}
        self._by_due: list[tuple[int, str]] = []

    def note(self, events: Iterable[Event]) -> None:
        """Expect the scheduled, and no longer those of which there is news."""
        for event in events:
            if isinstance(event, FlowRunScheduled) and event.due is not None:
                self._runs[event.run] = OpenRun(
                    id=event.run, flow=event.flow, state="scheduled", external_id=event.external_id, due=event.due
                )
                heapq.heappush(self._by_due, (event.due, event.run))
            elif event.type.startswith("flow_run."):
                self._runs.pop(event.run, None)

    def overdue(self, now: int) -> Sequence[OpenRun]:
        """Those to be asked for at `now`, in µs by their clock; each is named once."""
        found: dict[str, OpenRun] = {}
        while self._by_due and self._by_due[0][0] + _SILENCE <= now:
            due, run = heapq.heappop(self._by_due)
            if run in self._runs and self._runs[run].due == due:
                found[run] = self._runs.pop(run)
        return list(found.values())
