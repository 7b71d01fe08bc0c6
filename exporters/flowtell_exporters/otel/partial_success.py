"""What a collector says of a request that it took: some of it, it may not have (OTLP specification, partial success)."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from flowtell_exporters.sending.receiver import Answer


def taken(told: bytes) -> Answer:
    """The answer with the items that the collector will not have; traces and logs have one message under two names."""
    try:
        partial = ExportTraceServiceResponse.FromString(told).partial_success
    except DecodeError:  # some answer in JSON, whatever was asked
        return Answer("taken")
    return Answer("taken", partial.error_message[:300], rejected=partial.rejected_spans)
