"""Log records as OTLP's official messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1 import logs_pb2 as pb

from flowtell_exporters.otel.encoding import SCHEMA, SCOPE, by_environment, pairs, resource_message, value_message
from flowtell_exporters.otel.records import Record


def request(records: Iterable[Record], resource: Mapping[str, Any]) -> bytes:
    """One export request; records of one environment share a resource."""
    return ExportLogsServiceRequest(
        resource_logs=[
            pb.ResourceLogs(
                resource=resource_message(resource, environment),
                scope_logs=[pb.ScopeLogs(scope=SCOPE, log_records=made, schema_url=SCHEMA)],
                schema_url=SCHEMA,
            )
            for environment, made in by_environment(records, record_message)
        ]
    ).SerializeToString()


def record_message(record: Record) -> pb.LogRecord:
    """`flags` says sampled: records of runs whose trace is not kept carry no trace at all."""
    return pb.LogRecord(
        time_unix_nano=record.time * 1000,
        observed_time_unix_nano=record.observed * 1000,
        severity_number=record.severity,  # type: ignore[arg-type]  # an enum's number
        severity_text=record.level,
        body=value_message(record.body),
        attributes=pairs(record.attributes),
        trace_id=bytes.fromhex(record.trace),
        span_id=bytes.fromhex(record.span),
        flags=1 if record.trace else 0,
        event_name=record.name,
    )
