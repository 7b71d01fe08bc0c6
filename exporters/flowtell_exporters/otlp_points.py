"""A metrics page as OpenTelemetry's data: the same names, labels, numbers and exemplars. Imported where it is pushed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, pairwise
from typing import Any, Final

from opentelemetry.sdk.metrics._internal.exemplar import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from flowtell.version import VERSION
from flowtell_exporters.families import FAMILIES

_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE
_UNITS: Final = {"seconds": "s", "": ""}
_REGISTRY: Final = {family.name.removesuffix("_total"): family for family in FAMILIES}


def metrics_data(page: str, resource: Resource, *, began: int, now: int) -> MetricsData:
    """The OpenMetrics text `page` as of `now`, its totals counted since `began`, both in µs."""
    families = text_string_to_metric_families(page)  # type: ignore[no-untyped-call]  # it ships no types for this one
    made = [metric for family in families for metric in _metric(family, began, now)]
    scope = ScopeMetrics(InstrumentationScope("flowtell", VERSION), made, schema_url="")
    return MetricsData([ResourceMetrics(resource, [scope], schema_url="")])


def _metric(family: Any, began: int, now: int) -> Iterator[Metric]:
    """The family under the registry's name, which Prometheus's own translation leaves as it is."""
    known = _REGISTRY.get(family.name)
    if known is not None:
        yield Metric(known.name, known.help, _UNITS[known.unit], _data(family, began * 1000, now * 1000))


def _data(family: Any, began: int, now: int) -> Gauge | Sum | Histogram:
    if family.type == "gauge":
        return Gauge([_number(sample, None, now) for sample in family.samples])
    if family.type == "counter":
        return Sum([_number(sample, began, now) for sample in family.samples], _CUMULATIVE, is_monotonic=True)
    points = [_distribution(list(samples), began, now) for _, samples in groupby(family.samples, key=_series)]
    return Histogram(points, _CUMULATIVE)


def _number(sample: Any, began: int | None, now: int) -> NumberDataPoint:
    exemplars = list(_exemplars([sample]))
    # a gauge began at no time, which the wire format allows
    return NumberDataPoint(sample.labels, began, now, sample.value, exemplars)  # type: ignore[arg-type]


def _series(sample: Any) -> tuple[tuple[str, str], ...]:
    return tuple((label, value) for label, value in sample.labels.items() if label != "le")


def _distribution(samples: Iterable[Any], began: int, now: int) -> HistogramDataPoint:
    """A histogram; a summary of sum and count is one without bounds."""
    samples = list(samples)
    buckets = [sample for sample in samples if sample.name.endswith("_bucket")]
    parts: Mapping[str, float] = {sample.name.rpartition("_")[2]: sample.value for sample in samples}
    below = [0, *[int(sample.value) for sample in buckets]] if buckets else [0, int(parts["count"])]
    return HistogramDataPoint(
        attributes=dict(_series(samples[0])),
        start_time_unix_nano=began,
        time_unix_nano=now,
        count=int(parts["count"]),
        sum=parts["sum"],
        bucket_counts=[high - low for low, high in pairwise(below)],
        explicit_bounds=[float(sample.labels["le"]) for sample in buckets[:-1]],
        min=None,  # type: ignore[arg-type]  # not known, which the wire format allows
        max=None,  # type: ignore[arg-type]  # as above
        exemplars=list(_exemplars(buckets)),
    )


def _exemplars(samples: Iterable[Any]) -> Iterator[Exemplar]:
    for sample in samples:
        shown = sample.exemplar
        if shown is not None:
            trace, span = (int(shown.labels[label], 16) for label in ("trace_id", "span_id"))
            yield Exemplar({}, float(shown.value), int(float(shown.timestamp) * 1e9), span, trace)
