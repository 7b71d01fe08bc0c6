"""The stream that tells a server that this process lives: opened, then left alone.

The kernel keeps it open whatever the process does, computing in C or stopped by a signal, and closes it when it dies.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from flowtell.shipping.sender import PATH, Address, Backoff, Sender, connect, let_go

if TYPE_CHECKING:
    from http.client import HTTPConnection

_OPEN_SECONDS: Final = 5.0
_HUNG_SECONDS: Final = 60.0
_HEARTBEAT: Final = 10.0


class Lifeline:
    """Used by one thread at a time. Where no stream can be had, requests alone are the sign of life."""

    def __init__(self, shipper: str) -> None:
        self._shipper = shipper
        self._connection: HTTPConnection | None = None
        self._socket: Any = None
        self._response: Any = None
        self._address: Address | None = None
        self._backoff = Backoff()
        self._retry_at = 0.0

    def keep(self, sender: Sender) -> None:
        """Open it where it is not, or is at another server than the sender's; at most a few seconds' wait."""
        if self._address != sender.address or not self._is_open():
            self.close()
            if time.monotonic() >= self._retry_at:
                self._open(sender)

    def _open(self, sender: Sender) -> None:
        from http.client import HTTPException

        connection = connect(sender.address)
        connection.timeout = min(_OPEN_SECONDS, max(sender.until - time.monotonic(), 0.1))
        try:
            connection.connect()
            self._socket = connection.sock
            path = f"{sender.address.prefix}{PATH}/alive?shipper={self._shipper}"
            connection.request("GET", path, headers=sender.headers())
            self._response = connection.getresponse()
            if self._response.status != 200:
                raise OSError(f"status {self._response.status}")
            self._socket.setblocking(False)
        except (OSError, HTTPException) as error:
            # a proxy that keeps answers back until they are whole is not asked often, as each time costs the wait
            hung = isinstance(error, TimeoutError)
            self._retry_at = time.monotonic() + (_HUNG_SECONDS if hung else self._backoff.fail(_HEARTBEAT))
            self._connection = connection
            self.close()
            return
        self._connection, self._address = connection, sender.address
        self._backoff.succeed()

    def _is_open(self) -> bool:
        """Whether the other end has not closed it; what it said meanwhile is thrown away."""
        if self._connection is None:
            return False
        try:
            while self._socket.recv(4096):
                pass
        except (BlockingIOError, InterruptedError):
            return True
        except OSError as error:
            return type(error).__name__ == "SSLWantReadError"
        return False

    def close(self) -> None:
        """Tell the server by the end of the stream that nobody is there any more."""
        connection, response = self._connection, self._response
        self._connection = self._response = self._socket = self._address = None
        if response is not None:
            response.close()
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        """In a forked child: the stream is the parent's, and must end with it and not with this process."""
        let_go(self._socket)
        self._connection = self._response = self._socket = self._address = None
