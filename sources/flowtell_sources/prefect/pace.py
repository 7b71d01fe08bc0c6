"""How often the Prefect server is asked: a bound for every minute, and pauses as long as its answers were slow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_SLOW_SECONDS: Final = 2.0


class Pace:
    """A bucket of tokens that fills evenly. For one thread."""

    def __init__(
        self,
        per_minute: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._per_second = per_minute / 60.0
        self._most = max(per_minute / 4.0, 1.0)
        self._tokens, self._at = self._most, monotonic()
        self._monotonic, self._sleep = monotonic, sleep
        self.requests: int = 0
        """Sent so far."""
        self.rest: float = 0.0
        """Seconds that a slow answer has earned it."""

    def wait(self) -> None:
        """Until the next request may be sent."""
        now = self._monotonic()
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        pause = max((1.0 - self._tokens) / self._per_second, self.rest)
        if pause > 0:
            self._sleep(pause)
            now = self._monotonic()
            self._tokens = min(self._most, self._tokens + (now - self._at) * self._per_second)
            self._at = now
        self._tokens -= 1.0
        self.rest = 0.0
        self.requests += 1

    def answered(self, seconds: float) -> None:
        """One that took long is left alone as long again, so that half of its time is its own."""
        self.rest = seconds if seconds > _SLOW_SECONDS else 0.0
