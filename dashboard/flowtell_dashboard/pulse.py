"""Tells every open page that the log has moved, from the plugin's thread to the pages' event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Final

REST_SECONDS: Final = 0.25
"""A page asks at most this often: the first change goes out at once, what follows within it goes out together."""


class Pulse:
    """The newest `seq` that pages may show. One for all pages; they wait, nobody polls."""

    def __init__(self) -> None:
        self.seq = 0
        self.ended = False
        self._lock = threading.Lock()
        self._waiting: set[asyncio.Future[None]] = set()

    def beat(self, seq: int) -> None:
        """The log has reached `seq`. From any thread, never blocks."""
        with self._lock:
            self.seq = max(self.seq, seq)
            waiting, self._waiting = self._waiting, set()
        for future in waiting:
            with contextlib.suppress(RuntimeError):  # the page's event loop has ended
                future.get_loop().call_soon_threadsafe(_wake, future)

    def end(self) -> None:
        """No more beats: pages stop following, and so say that they are not live."""
        self.ended = True
        self.beat(self.seq)

    async def beyond(self, seq: int, seconds: float) -> int:
        """The newest `seq`, as soon as it is beyond the one given, or after `seconds`."""
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            if self.seq > seq or self.ended:
                return self.seq
            self._waiting.add(future)
        try:
            await asyncio.wait_for(future, seconds)
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiting.discard(future)
        return self.seq


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
