"""A clock that stands until it is moved."""

from __future__ import annotations


class FakeClock:
    """Call it for the time in µs since the epoch. Starts at 2026-01-01 00:00 UTC unless told otherwise."""

    def __init__(self, start: int = 1_767_225_600_000_000) -> None:
        self.now = start

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> int:
        """Move on by `seconds` and return the new time."""
        self.now += int(seconds * 1_000_000)
        return self.now
