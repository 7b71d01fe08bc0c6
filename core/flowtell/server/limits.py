"""How much the server takes from anybody, in one place. What an installation may change is read from the configuration."""

from __future__ import annotations

from typing import Final, NamedTuple

from flowtell.config import Config

URL_BYTES: Final = 8_192
QUERY_BYTES: Final = 8_192
HEADER_BYTES: Final = 32_768
"""Of all headers of one request together."""
HEADERS: Final = 100
BODY_BYTES: Final = 1 << 20
"""Of the body of a request that brings no events in."""

HEAD_SECONDS: Final = 10.0
"""From the first byte of a request, or a connection's beginning, to the end of its headers."""
HEAD_WIRE_BYTES: Final = 262_144
"""Beyond it a connection that has not finished its headers is closed."""
BODY_SECONDS: Final = 20.0
"""How long a body may take, and a second more for every…"""
BODY_BYTES_A_SECOND: Final = 16_384
"""…bytes that have come."""
LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 4 << 20
"""What is still read of a body that is not wanted, so that a client that only then listens gets its answer."""

WEBSOCKET_MESSAGE_BYTES: Final = 1 << 20
FAILURES_PER_SECOND: Final = 0.5
FAILURES_AT_ONCE: Final = 20
"""Wrong tokens from one address before it is made to wait."""
BUCKETS: Final = 20_000
"""Clients whose rate is remembered; of more the one is forgotten that was quiet longest."""


class Limits(NamedTuple):
    """What an installation may set."""

    ingest_bytes: int = 32 << 20
    connections: int = 1000
    per_second: float = 500.0
    ingest_per_second: float = 2000.0

    @classmethod
    def of(cls, config: Config) -> Limits:
        return cls(
            ingest_bytes=config["server.max_body_bytes"],
            connections=config["server.max_connections"],
            per_second=config["server.requests_per_second"],
            ingest_per_second=config["server.ingest_per_second"],
        )
