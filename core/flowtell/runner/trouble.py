"""What a plugin's failures lead to: a decision from counts alone."""

from __future__ import annotations

from enum import Enum
from typing import Final

ATTEMPTS_ALONE: Final = 3
BREAKER_AFTER: Final = 5
BACKOFF_SECONDS: Final = (0.1, 0.5, 2.0, 5.0, 15.0, 60.0)


class Verdict(Enum):
    """What to do about a failed call."""

    REPEAT = "repeat the batch"
    LOOK_CLOSER = "the batch failed twice: go one by one, so that only the event at fault is lost"
    SET_ASIDE = "one event alone failed three times: note it and go past it"


class Trouble:
    """Counts failures since things last went well."""

    def __init__(self) -> None:
        self.failures = 0
        self.alone = 0
        """Failures of the event that is handed over alone."""
        self.alone_until = 0
        """Up to which place in the log events are handed over one by one."""
        self.aside = 0
        """Events set aside since one was taken: after a few it is not the events that are at fault."""

    def goes_alone(self, cursor: int) -> bool:
        return self.alone_until > cursor

    def failed(self, cursor: int, *, hung: bool = False) -> Verdict:
        """Count one more failure of `handle`, and say what to do. One that hung alone costs a thread: once is enough."""
        self.failures += 1
        if self.goes_alone(cursor):
            self.alone += 1
            return Verdict.SET_ASIDE if hung or self.alone >= ATTEMPTS_ALONE else Verdict.REPEAT
        return Verdict.LOOK_CLOSER if self.failures >= 2 else Verdict.REPEAT  # twice is no accident

    def look_closer(self, until: int) -> None:
        self.alone_until, self.alone = until, 0

    def failed_otherwise(self) -> None:
        """Count a failure that no event is to blame for: of `open`, of `tick`, of the store."""
        self.failures += 1

    def went_past(self) -> None:
        """An event was set aside. The breaker stays open when one after the other is."""
        self.alone = 0
        self.aside += 1
        if self.aside < BREAKER_AFTER:
            self.failures = 0

    def settled(self, cursor: int, *, handled: bool = False) -> None:
        """A call went well."""
        self.failures = self.alone = 0
        if handled:
            self.aside = 0
        if cursor >= self.alone_until:
            self.alone_until = 0

    @property
    def broken(self) -> bool:
        """Whether the breaker is open: it fails on everything, so it is left alone for longer."""
        return self.failures >= BREAKER_AFTER

    @property
    def backoff(self) -> float:
        """Seconds until the next attempt."""
        return BACKOFF_SECONDS[min(self.failures, len(BACKOFF_SECONDS)) - 1] if self.failures else 0.0
