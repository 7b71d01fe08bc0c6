"""The clock of a harness in place of the system's: for the engine of this process alone, and only while the harness is open.

The engine asks the system for the time by names of its own modules. A harness puts others under those names and takes them
away again, so that nothing asks whether there is a harness where there is none.
"""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from flowtell import engine, rules
from flowtell.schedules import microseconds
from flowtell.testing.clock import FakeClock

Moment = datetime | str
"""An aware datetime, or text as in `2026-11-21T02:00Z`."""

_ASKING: Final = re.compile(r"^(?:import time$|from time import)", re.MULTILINE)
_BESIDE_THE_ENGINE: Final = ("flowtell.ids", "flowtell.actions", "flowtell.artifacts")


class SimulatedTime:
    """`h.time`: a clock that stands until it is moved, by the test or by a retry that waits."""

    def __init__(self, clock: FakeClock, run_due: Callable[[int], None]) -> None:
        self._clock, self._run_due, self._start = clock, run_due, clock.now

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now / 1e6, UTC)

    def advance(
        self,
        by: float | str | timedelta = 0,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> datetime:
        """Move on, and run on the way what `h.serve` has and what falls due; returns the new time.

        `by` is a number of seconds, a timedelta, or text as in `"26h"`.

        Raises:
            ValueError: that would be back.
        """
        given = by if isinstance(by, timedelta) else timedelta(seconds=rules.seconds(by))
        span = given + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return self._move(self._clock.now + span // timedelta(microseconds=1))

    def move_to(self, moment: Moment) -> datetime:
        """As `advance`, to a moment.

        Raises:
            ValueError: it has passed, or has no zone.
        """
        return self._move(as_microseconds(moment))

    def _move(self, to: int) -> datetime:
        if to < self._clock.now:
            raise ValueError(f"the clock of a harness does not go back: it is {self.now.isoformat()}")
        self._run_due(to)
        self._clock.now = max(self._clock.now, to)
        return self.now

    def pass_until(self, moment: int) -> None:
        """Somebody in a run has waited until then."""
        self._clock.now = max(self._clock.now, moment)

    # --- what the engine asks in place of the system

    def time_ns(self) -> int:
        return self._clock.now * 1000

    def perf_counter_ns(self) -> int:
        """Real time goes by as well, so that what a task takes is measured."""
        return time.perf_counter_ns() + (self._clock.now - self._start) * 1000

    def rest(self, seconds: float) -> None:
        """The time before a retry has passed."""
        self.pass_until(self._clock.now + int(seconds * 1e6))

    async def rest_async(self, seconds: float) -> None:
        import asyncio

        self.rest(seconds)
        await asyncio.sleep(0)


class _Time:
    """The module `time`, with another time of day."""

    def __init__(self, simulated: SimulatedTime) -> None:
        self.time_ns = simulated.time_ns

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def as_microseconds(moment: Moment) -> int:
    """µs since the epoch.

    Raises:
        ValueError: it is no time, or has no zone.
    """
    given = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    if given.tzinfo is None:
        raise ValueError(f"{moment!s} needs a zone, as in 2026-11-21T02:00Z")
    return microseconds(given)


@cache
def timed_modules() -> tuple[ModuleType, ...]:
    """All that say what time it is in events, or measure runs. The others need not be loaded for a test."""
    folder = Path(engine.__path__[0])
    names = [f"{engine.__name__}.{path.stem}" for path in sorted(folder.glob("*.py")) if _ASKING.search(path.read_text())]
    return tuple(importlib.import_module(name) for name in (*names, *_BESIDE_THE_ENGINE))


@contextmanager
def in_place(simulated: SimulatedTime, others: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """The engine asks the simulated clock inside. `others`: more names to replace, by module."""
    instead: dict[int, Any] = {
        id(time): _Time(simulated),
        id(time.time_ns): simulated.time_ns,
        id(time.perf_counter_ns): simulated.perf_counter_ns,
    }
    before: list[tuple[ModuleType, str, Any]] = []
    try:
        for module in timed_modules():
            named = {name: instead[id(value)] for name, value in vars(module).items() if id(value) in instead}
            for name, value in {**named, **others.get(module.__name__, {})}.items():
                before.append((module, name, getattr(module, name)))
                setattr(module, name, value)
        yield
    finally:
        for module, name, value in reversed(before):
            setattr(module, name, value)


__all__ = ["Moment", "SimulatedTime", "as_microseconds", "in_place", "timed_modules"]
