"""What a stranger can do to a server: requests with any bytes, over real sockets."""

from __future__ import annotations

import base64
import http.client
import os
import socket
from typing import NamedTuple

QUIET = {"server.port": 0, "plugins.disable": "dashboard,prometheus,lineage,alerts,notifications"}
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]


class Stranger:
    """Requests with any header, and sockets for what no client would send."""

    def __init__(self, url: str) -> None:
        self.host, _, port = url.removeprefix("http://").rpartition(":")
        self.port = int(port)

    def ask(self, path, method="GET", body=None, headers=(), **more):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        given = {**dict(headers), **{name.replace("_", "-"): value for name, value in more.items()}}
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()})
        finally:
            connection.close()

    def bearing(self, token, path, method="GET", body=None, **more):
        return self.ask(path, method, body, Authorization=f"Bearer {token}", **more)

    def connect(self, timeout=20.0):
        return socket.create_connection((self.host, self.port), timeout=timeout)

    def raw(self, data, timeout=20.0):
        """What comes back for these bytes until the server closes or is silent; empty where it only closes."""
        with self.connect(timeout) as wire:
            try:
                wire.sendall(data)
            except OSError:  # closed meanwhile
                pass
            return drained(wire)

    def status(self, data, timeout=20.0):
        """The status of the first answer; 0 where the connection was closed without one."""
        answer = self.raw(data, timeout)
        return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0

    def handshake(self, path="/live", **headers):
        """What a websocket's handshake is answered."""
        given = {"Host": f"{self.host}:{self.port}", **UPGRADE}
        given |= {"Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(), **headers}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
        with self.connect() as wire:
            wire.sendall("\r\n".join(lines).encode("latin-1"))
            return int(wire.recv(4000).split()[1])

    def lives(self):
        return self.ask("/healthz")[:2] == (200, b'{"status":"ok"}')


def drained(wire):
    parts = []
    try:
        while part := wire.recv(65536):
            parts.append(part)
            if b"\r\n\r\n" in part or len(parts) > 50:
                break
    except OSError:
        pass
    return b"".join(parts)
