"""Where requests go, and how."""

from __future__ import annotations

from msgspec import Struct


class Wire(Struct, frozen=True, kw_only=True):
    """How one receiver is reached."""

    endpoint: str
    """Whole address; with gRPC scheme, host and port."""
    protocol: str = "http/protobuf"
    """Of OTLP."""
    content_type: str = "application/x-protobuf"
    headers: dict[str, str] = {}
    gzip: bool = False
    timeout: float = 10.0
    """Seconds for one request."""
    certificate: str = ""
    """Files: the authority to trust, and this side's key and certificate."""
    client_key: str = ""
    client_certificate: str = ""
