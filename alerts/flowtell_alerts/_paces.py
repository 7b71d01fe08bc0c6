"""How often a channel may be told something: the generic cell rate algorithm, whose state is one moment a key.

It is kept in the store, so that a server that starts anew goes on where the last one was.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowtell_alerts.channels import Channel, Rate

_HOUR = 3600.0


def rates_of(channel: Channel) -> list[Rate]:
    """The channel's own rates and its cap."""
    cap = [Rate(f"hour {channel.name}", _HOUR / channel.hourly, channel.hourly)] if channel.hourly else []
    return [*channel.rates, *cap]


class Paces:
    """Moments are µs since the epoch."""

    def __init__(self, known: Mapping[str, int]) -> None:
        self._until = dict(known)
        self._changed: set[str] = set()

    def free_at(self, channel: Channel) -> int:
        """When the channel may be told something next; in the past where it may be now."""
        by_rate = [self._until.get(rate.key, 0) - _us(rate.seconds) * (rate.burst - 1) for rate in rates_of(channel)]
        return max(*by_rate, self._until.get(_rest(channel.name), 0))

    def take(self, channel: Channel, now: int) -> None:
        """Count one message."""
        for rate in rates_of(channel):
            self._set(rate.key, max(self._until.get(rate.key, 0), now) + _us(rate.seconds))

    def set_back(self, ahead: int) -> None:
        """The moments are of a clock that was so far ahead, and are kept already as this one's."""
        self._until = {key: until - ahead for key, until in self._until.items()}

    def rest(self, channel: str, until: int) -> None:
        """Leave the channel alone."""
        self._set(_rest(channel), max(until, self._until.get(_rest(channel), 0)))

    def _set(self, key: str, until: int) -> None:
        self._until[key] = until
        self._changed.add(key)

    def changed(self) -> dict[str, int]:
        """What changed since this was asked last."""
        keys, self._changed = self._changed, set()
        return {key: self._until[key] for key in keys}


def _rest(channel: str) -> str:
    return f"rest {channel}"


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)
