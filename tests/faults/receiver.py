"""A webhook's receiver: a real HTTP server that keeps what it was sent, by idempotency key."""

from __future__ import annotations

import http.server
import json
import threading
from collections import Counter
from typing import Any


class Receiver:
    """On a free port. `down` makes it answer 503."""

    def __init__(self) -> None:
        self.deliveries: Counter[str] = Counter()
        """How often each key came and was taken."""
        self.bodies: dict[str, dict[str, Any]] = {}
        self.down = False
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler_of(receiver: Receiver) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not receiver.down:
                key = self.headers["Idempotency-Key"]
                receiver.deliveries[key] += 1
                receiver.bodies[key] = json.loads(body)
            self.send_response(503 if receiver.down else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
