"""A bound on what one plugin may log: a flood fills no disk and hides nobody else's line."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

RECORDS: Final = 200
SECONDS: Final = 10.0


class Flood(logging.Filter):
    """Lets `records` pass in each `seconds`. The first one after a flood says how many were left out."""

    def __init__(
        self, records: int = RECORDS, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._records, self._seconds, self._clock = records, seconds, clock
        self._until = 0.0
        self._passed = self._left_out = 0
        self._counting = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        with self._counting:
            now = self._clock()
            if now >= self._until:
                self._until, self._passed = now + self._seconds, 0
            if self._passed >= self._records:
                self._left_out += 1
                return False
            self._passed += 1
            left_out, self._left_out = self._left_out, 0
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out:,} records before this one were left out)", ()
        return True


def bounded(logger: logging.Logger) -> logging.Logger:
    """The logger, with a bound put on it unless it has one."""
    if not any(isinstance(one, Flood) for one in logger.filters):
        logger.addFilter(Flood())
    return logger
