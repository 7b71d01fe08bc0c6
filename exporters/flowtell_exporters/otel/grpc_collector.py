"""A collector that takes OTLP over gRPC. Needs `grpcio`, which the extra `otlp-grpc` brings."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import grpc

from flowtell.version import VERSION
from flowtell_exporters.otel.partial_success import taken
from flowtell_exporters.sending.receiver import Answer
from flowtell_exporters.sending.wire import Wire

_METHODS: Final = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_UNREADABLE: Final = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.DATA_LOSS})


class GrpcCollector:
    """The same requests and outcomes as over HTTP (OTLP specification, OTLP/gRPC)."""

    def __init__(self, wire: Wire, signal: str) -> None:
        self._wire = wire
        self._channel = _channel(wire)
        self._export: Any = self._channel.unary_unary(_METHODS[signal])
        self._headers = tuple(wire.headers.items())

    def send(self, body: bytes) -> Answer:
        try:
            told: bytes = self._export(
                body,
                timeout=self._wire.timeout,
                metadata=self._headers,
                compression=grpc.Compression.Gzip if self._wire.gzip else grpc.Compression.NoCompression,
            )
        except grpc.RpcError as error:
            return judged(error.code(), str(error.details()))
        return taken(told)

    def close(self) -> None:
        self._channel.close()


def judged(code: Any, details: str) -> Answer:
    """What a failed call means."""
    reason = f"gRPC {code.name} {details}"[:300]
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
        return Answer("split", reason)
    return Answer("refused" if code in _UNREADABLE else "later", reason)


def _channel(wire: Wire) -> grpc.Channel:
    parts = urlsplit(wire.endpoint if "://" in wire.endpoint else f"http://{wire.endpoint}")
    options = [("grpc.primary_user_agent", f"flowtell/{VERSION}"), ("grpc.enable_retries", 0)]
    if parts.scheme == "http":
        return grpc.insecure_channel(parts.netloc, options)
    trusted, key, chain = map(_content, (wire.certificate, wire.client_key, wire.client_certificate))
    return grpc.secure_channel(parts.netloc, grpc.ssl_channel_credentials(trusted, key, chain), options)


def _content(path: str) -> bytes | None:
    if not path:
        return None
    with open(path, "rb") as file:
        return file.read()
