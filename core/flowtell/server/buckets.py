"""Rates of many clients in bounded memory: token buckets, of which each is one number."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from flowtell.server.limits import BUCKETS


class Buckets:
    """So many a second for each key, and so many at once. For one thread.

    A bucket is the moment at which it will be full again (the generic cell rate algorithm). When there are too many the
    one that was asked for least recently is forgotten, and so full.
    """

    def __init__(
        self, per_second: float, at_once: float, *, most: int = BUCKETS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._unlimited = per_second <= 0
        self._each = 0.0 if self._unlimited else 1.0 / per_second
        self._depth = self._each * max(at_once, 1.0)
        self._most, self._clock = most, clock
        self._full_at: OrderedDict[str, float] = OrderedDict()  # a dict would look for its first key ever longer

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str) -> float:
        """0 where one was left, which is now taken; else the seconds until there is one."""
        if self._unlimited:
            return 0.0
        now = self._clock()
        full_at = max(self._full_at.pop(key, now), now)
        wait = full_at + self._each - now - self._depth
        self._full_at[key] = full_at if wait > 1e-9 else full_at + self._each
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return max(wait, 0.0) if wait > 1e-9 else 0.0

    def wait(self, key: str) -> float:
        """Seconds until there is one, without taking it; 0 when there is."""
        now = self._clock()
        return max(self._full_at.get(key, now) + self._each - now - self._depth - 1e-9, 0.0)


def client_key(address: str) -> str:
    """What stands for a client by its address: of IPv6 the network of 64 bits, as one client has all of those."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(parsed.packed[:8].hex())
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
