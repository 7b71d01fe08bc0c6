"""Of which subjects more news is on its way: what the log says of them now may be taken back by the next batch.

A server that starts reads journals of hours; the start of a run comes in one batch and its end in a later one. One
of which old news has just come is judged when no more came for a moment, and so is every one after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flowtell.events import Event
from flowtell_alerts._subject import SubjectKey

QUIET: Final = 2_000_000
"""µs without old news after which a subject is judged; news is old when it reached the log later than this."""

LONGEST: Final = 60_000_000
"""µs that judging a subject is put off at most: a feed that always comes late is judged too."""


class Arrivals:
    """Kept in memory alone: a restart waits for all."""

    def __init__(self, keys: Iterable[SubjectKey], now: int) -> None:
        self._of_old, self._begun = frozenset(keys), now + QUIET
        self._since: dict[SubjectKey, int] = {}
        self._until: dict[SubjectKey, int] = {}

    def note(self, key: SubjectKey, event: Event) -> None:
        if event.received - event.time > QUIET:
            since = self._since.setdefault(key, event.received)
            self._until[key] = min(event.received + QUIET, since + LONGEST)

    def are_expected(self, key: SubjectKey, now: int) -> bool:
        """Whether to wait before it is judged."""
        if now >= self._begun:
            self._of_old = frozenset()
        if key in self._of_old or now < self._until.get(key, 0):
            return True
        self._until.pop(key, None)
        self._since.pop(key, None)
        return False
