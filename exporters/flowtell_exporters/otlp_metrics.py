"""The metrics of `/metrics` pushed over OTLP, for those whose collector does not scrape. Off unless it is switched on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from flowtell.decoders import decoder
from flowtell.errors import ExtraMissing
from flowtell.events import Event
from flowtell.plugin import BasePlugin, Context
from flowtell.plugin_settings import settings
from flowtell.version import VERSION
from flowtell_exporters.prometheus_settings import Settings as PrometheusSettings
from flowtell_exporters.scrape import Scrape
from flowtell_exporters.tables import totals
from flowtell_exporters.totals import OwnTotals

_MOST_POINTS = 10_000
"""Of one request: collectors take some 20 MB."""
_SECONDS = 10.0
"""That a push may take, with what it tries again."""


class Settings(Struct, frozen=True):
    """The keys of `[plugin.otlp_metrics]`. Address, headers and compression may come from `OTEL_EXPORTER_OTLP_*` too."""

    enabled: bool = False
    """Whether metrics are pushed."""
    endpoint: str = ""
    """Whole address, such as http://127.0.0.1:4318/v1/metrics; default: what the environment says."""
    interval_seconds: float = 60.0
    """Between two pushes."""


def create(config: Mapping[str, Any]) -> OtlpMetrics | None:
    """The factory that the entry point `otlp_metrics` names.

    Raises:
        ExtraMissing: it is switched on, and OpenTelemetry's exporter is not installed.
    """
    found = settings(Settings, config, "otlp_metrics")
    if not found.enabled:
        return None
    try:
        import opentelemetry.exporter.otlp.proto.http.metric_exporter  # noqa: F401  # found out now, not at the first push
    except ImportError as error:
        raise ExtraMissing("otlp_metrics", str(error.name), "flowtell-exporters[otlp]") from error
    return OtlpMetrics(found)


class OtlpMetrics(BasePlugin):
    """Pushes the totals that the plugin `prometheus` has committed; what one push does not bring, the next one does."""

    wants = ("flow.declared",)
    effects = True

    def __init__(self, chosen: Settings) -> None:
        self.tick_seconds = chosen.interval_seconds
        self._endpoint = chosen.endpoint or None

    def open(self, context: Context) -> None:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.resources import Resource

        super().open(context)
        self._scrape = Scrape(context, PrometheusSettings().max_flows)
        self._exporter = OTLPMetricExporter(endpoint=self._endpoint, timeout=_SECONDS, max_export_batch_size=_MOST_POINTS)
        named = {"service.name": "flowtell", "service.version": VERSION}
        self._resource = Resource.create({name: value for name, value in named.items() if value})

    def handle(self, events: Sequence[Event]) -> None:
        """Events are counted by the plugin `prometheus`."""

    def tick(self, now: int) -> None:
        from opentelemetry.sdk.metrics.export import MetricExportResult

        from flowtell_exporters.otlp_points import metrics_data

        try:
            began = self._began()
        except DBAPIError:  # no such table
            self.context.logger.warning("nothing to push: the plugin 'prometheus', which counts, is off")
            return
        data = metrics_data(self._scrape.text(openmetrics=True), self._resource, began=began or now, now=now)
        if self._exporter.export(data, timeout_millis=_SECONDS * 1000) is not MetricExportResult.SUCCESS:
            self.context.count("failed_pushes")
            self.context.logger.warning("the collector did not take the metrics; the next push brings them")

    def _began(self) -> int:
        """When the first event was counted, in µs."""
        rows = self.context.read(select(totals.c.data).where(totals.c.kind == "own"))
        return decoder(OwnTotals)(rows[0][0]).began if rows else 0

    def close(self, timeout: float) -> None:
        self._exporter.shutdown(timeout_millis=timeout * 1000)
