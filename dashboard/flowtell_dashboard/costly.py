"""A number that may cost much is not counted over and over: it takes a twentieth of the time at most."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

AT_ONCE: Final = 0.05
"""Seconds: what was counted within them is counted anew each time."""

_TIMES: Final = 20


class Costly:
    """One number, kept for twenty times as long as it took to count. From any thread.

    What changes meanwhile is shown with the next event after that: a graph so large has one soon.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: tuple[int, float] | None = None
        """The number, and until when it is good enough."""

    def of(self, count: Callable[[], int]) -> int:
        began = self._clock()
        if self._known is not None and began < self._known[1]:
            return self._known[0]
        number, ended = count(), self._clock()
        took = ended - began
        self._known = (number, ended + took * _TIMES) if took > AT_ONCE else None
        return number
