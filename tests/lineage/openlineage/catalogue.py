"""A catalogue on a port of its own: takes OpenLineage events off a real socket, and answers as it is told."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Catalogue:
    """`statuses` are its next answers, then 201; `refuses` names jobs that it will not have."""

    def __init__(self):
        self.events, self.statuses, self.refuses, self.headers = [], [], set(), []
        catalogue = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                catalogue.headers.append({name.lower(): value for name, value in self.headers.items()})
                status = catalogue.statuses.pop(0) if catalogue.statuses else 201
                if event.get("job", {}).get("name") in catalogue.refuses:
                    status = 422
                if status == 201:
                    catalogue.events.append(event)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
