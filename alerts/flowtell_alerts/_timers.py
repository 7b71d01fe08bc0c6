"""When a flow must be judged though no event came."""

from __future__ import annotations

import heapq

from flowtell_alerts._arrivals import FlowKey


class Timers:
    """One moment for each flow, or none."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, FlowKey]] = []
        self._set: dict[FlowKey, int] = {}

    def put(self, key: FlowKey, moment: int | None) -> None:
        """In the place of what was set before; that stays in the heap and is passed over when its time comes."""
        if moment is None:
            self._set.pop(key, None)
        elif self._set.get(key) != moment:
            self._set[key] = moment
            heapq.heappush(self._heap, (moment, key))

    def due(self, now: int) -> set[FlowKey]:
        """Flows whose moment has come; their timers are gone then."""
        due: set[FlowKey] = set()
        while self._heap and self._heap[0][0] <= now:
            moment, key = heapq.heappop(self._heap)
            if self._set.get(key) == moment:
                del self._set[key]
                due.add(key)
        return due
