"""The keys of `[plugin.otlp_traces]` and `[plugin.otlp_logs]`, and what the environment says where they are silent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from flowtell.errors import ExtraMissing
from flowtell.plugin_settings import settings
from flowtell.version import VERSION
from flowtell_exporters.otel.environment import asked_for, wire
from flowtell_exporters.sending.receiver import Receiver

EXCEPTIONS = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"


class Settings(Struct, frozen=True):
    """Address, headers, compression, time-out and certificates come from `OTEL_EXPORTER_OTLP_*`."""

    enabled: bool | None = None
    """Default: on where the environment names an endpoint."""
    endpoint: str = ""
    """Whole address, such as http://127.0.0.1:4318/v1/traces; goes before the environment's."""
    when_down: Literal["wait", "drop"] = "wait"
    """What becomes of what a collector that is away cannot take: it waits in the log, or is dropped and counted."""
    url: str = ""
    """Where people find the pages of this server, such as 'https://flowtell.example'; spans then link to the run."""


def chosen(config: Mapping[str, Any], plugin: str, signal: str) -> Settings | None:
    """The settings of a plugin that is on; None where it is off.

    Raises:
        ExtraMissing: it is on, and what it sends with is not installed.
    """
    found = settings(Settings, config, plugin)
    is_on = asked_for(signal) if found.enabled is None else found.enabled
    if not is_on:
        return None
    try:
        import opentelemetry.sdk.resources  # noqa: F401  # found out now, not at the first batch
        import urllib3  # noqa: F401  # as above

        import flowtell_exporters.otel.encoding  # noqa: F401  # as above
    except ImportError as error:
        raise ExtraMissing(plugin, str(error.name), "flowtell-exporters[otlp]") from error
    return found


def collector_for(found: Settings, signal: str) -> Receiver:
    """A connection to where the signal goes; nothing is opened yet."""
    how = wire(signal, endpoint=found.endpoint)
    if how.protocol == "grpc":
        from flowtell_exporters.otel.grpc_collector import GrpcCollector

        return GrpcCollector(how, signal)
    from flowtell_exporters.otel.partial_success import taken
    from flowtell_exporters.sending.http_receiver import HttpReceiver

    return HttpReceiver(how, taken)


def resource() -> dict[str, Any]:
    """Who speaks: flowtell, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` says otherwise."""
    from opentelemetry.sdk.resources import Resource

    named = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME") or "flowtell"}).attributes
    return {"service.version": VERSION, **named}


def exceptions_in_spans() -> bool:
    """Whether exceptions are to stand in spans as well as in log records (semantic-conventions, docs/exceptions)."""
    return "logs/dup" in os.environ.get(EXCEPTIONS, "").replace(" ", "").split(",")
