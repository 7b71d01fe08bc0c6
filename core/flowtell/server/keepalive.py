"""TCP keepalive, so that a connection whose other machine has gone without a word is noticed."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any, Final

_IDLE_SECONDS: Final = 2
_BETWEEN_SECONDS: Final = 1
_UNANSWERED: Final = 3


def keep_asking(listener: socket.socket) -> None:
    """Set on a listening socket, for every connection that it will accept: dead five seconds after the last packet.

    The kernel asks, and the other side's kernel answers even while its process is stopped or computes.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _IDLE_SECONDS),
        ("TCP_KEEPALIVE", _IDLE_SECONDS),  # the same on macOS
        ("TCP_KEEPINTVL", _BETWEEN_SECONDS),
        ("TCP_KEEPCNT", _UNANSWERED),
    ):
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def limit_silence(client: tuple[str, int] | None, connections: Iterable[Any]) -> None:
    """The same for what was sent to this client and is not acknowledged: else the kernel would try for a quarter of an hour.

    Set on that one connection, as a slow reader of a page is no dead one. `connections` are uvicorn's protocols. Behind a
    proxy the client's address is another's, and nothing is found: that connection is the proxy's to watch.
    """
    if not hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux has it
        return
    milliseconds = 1000 * (_IDLE_SECONDS + _BETWEEN_SECONDS * _UNANSWERED)
    for connection in tuple(connections):
        if client is not None and tuple(getattr(connection, "client", None) or ()) == tuple(client):
            sock = connection.transport.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
