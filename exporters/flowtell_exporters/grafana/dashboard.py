"""A dashboard as data: its panels row by row, its variables, and its JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from flowtell_exporters.families import FLOW_INFO, FLOW_RUNS, INCIDENTS
from flowtell_exporters.grafana.panels import DATASOURCE, Panel

SCHEMA_VERSION: Final = 38
"""Grafana 10.0's; later ones take it and bring it up to their own."""

TAG: Final = "flowtell"
_WIDTH: Final = 24


class Row(Struct, frozen=True):
    title: str
    panels: tuple[Panel, ...]


class Dashboard(Struct, frozen=True, kw_only=True):
    """`uid` is its address in Grafana and never changes: whoever imports it again replaces it."""

    uid: str
    title: str
    help: str
    rows: tuple[Row, ...]
    by_flow: bool = True
    """Whether it can be narrowed to flows and owners, or to environments alone."""
    one_flow: bool = False

    def document(self, url: str) -> dict[str, Any]:
        """For import or provisioning; `url` is where people reach flowtell's own pages."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.help,
            "tags": [TAG],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "time": {"from": "now-24h", "to": "now"},
            "refresh": "30s",
            "timezone": "browser",
            "links": list(_links(url)),
            "annotations": {"list": [_incidents()]},
            "templating": {"list": list(self._variables(url))},
            "panels": list(self._panels()),
        }

    def _panels(self) -> Iterator[dict[str, Any]]:
        number, y = 0, 0
        for row in self.rows:
            number, x, height = number + 1, 0, 0
            yield _heading(row.title, number, y)
            y += 1
            for panel in row.panels:
                if x + panel.width > _WIDTH:
                    x, y, height = 0, y + height, 0
                number += 1
                yield panel.document(number, x, y)
                x, height = x + panel.width, max(height, panel.height)
            y += height

    def _variables(self, url: str) -> Iterator[dict[str, Any]]:
        yield {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}
        yield {"name": "flowtell", "type": "constant", "query": url, "hide": 2, "skipUrlSync": True}
        yield _variable("environment", f"label_values({FLOW_RUNS.name}, environment)")
        if self.by_flow:
            yield _variable("owner", f'label_values({FLOW_INFO.name}{{environment=~"$environment"}}, owner)')
            chosen = f'{FLOW_INFO.name}{{environment=~"$environment",owner=~"$owner"}}'
            yield _variable("flow", f"label_values({chosen}, flow)", several=not self.one_flow, any_value=None)


def _variable(name: str, query: str, *, several: bool = True, any_value: str | None = ".*") -> dict[str, Any]:
    """`any_value` is the expression that stands for all; without one it is the list of what the query found."""
    everything = {"text": "All", "value": "$__all"}
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": several,
        "includeAll": several,
        "allValue": any_value if several else None,
        "current": everything if several else {},
        "hide": 0,
    }


def _heading(title: str, number: int, y: int) -> dict[str, Any]:
    place = {"x": 0, "y": y, "w": _WIDTH, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _links(url: str) -> Iterator[dict[str, Any]]:
    yield {
        "title": "flowtell",
        "type": "dashboards",
        "tags": [TAG],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
    }
    yield {"title": "Runs", "type": "link", "url": url, "targetBlank": True, "tags": []}


def _incidents() -> dict[str, Any]:
    """A mark wherever an incident was opened."""
    opened = f'changes({INCIDENTS.name}{{environment=~"$environment"}}[$__interval])'
    return {
        "name": "Incidents",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": f"sum by (rule, severity, environment) ({opened}) > 0",
        "step": "60s",
        "titleFormat": "{{rule}}",
        "textFormat": "{{severity}} in {{environment}}",
        "tagKeys": "rule,severity",
        "useValueForTime": False,
    }
