"""OpenTelemetry: traces and logs, made of events and sent over OTLP."""
