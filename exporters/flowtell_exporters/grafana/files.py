"""Every file that `flowtell grafana export` writes, by its path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from flowtell_exporters.grafana import alerts, assets, flowtell_itself, one_flow, overview, prefect
from flowtell_exporters.grafana.dashboard import Dashboard
from flowtell_exporters.grafana.rules import Thresholds, groups
from flowtell_exporters.grafana.yaml_text import yaml_text

DASHBOARDS: Final[tuple[Dashboard, ...]] = (
    overview.DASHBOARD,
    one_flow.DASHBOARD,
    prefect.DASHBOARD,
    assets.DASHBOARD,
    alerts.DASHBOARD,
    flowtell_itself.DASHBOARD,
)

_MADE: Final = "Written by `flowtell grafana export`, which writes it anew."


class Places(Struct, frozen=True, kw_only=True):
    """Where things are, as the files name them. The defaults are one machine's."""

    flowtell: str = "http://127.0.0.1:4727"
    """flowtell's own pages, as people's browsers reach them."""
    scrape: str = "127.0.0.1:4727"
    """The same as Prometheus reaches it: host and port."""
    prometheus: str = "http://127.0.0.1:9090"
    """As Grafana reaches it."""
    dashboards: str = "/var/lib/grafana/dashboards"
    """Where Grafana finds the dashboards."""
    traces: str = ""
    """`uid` of Grafana's data source of traces, where there is one."""


def files(places: Places, thresholds: Thresholds) -> dict[str, str]:
    """The text of each file by its path below the folder."""
    return {
        **{f"dashboards/{each.uid}.json": _json(each.document(places.flowtell)) for each in DASHBOARDS},
        "provisioning/dashboards/flowtell.yml": yaml_text(_dashboard_provider(places), _MADE),
        "provisioning/datasources/flowtell.yml": yaml_text(_datasource(places), _MADE),
        "prometheus/prometheus.yml": yaml_text(_prometheus(places), _MADE),
        "prometheus/flowtell.rules.yml": yaml_text({"groups": groups(thresholds)}, _MADE),
        "kubernetes/prometheusrule.yml": yaml_text(_prometheus_rule(thresholds), _MADE),
        "kubernetes/servicemonitor.yml": yaml_text(_service_monitor(), _MADE),
    }


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


# --- Grafana ------------------------------------------------------------------------------------------------------


def _dashboard_provider(places: Places) -> dict[str, Any]:
    provider = {
        "name": "flowtell",
        "folder": "flowtell",
        "type": "file",
        "allowUiUpdates": False,
        "options": {"path": places.dashboards},
    }
    return {"apiVersion": 1, "providers": [provider]}


def _datasource(places: Places) -> dict[str, Any]:
    """With exemplars that lead to the run's page, which takes a trace's id for the run's, and to its trace."""
    source = {
        "name": "Prometheus",
        "uid": "flowtell-prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": places.prometheus,
        "jsonData": {"httpMethod": "POST", "exemplarTraceIdDestinations": list(_destinations(places))},
    }
    return {"apiVersion": 1, "datasources": [source]}


def _destinations(places: Places) -> Iterator[dict[str, str]]:
    # Grafana takes ${…} in these files for the environment's unless the dollar is doubled
    yield {"name": "trace_id", "url": f"{places.flowtell}/runs/$${{__value.raw}}", "urlDisplayLabel": "Open the run"}
    if places.traces:
        yield {"name": "trace_id", "datasourceUid": places.traces, "urlDisplayLabel": "Open the trace"}


# --- Prometheus ---------------------------------------------------------------------------------------------------


def _prometheus(places: Places) -> dict[str, Any]:
    """A whole configuration to begin with."""
    scrape = {"job_name": "flowtell", "static_configs": [{"targets": [places.scrape]}]}
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["flowtell.rules.yml"],
        "scrape_configs": [scrape],
    }


# --- Kubernetes, with the Prometheus operator ---------------------------------------------------------------------

_LABELS: Final = {"app.kubernetes.io/name": "flowtell"}


def _prometheus_rule(thresholds: Thresholds) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "flowtell", "labels": _LABELS},
        "spec": {"groups": groups(thresholds)},
    }


def _service_monitor() -> dict[str, Any]:
    """The service has the label below and names its port `http`; the token lies in a secret: any address needs one."""
    endpoint = {
        "port": "http",
        "path": "/metrics",
        "interval": "15s",
        "authorization": {"type": "Bearer", "credentials": {"name": "flowtell-metrics", "key": "token"}},
    }
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": "flowtell", "labels": _LABELS},
        "spec": {"selector": {"matchLabels": _LABELS}, "endpoints": [endpoint]},
    }
