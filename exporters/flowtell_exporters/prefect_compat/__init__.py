"""Metrics under the names of the community's prometheus-prefect-exporter, so that dashboards made for it go on working."""
