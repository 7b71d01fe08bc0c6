"""A collector on a port of its own: reads OTLP off a real socket by the official messages, and answers as it is told."""

from __future__ import annotations

import gzip
import socket
import threading
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Received:
    """A span or a log record with what is around it, as plain values."""

    def __init__(self, message, resource):
        self.message, self.resource = message, resource
        self.attributes = plain(message.attributes)
        self.trace = message.trace_id.hex()
        self.span = message.span_id.hex()

    def __getattr__(self, name):
        return getattr(self.message, name)

    @property
    def parent(self):
        return self.message.parent_span_id.hex()

    @property
    def links(self):
        return [(one.trace_id.hex(), one.span_id.hex(), plain(one.attributes)) for one in self.message.links]


def plain(pairs) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value):
    kind = value.WhichOneof("value")
    return [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)


class Receiver:
    """`status` is what it answers; `hangs` holds every answer back; `limit` is how many bytes it takes at once."""

    def __init__(self, port=0):
        self.spans: list[Received] = []
        self.records: list[Received] = []
        self.bodies: list[bytes] = []
        self.status, self.limit, self.headers, self.answer = 200, 0, {}, b""
        self.heard: list[dict[str, str]] = []
        self.requests, self.connections = 0, []
        self.hangs = threading.Event()
        self.hangs.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                receiver.connections.append(self.connection)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.heard.append({name.lower(): value for name, value in self.headers.items()})
                receiver.requests += 1
                receiver.hangs.wait(60)
                status = 413 if receiver.limit and len(body) > receiver.limit else receiver.status
                if status == 200:
                    receiver.take(self.path, gzip.decompress(body) if "Content-Encoding" in self.headers else body)
                try:
                    self.send_response(status)
                    for name, value in receiver.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(receiver.answer)))
                    self.end_headers()
                    self.wfile.write(receiver.answer)
                except OSError:  # whoever asked has gone
                    self.close_connection = True

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_):
                """Whoever asked was killed in the middle."""

        self._server = Server(("127.0.0.1", port), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def take(self, path, body):
        self.bodies.append(body)
        if path == "/v1/traces":
            for one in ExportTraceServiceRequest.FromString(body).resource_spans:
                around = plain(one.resource.attributes)
                self.spans += [Received(span, around) for scope in one.scope_spans for span in scope.spans]
        else:
            for one in ExportLogsServiceRequest.FromString(body).resource_logs:
                around = plain(one.resource.attributes)
                self.records += [Received(record, around) for scope in one.scope_logs for record in scope.log_records]

    def named(self, name):
        return [span for span in self.spans if span.name == name]

    def one(self, name):
        [found] = self.named(name)
        return found

    def close(self):
        self.hangs.set()
        self._server.shutdown()
        for connection in self.connections:  # kept open for the next request
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # closed already
                pass
        self._server.server_close()
        self._thread.join()


def faults_of(spans, outside=()):
    """What is wrong with these spans as traces: doubled, without parent, ending before they start, with two roots.

    `outside` are spans of callers, which nobody here sends.
    """
    faults = [
        f"{span} came {count} times" for span, count in Counter((one.trace, one.span) for one in spans).items() if count > 1
    ]
    traces = defaultdict(dict)
    for one in spans:
        traces[one.trace][one.span] = one
    for trace, members in traces.items():
        roots = [one for one in members.values() if not one.parent or one.parent in outside]
        if len(roots) != 1:
            faults.append(f"trace {trace} has {len(roots)} roots")
        for one in members.values():
            if one.parent and one.parent not in members and one.parent not in outside:
                faults.append(f"{one.name} {one.span} has no parent")
            if one.end_time_unix_nano < one.start_time_unix_nano:
                faults.append(f"{one.name} {one.span} ends before it starts")
    return faults
