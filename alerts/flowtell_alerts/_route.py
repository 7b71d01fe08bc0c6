"""Which incidents a channel is told of."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import NamedTuple

from msgspec import Struct

from flowtell.rules import SEVERITIES
from flowtell_alerts.channels import Channel
from flowtell_alerts.message import IncidentEvent


class Route(Struct, frozen=True):
    """The least severity, and patterns; where there are none, all fit."""

    severity: str = SEVERITIES[0]
    flow: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    rule: tuple[str, ...] = ()

    def leads(self, event: IncidentEvent) -> bool:
        """Whether the channel is told of this incident."""
        if event.severity in SEVERITIES and SEVERITIES.index(event.severity) < SEVERITIES.index(self.severity):
            return False
        about = (
            (self.flow, (event.flow,)),
            (self.environment, (event.environment,)),
            (self.owner, event.owners),
            (self.rule, (event.rule.kind if event.rule else "",)),
        )
        return all(not patterns or _fits(patterns, values) for patterns, values in about)


def _fits(patterns: tuple[str, ...], values: tuple[str, ...]) -> bool:
    return any(fnmatchcase(value, pattern) for value in values for pattern in patterns)


class Offer(NamedTuple):
    """A channel that can be made, and made anew."""

    make: Callable[[], Channel]
    route: Route = Route()


__all__ = ["Offer", "Route"]
