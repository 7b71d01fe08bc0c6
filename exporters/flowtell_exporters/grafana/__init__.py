"""Grafana dashboards, Prometheus rules and the files around them, made from the registry of metric families."""
