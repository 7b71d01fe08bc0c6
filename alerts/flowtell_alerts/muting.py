"""Whether anybody is to be told of an incident now. A pure decision with a named reason."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

from flowtell.events import IncidentAcknowledged, IncidentResolved
from flowtell_alerts.silences import Silence, silencing

FLAPPING_FACT: Final = "flapping"
"""Key of the evidence that says that the incident's rule broke and held too often; see `flowtell_alerts._flapping`."""


class Muted(StrEnum):
    """Why nobody is told."""

    NOT = ""
    INHIBITED = "inhibited"
    """Another incident explains it, and is told in its stead."""
    SILENCED = "silenced"
    """Somebody said that for a while nobody is to be told."""
    FLAPPING = "flapping"
    """People know that it comes and goes; each turn is no news."""


def muted(event: Any, now: int, silences: Iterable[Silence] = (), *, told: bool = False) -> str:
    """Why nobody is to be told of `event` at `now`; empty where somebody is. Never raises.

    Asked with the newest event of the incident, before a letter is queued and again before it is sent. What is muted while
    its incident is open is told as soon as it is muted no longer, by a newer event or by a silence that has ended. That an
    incident is resolved or acknowledged is never muted: who was told that it began must be able to close it.

    Args:
        event: `incident.opened`, `.updated`, `.acknowledged` or `.resolved`.
        silences: those that may hold, such as `Silences.holding(now)`.
        told: whether the channel was told already that the incident is open. What flaps is told once.
    """
    if isinstance(event, IncidentResolved | IncidentAcknowledged):
        return Muted.NOT
    if event.inhibited_by:
        return Muted.INHIBITED
    if silencing(event, silences, now) is not None:
        return Muted.SILENCED
    return Muted.FLAPPING if told and FLAPPING_FACT in event.evidence else Muted.NOT
