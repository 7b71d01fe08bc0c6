"""Whether writers live whose lock cannot be seen: by a stream that their process holds open, and by what it sends.

A thread that says "I live" would starve while C code holds the interpreter or the process is stopped; an open connection
is kept by the kernel, whatever the process computes, and closed by it at its death. So an open stream is life, and once it
is closed, and nothing was heard for `GRACE_HEARTBEATS`, the writer is lost. Time in which this server itself stood still
counts for nobody's absence.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple

GRACE_HEARTBEATS: Final = 1.5
"""So that the end is in the log, with the time that it takes to get there, two heartbeats after a death."""
STILL_SECONDS: Final = 1.0
"""Time without a `tick` that is taken for a stop of this server."""
LEAVE_SECONDS: Final = 600.0
"""How long an agent that stopped in order may be away before its writers are judged."""

Verdict = Literal["lives", "said farewell", "lost"]


class Sign(NamedTuple):
    """What the store keeps of a writer's life, in µs of this server's clock."""

    shipper: str
    last_sign: int
    judged_after: int | None


class _Shipper:
    """Who sends: a flow's own process, or an agent."""

    def __init__(self, heard: float, wall: int) -> None:
        self.heard, self.wall = heard, wall
        self.streams = 0
        self.judged_after = 0.0
        self.judged_after_wall: int | None = None


class Presence:
    """From any thread. Judged by the monotonic clock; what the store keeps is the wall clock's."""

    def __init__(
        self,
        heartbeat: float,
        agent_grace: float,
        clock: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.heartbeat, self._agent_grace = heartbeat, agent_grace
        self._clock, self._monotonic = clock, monotonic
        self._lock = threading.Lock()
        self._shippers: dict[str, _Shipper] = {}
        self._speaking: dict[str, dict[str, None]] = {}
        """Who speaks for a writer, the latest last."""
        self._farewells: set[str] = set()
        self._kept: dict[str, Sign] = {}
        self._ticked = self._absent_from = monotonic()

    # --- signs of life --------------------------------------------------------------------------------------------

    def heard(self, writer: str, shipper: str, *, farewell: bool = False) -> None:
        """A request came that speaks for the writer; with its last one it says farewell."""
        with self._lock:
            self._sign(shipper)
            speaking = self._speaking.setdefault(writer, {})
            speaking.pop(shipper, None)
            speaking[shipper] = None
            (self._farewells.add if farewell else self._farewells.discard)(writer)

    @contextmanager
    def stream(self, shipper: str) -> Iterator[None]:
        """Around an open stream of the shipper."""
        with self._lock:
            self._sign(shipper).streams += 1
        try:
            yield
        finally:
            with self._lock:
                self._sign(shipper, new=False).streams -= 1
                self._drop_if_idle(shipper)

    def leave(self, shipper: str) -> None:
        """An agent stops in order, and is expected back: its writers live on meanwhile, for all that is known."""
        with self._lock:
            known = self._sign(shipper)
            known.judged_after = known.heard + LEAVE_SECONDS
            known.judged_after_wall = known.wall + int(LEAVE_SECONDS * 1e6)

    def _sign(self, shipper: str, *, new: bool = True) -> _Shipper:
        known = self._shippers.get(shipper)
        if known is None:
            known = self._shippers[shipper] = _Shipper(0.0, 0)
        known.heard, known.wall = self._monotonic(), self._clock()
        if new:
            known.judged_after, known.judged_after_wall = 0.0, None
        return known

    def remember(self, writer: str, sign: Sign) -> None:
        """What an earlier server knew. Its absence counts from this server's start."""
        with self._lock:
            self._speaking.setdefault(writer, {}).setdefault(sign.shipper)
            known = self._shippers.get(sign.shipper)
            if known is None:
                known = self._shippers[sign.shipper] = _Shipper(self._absent_from, sign.last_sign)
                if sign.judged_after:
                    known.judged_after = self._monotonic() + (sign.judged_after - self._clock()) / 1e6
                    known.judged_after_wall = sign.judged_after

    # --- judgement ------------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """This server leads from now on: absence counts from here, and a store that it has not written knows nothing."""
        with self._lock:
            self._ticked = self._absent_from = self._monotonic()
            self._kept.clear()

    def tick(self) -> None:
        """To be called a few times a second: a pause between two calls tells that this server stood still."""
        with self._lock:
            now = self._monotonic()
            if now - self._ticked > STILL_SECONDS:
                self._absent_from = now
            self._ticked = now

    def verdict(self, writer: str) -> Verdict:
        """How it stands with the writer. One that nobody has spoken for is absent since this server's start."""
        with self._lock:
            if writer in self._farewells:
                return "said farewell"
            now = self._monotonic()
            if now - self._ticked > STILL_SECONDS:  # stood still until a moment ago
                return "lives"
            shippers = self._speaking.get(writer) or {writer}
            return "lives" if any(self._speaks_still(one, writer, now) for one in shippers) else "lost"

    def _speaks_still(self, shipper: str, writer: str, now: float) -> bool:
        known = self._shippers.get(shipper)
        if known is not None and (known.streams > 0 or now < known.judged_after):
            return True
        grace = GRACE_HEARTBEATS * self.heartbeat if shipper == writer else self._agent_grace
        heard = known.heard if known is not None else self._absent_from
        return now - max(heard, self._absent_from) <= grace

    def last_sign(self, writer: str) -> Sign | None:
        """When the writer was heard of last, and by whom; None for never. Of one that said farewell nothing more is to come,
        and so it is now.
        """
        with self._lock:
            return self._newest(writer)

    def _newest(self, writer: str) -> Sign | None:
        return max(self._signs(writer), key=lambda sign: sign.last_sign, default=None)

    def _signs(self, writer: str) -> Iterator[Sign]:
        for shipper in reversed(self._speaking.get(writer, {})):
            known = self._shippers[shipper]
            wall = self._clock() if known.streams or writer in self._farewells else known.wall
            yield Sign(shipper, wall, known.judged_after_wall)

    def unkept(self, writer: str) -> Sign | None:
        """What the store should be told of the writer; None while what it was told is fresh to a heartbeat."""
        with self._lock:
            newest = self._newest(writer)
            kept = self._kept.get(writer)
            if newest is None or (kept is not None and self._fresh(kept, newest)):
                return None
            self._kept[writer] = newest
            return newest

    def _fresh(self, kept: Sign, newest: Sign) -> bool:
        same = kept.shipper == newest.shipper and kept.judged_after == newest.judged_after
        return same and newest.last_sign - kept.last_sign < self.heartbeat * 1e6

    def forget(self, writer: str) -> None:
        """It has ended, and all of it is in the log."""
        with self._lock:
            self._farewells.discard(writer)
            self._kept.pop(writer, None)
            for shipper in self._speaking.pop(writer, {}):
                self._drop_if_idle(shipper)

    def _drop_if_idle(self, shipper: str) -> None:
        known = self._shippers.get(shipper)
        if known is not None and not known.streams and not any(shipper in those for those in self._speaking.values()):
            del self._shippers[shipper]

    def open_streams(self) -> Counter[str]:
        """How many streams each shipper holds open."""
        with self._lock:
            return Counter({name: known.streams for name, known in self._shippers.items() if known.streams})
