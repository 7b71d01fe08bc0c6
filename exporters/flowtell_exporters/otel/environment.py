"""What the standard `OTEL_*` variables say of one signal, `traces` or `logs` (specification: OTLP exporter)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import unquote

from flowtell.errors import BadValue
from flowtell_exporters.sending.wire import Wire

DEFAULT_ENDPOINT = "http://localhost:4318"
_GRPC_ENDPOINT = "http://localhost:4317"
PROTOCOLS = ("http/protobuf", "grpc")


def asked_for(signal: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment says where to send the signal, and does not switch it off."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if "none" in environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").split(","):
        return False
    return bool(_value("ENDPOINT", signal, environ))


def wire(signal: str, *, endpoint: str = "", environ: Mapping[str, str] = os.environ) -> Wire:
    """How to send the signal; `endpoint`, a whole address, goes before the environment's.

    Raises:
        BadValue: a variable says what it cannot mean.
    """
    protocol = _value("PROTOCOL", signal, environ) or "http/protobuf"
    if protocol not in PROTOCOLS:
        raise BadValue("OTEL_EXPORTER_OTLP_PROTOCOL", "the environment", f"{protocol!r} is none of {', '.join(PROTOCOLS)}")
    return Wire(
        endpoint=endpoint or _endpoint(signal, protocol, environ),
        protocol=protocol,
        headers=_headers(_value("HEADERS", signal, environ)),
        gzip=_value("COMPRESSION", signal, environ) == "gzip",
        timeout=_seconds(_value("TIMEOUT", signal, environ)),
        certificate=_value("CERTIFICATE", signal, environ),
        client_key=_value("CLIENT_KEY", signal, environ),
        client_certificate=_value("CLIENT_CERTIFICATE", signal, environ),
    )


def _value(name: str, signal: str, environ: Mapping[str, str]) -> str:
    """The signal's own variable goes before the one for all."""
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}", "").strip()
    return own or environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip()


def _endpoint(signal: str, protocol: str, environ: Mapping[str, str]) -> str:
    """A signal's own address is taken as it is, the one for all gets the signal's path; gRPC has no paths."""
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "").strip()
    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    if protocol == "grpc":
        return own or base or _GRPC_ENDPOINT
    return own or f"{(base or DEFAULT_ENDPOINT).rstrip('/')}/v1/{signal}"


def _headers(text: str) -> dict[str, str]:
    """`name=value` pairs divided by commas, percent-encoded as baggage is."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


def _seconds(milliseconds: str) -> float:
    try:
        found = float(milliseconds or 10_000) / 1000
    except ValueError as error:
        raise BadValue("OTEL_EXPORTER_OTLP_TIMEOUT", "the environment", f"{milliseconds!r} is no number of ms") from error
    return found if found > 0 else 10.0
