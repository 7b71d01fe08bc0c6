"""One answer for all pages that ask the same: twenty tabs on one view cost the store what one tab costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Any, Final, NamedTuple, TypeVar

from flowtell_dashboard.pulse import Pulse

KEPT_SECONDS: Final = 5.0
"""What counts "the last 24 hours" is at most this old, however quiet the log."""
KEPT: Final = 64
"""Questions whose answers are kept; the one asked first goes first."""

_T = TypeVar("_T")


class _Answer(NamedTuple):
    seq: int
    at: float
    answer: asyncio.Future[Any]


class Answers:
    """Answers to the pages' questions, each for one place in the log. For one event loop."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._known: dict[Hashable, _Answer] = {}

    @property
    def seq(self) -> int:
        """How far the log is: what is found now is at least as new."""
        return self._pulse.seq

    @property
    def ended(self) -> bool:
        """There will be no news: the server goes down."""
        return self._pulse.ended

    async def beyond(self, seq: int, seconds: float) -> int:
        """How far the log is, as soon as it is beyond `seq`, or after `seconds`."""
        return await self._pulse.beyond(seq, seconds)

    async def to(self, question: Hashable, find: Callable[[], _T]) -> _T:
        """What `find` returns, called on a thread; or what it returned to whoever asked the same since the log moved."""
        known = self._known.get(question)
        if known is None or not self._holds(known):
            known = self._ask(question, find)
        answer: _T = await asyncio.shield(known.answer)
        return answer

    def _holds(self, known: _Answer) -> bool:
        failed = known.answer.done() and (known.answer.cancelled() or known.answer.exception() is not None)
        return not failed and known.seq == self._pulse.seq and time.monotonic() - known.at < KEPT_SECONDS

    def _ask(self, question: Hashable, find: Callable[[], Any]) -> _Answer:
        # The place is taken before the store is read: what is read may be newer, never older.
        asked = _Answer(self._pulse.seq, time.monotonic(), asyncio.ensure_future(asyncio.to_thread(find)))
        self._known.pop(question, None)
        self._known[question] = asked
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        return asked
