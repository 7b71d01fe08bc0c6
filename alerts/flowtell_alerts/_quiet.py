"""Whether a channel is to be told of an incident, by the silences that lie before it in the log."""

from __future__ import annotations

from flowtell.events import Event
from flowtell.plugin import Context
from flowtell_alerts.message import IncidentEvent
from flowtell_alerts.muting import muted
from flowtell_alerts.outbox import silences
from flowtell_alerts.silences import Silence, Silences


class Quiet:
    """Belongs to the sender's thread. `at` comes first in each call of the plugin."""

    def __init__(self, context: Context) -> None:
        self._silences = Silences(context, silences)
        self._now = 0
        self._holding: list[Silence] = []

    def at(self, now: int) -> None:
        """Judge by the silences that hold at this moment."""
        self._now, self._holding = now, self._silences.holding(now)

    def take(self, event: Event) -> bool:
        """Keep a silence, or its end. Whether that changed anything."""
        changed = self._silences.take(event)
        if changed:
            self.at(self._now)
        return changed

    def why(self, event: Event, *, told: bool = False) -> str:
        """Why nobody is to be told now; empty where somebody is.

        Args:
            told: whether the channel knows that the incident is open.
        """
        return muted(event, self._now, self._holding, told=told) if isinstance(event, IncidentEvent) else ""

    def forget(self, now: int) -> None:
        """Silences that were over long ago."""
        self._silences.forget(now)
