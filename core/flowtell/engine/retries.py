"""Whether a failed attempt is followed by another, and after how long."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

Delays = float | Sequence[float] | Callable[[int], Sequence[float]]


class Retries(Struct, frozen=True):
    """The retry options of a flow or task."""

    times: int = 0
    """After the first attempt."""
    delays: tuple[float, ...] = (0.0,)
    jitter: float = 0.0
    condition: Callable[[Any, Any, Any], bool] | None = None

    def delay_after(self, attempt: int) -> float:
        """Seconds to wait after `attempt` failed; the last delay holds for all later ones."""
        delay = self.delays[min(attempt, len(self.delays)) - 1]
        return delay + _jitter(delay * self.jitter) if self.jitter else delay


def retry_options(count: int, delays: Delays | None, jitter: float | None, condition: Any) -> Retries:
    """The options as given to a decorator, checked.

    Raises:
        ValueError: a negative number of retries, delay or jitter.
    """
    listed = _listed(delays, count)
    if count < 0 or any(delay < 0 for delay in listed) or (jitter or 0) < 0:
        raise ValueError("retries, retry_delay_seconds and retry_jitter_factor are at least 0")
    return Retries(count, listed, jitter or 0.0, condition)


def _listed(delays: Delays | None, count: int) -> tuple[float, ...]:
    if callable(delays):
        delays = delays(count)
    if delays is None or isinstance(delays, int | float):
        return (float(delays or 0),)
    return tuple(float(delay) for delay in delays) or (0.0,)


def exponential_backoff(backoff_factor: float) -> Callable[[int], list[float]]:
    """For `retry_delay_seconds`: wait `backoff_factor` seconds, then twice that, then four times, and so on."""
    return lambda retries: [backoff_factor * 2.0**retry for retry in range(retries)]


def _jitter(most: float) -> float:
    """Up to `most` seconds, from the system's generator: the user's seeded stream of numbers is not ours to draw from."""
    return most * int.from_bytes(os.urandom(7), "big") / (1 << 56)
