"""A vendor's server on loopback, over real sockets, http or https: it answers as documented, or as badly as it is told."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import trustme

HANG, RESET, HALF, DRIP = "hang", "reset", "half", "drip"
"""Troubles that are no status: no answer, the connection reset, half a body, a byte now and then."""


class Vendor:
    """`troubles` are taken one by one, each a status, a pair of status and headers, or one of the words above."""

    def __init__(self, folder: Path | None = None) -> None:
        """With a folder it speaks https, under a certificate whose authority is the file `bundle`."""
        self.requests: list[dict[str, Any]] = []
        self.moments: list[float] = []
        self.troubles: list[Any] = []
        self.closing = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.server.daemon_threads = True
        self.bundle = ""
        if folder is not None:
            self.bundle = str(folder / "authority.pem")
            self._wrap(self.bundle)
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _wrap(self, bundle: str) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(bundle)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        return f"{'https' if self.bundle else 'http'}://localhost:{self.server.server_port}"

    def answer(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, dict[str, Any] | str]:
        """What the vendor says to a request that it can read."""
        raise NotImplementedError

    def read(self, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        """The body as data."""
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return dict(parse_qsl(body.decode(), keep_blank_values=True))
        data = json.loads(body) if body else {}
        return data if isinstance(data, dict) else {"list": data}

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


def _handler_of(vendor: Vendor) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            vendor.moments.append(time.monotonic())
            trouble = vendor.troubles.pop(0) if vendor.troubles else None
            read = vendor.read(headers, body)
            vendor.requests.append({"path": self.path, "headers": headers, "body": read, "raw": body, "trouble": trouble})
            if trouble is None:
                status, answer = vendor.answer(self.path, headers, read)
                self._say(status, {}, answer)
            elif isinstance(trouble, str):
                _TROUBLES[trouble](vendor, self)
            else:
                status, more = trouble if isinstance(trouble, tuple) else (trouble, {})
                self._say(status, more, "trouble")

        def do_GET(self) -> None:
            self.do_POST()

        def _say(self, status: int, headers: dict[str, str], answer: dict[str, Any] | str) -> None:
            body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            kind = "text/plain" if isinstance(answer, str) else "application/json; charset=utf-8"
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # a client that gave up
                super().handle()

    return Handler


def _hang(vendor: Vendor, handler: Any) -> None:
    vendor.closing.wait(30)
    handler.close_connection = True


def _reset(vendor: Vendor, handler: Any) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def _half(vendor: Vendor, handler: Any) -> None:
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"ok": tr')
    handler.wfile.flush()
    handler.close_connection = True


def _drip(vendor: Vendor, handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not vendor.closing.wait(0.05):
        handler.wfile.write(b"x")
        handler.wfile.flush()


_TROUBLES: dict[str, Callable[[Vendor, Any], None]] = {HANG: _hang, RESET: _reset, HALF: _half, DRIP: _drip}
