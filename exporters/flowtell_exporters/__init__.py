"""Exporters for flowtell: Prometheus metrics and JSON lines."""
