"""Of which flows more news is on its way: what the log says of them now may be taken back by the next batch.

A server that starts reads journals of hours; the start of a run comes in one batch and its end in a later one. A flow
of which old news has just come is judged when no more came for a moment, and so is every flow after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flowtell.events import Event

QUIET: Final = 2_000_000
"""µs without old news after which a flow is judged; news is old when it reached the log later than this."""

LONGEST: Final = 60_000_000
"""µs that judging a flow is put off at most: a feed that always comes late is judged too."""

FlowKey = tuple[str, str]
"""Flow and environment."""


class Arrivals:
    """Kept in memory alone: a restart waits for all flows."""

    def __init__(self, keys: Iterable[FlowKey], now: int) -> None:
        self._since = dict.fromkeys(keys, now)
        self._until = dict.fromkeys(self._since, now + QUIET)

    def note(self, key: FlowKey, event: Event) -> None:
        if event.received - event.time > QUIET:
            since = self._since.setdefault(key, event.received)
            self._until[key] = min(event.received + QUIET, since + LONGEST)

    def are_expected(self, key: FlowKey, now: int) -> bool:
        """Whether to wait before the flow is judged."""
        if now < self._until.get(key, 0):
            return True
        self._until.pop(key, None)
        self._since.pop(key, None)
        return False
