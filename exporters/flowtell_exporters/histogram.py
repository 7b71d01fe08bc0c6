"""Seconds by bucket, kept beside the bounds they were counted with, so that a row can be read whatever is configured."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, TypeGuard

from msgspec import Struct, field

from flowtell_exporters.families import DURATION_BUCKETS

LONGEST: Final = 1e9
"""Seconds; no clock has measured a longer run, and one such duration would spoil a sum for ever."""


def is_duration(seconds: float | None) -> TypeGuard[float]:
    return seconds is not None and 0 <= seconds < LONGEST


class Histogram(Struct, omit_defaults=True):
    """Empty `counts` stand for none observed."""

    seconds: float = 0.0
    counts: list[int] = field(default_factory=list)
    """By the first bound that holds them; the last one is +Inf. Not cumulative."""
    bounds: tuple[float, ...] = DURATION_BUCKETS

    def observe(self, seconds: float) -> int:
        """Count `seconds`, which is a duration. The number of its bucket."""
        if not self.counts:
            self.counts = [0] * (len(self.bounds) + 1)
        at = bisect_left(self.bounds, seconds)
        self.seconds += seconds
        self.counts[at] += 1
        return at

    def adopt(self, bounds: Sequence[float]) -> bool:
        """Count by these bounds from now on; by others it begins anew, as a counter that was reset. Whether it did."""
        if tuple(self.bounds) == tuple(bounds):
            self.bounds = tuple(bounds) if bounds is not DURATION_BUCKETS else DURATION_BUCKETS
            return False
        self.seconds, self.counts, self.bounds = 0.0, [], tuple(bounds)
        return True
