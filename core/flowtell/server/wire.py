"""What the HTTP library leaves unbounded: how long a connection may take over the head of a request, and how much it
may send. uvicorn waits for ever for a first request, and its faster parser keeps headers without end.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from flowtell.server.limits import HEAD_SECONDS, HEAD_WIRE_BYTES

_CLOSED: Final = b"Connection: close\r\nContent-Length: 0\r\n\r\n"
_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n" + _CLOSED
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + _CLOSED
_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\n" + _CLOSED


def bounded_protocol(*, connections: int, body_bytes: int) -> type[asyncio.Protocol]:
    """The protocol for `uvicorn.Config(http=…)`: the one that uvicorn would choose, bounded.

    Args:
        connections: how many there may be at a time; uvicorn's own limit refuses requests, not connections.
        body_bytes: the largest body that any route takes; on the wire it may be twice as long, in chunks.
    """
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    bounds = {"most_connections": connections, "most_bytes": 2 * body_bytes + HEAD_WIRE_BYTES}
    return type("BoundedHTTPProtocol", (_Bounded, AutoHTTPProtocol), bounds)


class _Bounded(asyncio.Protocol):
    """Goes before one of uvicorn's, of which it uses `transport`, `loop`, `connections`, and `cycle`, the last request."""

    most_connections: int
    most_bytes: int
    transport: Any
    loop: asyncio.AbstractEventLoop
    connections: set[Any]
    cycle: Any

    _timer: asyncio.TimerHandle | None = None
    _counted: tuple[object, bool] = (None, False)
    _came = 0
    """Bytes since this request began, or since the last one was answered."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            self._end(_FULL)
        else:
            self._arm()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            self._disarm()
            return
        talk = self.transport.get_protocol()
        if talk is not self:
            self._let_go(talk)
            return
        within = self._answering
        if (self.cycle, within) != self._counted:
            self._counted, self._came = (self.cycle, within), 0
        self._came += len(data)
        if within:
            self._watch_request()
        else:
            self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _let_go(self, talk: Any) -> None:
        """The connection is a websocket's from here on, unless its library could not read the head: it says nothing then."""
        self._disarm()
        if not getattr(talk, "handshake_initiated", True):
            self._end(_TOO_LARGE)

    def _watch_head(self) -> None:
        if self._came > HEAD_WIRE_BYTES:
            self._end(_TOO_LARGE)
        elif self._timer is None:
            self._arm()

    def _watch_request(self) -> None:
        self._disarm()
        if self._came > self.most_bytes:  # trailers without end, or chunks of a byte each
            self.transport.abort()

    def _arm(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if not self._answering:
            self._end(_SLOW if self._came else b"")

    def _end(self, answer: bytes) -> None:
        self._disarm()
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
