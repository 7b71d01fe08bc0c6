"""The newest decoded events in memory, shared by every runner at the tail, so that only one who is behind reads the log."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from flowtell.events import Event


class Window:
    """Bounded, newest last. Batches are put in commit order; each holds consecutive `seq`."""

    def __init__(self, limit: int = 20_000) -> None:
        self._limit = limit
        self._batches: deque[tuple[int, Sequence[Event]]] = deque()
        self._held = 0
        self._changed = threading.Condition()
        self.head = 0

    def put(self, events: Sequence[Event]) -> None:
        if not events:
            return
        with self._changed:
            if self._batches and events[0].seq != self.head + 1:  # a batch is missing: whoever wants it reads the log
                self._batches.clear()
                self._held = 0
            self._batches.append((events[0].seq, events))
            self._held += len(events)
            self.head = events[-1].seq
            while self._held > self._limit and len(self._batches) > 1:
                self._held -= len(self._batches.popleft()[1])
            self._changed.notify_all()

    def restart(self, head: int) -> None:
        """Forget everything: another process may have appended meanwhile, up to `head`."""
        with self._changed:
            self._batches.clear()
            self._held, self.head = 0, head

    def after(self, seq: int, limit: int) -> Sequence[Event] | None:
        """Up to `limit` events that follow `seq`, in whole batches where they fit.

        Empty at the tail; None where the window no longer reaches back that far.
        """
        with self._changed:
            if seq >= self.head:
                return ()
            if not self._batches or self._batches[0][0] > seq + 1:
                return None
            batches = [(first, events) for first, events in self._batches if events[-1].seq > seq]
        return _gathered(batches, seq, limit)

    def nearly_leaves(self, seq: int) -> bool:
        """Whether what follows `seq` is still here, but more than half of what the window holds has come after it."""
        with self._changed:
            reaches = bool(self._batches) and self._batches[0][0] <= seq + 1
            return reaches and self.head - seq > self._limit // 2

    def wait(self, seq: int, seconds: float) -> None:
        """Until there is something after `seq`, or the time is over, or `wake` is called."""
        with self._changed:
            if self.head <= seq:
                self._changed.wait(seconds)

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _gathered(batches: list[tuple[int, Sequence[Event]]], seq: int, limit: int) -> Sequence[Event]:
    first, events = batches[0]
    gathered = events[seq + 1 - first : seq + 1 - first + limit]
    for _, following in batches[1:]:
        if len(gathered) + len(following) > limit:
            break
        gathered = [*gathered, *following]
    return gathered
