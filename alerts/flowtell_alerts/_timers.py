"""When a subject must be judged though no event came."""

from __future__ import annotations

import heapq

from flowtell_alerts._subject import SubjectKey


class Timers:
    """One moment for each subject, or none."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, SubjectKey]] = []
        self._set: dict[SubjectKey, int] = {}

    def put(self, key: SubjectKey, moment: int | None) -> None:
        """In the place of what was set before; that stays in the heap and is passed over when its time comes."""
        if moment is None:
            self._set.pop(key, None)
        elif self._set.get(key) != moment:
            self._set[key] = moment
            heapq.heappush(self._heap, (moment, key))

    def due(self, now: int) -> set[SubjectKey]:
        """Subjects whose moment has come; their timers are gone then."""
        due: set[SubjectKey] = set()
        while self._heap and self._heap[0][0] <= now:
            moment, key = heapq.heappop(self._heap)
            if self._set.get(key) == moment:
                del self._set[key]
                due.add(key)
        return due

    def next(self) -> int | None:
        """No later than the next moment that is set; None where none is."""
        return self._heap[0][0] if self._heap else None
