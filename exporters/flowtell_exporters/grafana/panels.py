"""A panel as data: what it asks and how that is drawn, and its JSON for Grafana 10 to 12."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct

DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}

Kind = Literal["stat", "timeseries", "table", "bargauge", "state-timeline"]


class Query(Struct, frozen=True):
    """PromQL, and what its series are called: `{{label}}` stands for a label's value."""

    expr: str
    legend: str = ""
    column: str = ""
    """Its heading in a table."""
    unit: str = ""
    """Of its column, where that is not the panel's."""


class Panel(Struct, frozen=True, kw_only=True):
    """Sizes are Grafana's: 24 units across, a unit of height is 30 pixels."""

    title: str
    help: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    unit: str = "short"
    width: int = 12
    height: int = 8
    thresholds: tuple[tuple[str, float | None], ...] = (("green", None),)
    """Colour and the value that it begins at; None is the lowest."""
    link: tuple[str, str] | None = None
    """What a click on a value offers, and where that leads."""
    stacked: bool = False
    hidden: tuple[str, ...] = ()
    """Columns of a table that are not shown."""

    def document(self, id: int, x: int, y: int) -> dict[str, Any]:
        """The panel at this place of its dashboard."""
        return {
            "id": id,
            "type": self.kind,
            "title": self.title,
            "description": self.help,
            "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [_target(query, number, self.kind) for number, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": list(self._overrides())},
            "options": _OPTIONS[self.kind],
            "transformations": self._transformations(),
        }

    def _defaults(self) -> dict[str, Any]:
        steps = [{"color": color, "value": value} for color, value in self.thresholds]
        defaults: dict[str, Any] = {
            "unit": self.unit,
            "color": {"mode": "palette-classic" if self.kind == "timeseries" else "thresholds"},
            "thresholds": {"mode": "absolute", "steps": steps},
            "custom": _custom(self.kind, stacked=self.stacked),
        }
        if self.link:
            title, url = self.link
            defaults["links"] = [{"title": title, "url": url, "targetBlank": True}]
        return defaults

    def _overrides(self) -> Sequence[dict[str, Any]]:
        return [
            {
                "matcher": {"id": "byName", "options": query.column},
                "properties": [{"id": "unit", "value": query.unit}],
            }
            for query in self.queries
            if query.unit
        ]

    def _transformations(self) -> list[dict[str, Any]]:
        if self.kind != "table":
            return []
        columns = {_value_of(number, self.queries): query.column for number, query in enumerate(self.queries)}
        hidden = dict.fromkeys(("Time", *self.hidden), True)
        return [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": hidden, "indexByName": {}, "renameByName": columns}},
        ]


def _value_of(number: int, queries: Sequence[Query]) -> str:
    """What Grafana calls the value of a query after merging."""
    return f"Value #{_letter(number)}" if len(queries) > 1 else "Value"


def _letter(number: int) -> str:
    return chr(ord("A") + number)


def _target(query: Query, number: int, kind: Kind) -> dict[str, Any]:
    at_once = kind in ("stat", "table", "bargauge")
    return {
        "refId": _letter(number),
        "datasource": DATASOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": at_once,
        "range": not at_once,
        "format": "table" if kind == "table" else "time_series",
        "exemplar": kind == "timeseries",
    }


def _custom(kind: Kind, *, stacked: bool) -> dict[str, Any]:
    if kind != "timeseries":
        return {}
    return {
        "drawStyle": "bars" if stacked else "line",
        "fillOpacity": 60 if stacked else 10,
        "lineWidth": 1,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }


_LAST: Final = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: Final[Mapping[Kind, dict[str, Any]]] = {
    "stat": {"colorMode": "background", "graphMode": "none", "reduceOptions": _LAST, "textMode": "auto"},
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "table": {"showHeader": True, "cellHeight": "sm"},
    "bargauge": {"displayMode": "basic", "orientation": "horizontal", "reduceOptions": _LAST, "showUnfilled": True},
    "state-timeline": {"mergeValues": True, "showValue": "never", "legend": {"displayMode": "list", "placement": "bottom"}},
}
