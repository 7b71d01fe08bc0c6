"""What the log holds of a plugin's events beyond those that it was handed.

A plugin counts as live some batches before the log's end, so a tick may come while news is on its way that changes
everything: the end of a run that seems too long, the resolution of an incident that is about to be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select

from flowtell.events import Event
from flowtell.plugin import Context
from flowtell.store.tables import cursors

FAR_BEHIND: Final = 1_000


class Unread:
    """Kept up to date by `passed`; after a restart it begins at the plugin's cursor."""

    def __init__(self, context: Context, types: Sequence[str]) -> None:
        self._log, self._types = context.log, tuple(types)
        rows = context.read(select(cursors.c.seq).where(cursors.c.plugin == context.name))
        self._seq: int = rows[0].seq if rows else 0

    @property
    def handled(self) -> int:
        """Up to where the log was handed over, as far as it has anything for the plugin."""
        return self._seq

    def passed(self, event: Event) -> bool:
        """Take note of an event that was handed over. False for one that was handed over before."""
        if event.seq <= self._seq:
            return False
        self._seq = event.seq
        return True

    def read(self) -> list[Event]:
        """The first of the unread events: as many as `FAR_BEHIND` where there are more."""
        head = self._log.head()
        events = self._log.read(self._seq, FAR_BEHIND, self._types)
        if not events:
            self._seq = max(self._seq, head)  # so that the next look is short
        return events
