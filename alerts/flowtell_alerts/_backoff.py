"""When an attempt that failed is made again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

WAITS: Final = (5.0, 15.0, 60.0, 300.0, 900.0)
"""Seconds before each further attempt: six in about twenty minutes."""

JITTER: Final = 0.2
"""Share by which a wait may be longer, so that many servers do not come back in one moment."""

MAX_RETRY_AFTER: Final = 300.0
"""Seconds that a receiver's Retry-After can put a message off; a larger wish counts as this."""

Chance = Callable[[], float]
"""A number from 0 up to 1."""


def wait_after(attempts: int, retry_after: float, chance: Chance) -> float | None:
    """Seconds until the next attempt after so many; None where there is none. Never sooner than the receiver asked."""
    if attempts > len(WAITS):
        return None
    wait = WAITS[max(attempts, 1) - 1] * (1 + JITTER * chance())
    return max(wait, min(retry_after, MAX_RETRY_AFTER))


def rest_after(retry_after: float, chance: Chance) -> float:
    """Seconds for which the whole channel is left alone after a failure."""
    return max(WAITS[0] * (1 + JITTER * chance()), min(retry_after, MAX_RETRY_AFTER))
