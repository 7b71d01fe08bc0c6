"""Spans as OTLP's official messages. Built without the SDK's objects between, which cost five times as much."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2 as pb

from flowtell.version import VERSION
from flowtell_exporters.otel.spans import ERROR, Link, Span, SpanEvent

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
SCOPE = InstrumentationScope(name="flowtell", version=VERSION)
_KNOWN_LOCAL = pb.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_KNOWN_REMOTE = _KNOWN_LOCAL | pb.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK


class _Placed(Protocol):
    environment: str


Item = TypeVar("Item", bound=_Placed)
Message = TypeVar("Message")


def request(spans: Iterable[Span], resource: Mapping[str, Any]) -> bytes:
    """One export request; spans of one environment share a resource."""
    return ExportTraceServiceRequest(
        resource_spans=[
            pb.ResourceSpans(
                resource=resource_message(resource, environment),
                scope_spans=[pb.ScopeSpans(scope=SCOPE, spans=made, schema_url=SCHEMA)],
                schema_url=SCHEMA,
            )
            for environment, made in by_environment(spans, span_message)
        ]
    ).SerializeToString()


def by_environment(items: Iterable[Item], message: Callable[[Item], Message]) -> Iterable[tuple[str, list[Message]]]:
    """The messages of items, with the environment that they share."""
    found: dict[str, list[Message]] = {}
    for item in items:
        found.setdefault(item.environment, []).append(message(item))
    return found.items()


def span_message(span: Span) -> pb.Span:
    """One span; only what it has is set, since each field costs."""
    made = pb.Span(
        trace_id=bytes.fromhex(span.trace),
        span_id=bytes.fromhex(span.id),
        parent_span_id=bytes.fromhex(span.parent),
        name=span.name,
        kind=span.kind,  # type: ignore[arg-type]  # an enum's number
        start_time_unix_nano=span.start * 1000,
        end_time_unix_nano=span.end * 1000,
        attributes=pairs(span.attributes),
        flags=_KNOWN_REMOTE if span.remote_parent else _KNOWN_LOCAL,
        dropped_links_count=span.dropped_links,
    )
    if span.links:
        made.links.extend(map(_link, span.links))
    if span.events:
        made.events.extend(map(_event, span.events))
    if span.status == ERROR:
        made.status.code = pb.Status.STATUS_CODE_ERROR
        made.status.message = span.message
    return made


def _link(link: Link) -> pb.Span.Link:
    return pb.Span.Link(
        trace_id=bytes.fromhex(link.trace),
        span_id=bytes.fromhex(link.span),
        attributes=pairs(link.attributes),
        flags=_KNOWN_LOCAL,
    )


def _event(event: SpanEvent) -> pb.Span.Event:
    return pb.Span.Event(name=event.name, time_unix_nano=event.time * 1000, attributes=pairs(event.attributes))


def resource_message(attributes: Mapping[str, Any], environment: str) -> Resource:
    """Of one environment, under the convention's name."""
    named = {**attributes, "deployment.environment.name": environment} if environment else attributes
    return Resource(attributes=pairs(named))


def pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=value_message(value)) for key, value in attributes.items()]


def value_message(value: Any) -> AnyValue:
    """A value of the kinds that attributes have: text, truth, numbers, and lists of these."""
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, Sequence):
        return AnyValue(array_value=ArrayValue(values=[value_message(one) for one in value]))
    return AnyValue(string_value=str(value))
