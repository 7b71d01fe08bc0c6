"""A source that invents names without end: series and memory stay within their bounds, and no run is lost to a sum."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select

from flowtell.events import (
    AssetMaterialized,
    CapacityObserved,
    FlowRunFinished,
    FlowRunStarted,
    MeasureRecorded,
    TaskRunFinished,
)
from flowtell.ids import derived_id
from flowtell.testing import FakeClock, PluginHarness
from flowtell_exporters.prometheus import create
from flowtell_exporters.prometheus_settings import Settings
from flowtell_exporters.tables import totals
from flowtell_exporters.tally import Tally

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NAMES = 100_000
START = FakeClock().now


def invented(at):
    """A run under names of its own, whatever can have a name; odd ones among them."""
    run, name = derived_id(START, str(at)), f'{at} "\\\n\ud800 {"x" * (at % 300)}'
    common = {"run": run, "time": START + at, "environment": f"environment {at}"}
    return [
        FlowRunStarted(id=f"{run}s", flow="one flow", name=name, **{**common, "environment": "prod"}),
        FlowRunFinished(id=f"{run}e", flow="one flow", duration=1.0, **{**common, "environment": "prod"}),
        FlowRunFinished(id=f"{run}f", flow=name, deployment=name, duration=1.0, **{**common, "run": f"{run}2"}),
        TaskRunFinished(id=f"{run}t", flow=name, task=name, task_run=f"{run}t", duration=1.0, **common),
        MeasureRecorded(id=f"{run}m", flow=name, name=name, value=1.0, **common),
        AssetMaterialized(id=f"{run}a", asset=name, **common),
        CapacityObserved(id=f"{run}c", kind=name, pool=name, name=name, used=1, **common),
    ]


def test_memory_is_flat_once_the_bounds_are_reached():
    """Counted by the allocator: four times as many names take a twentieth more at the most."""
    tally = Tally(Settings())
    tracemalloc.start()
    try:
        held = []
        for at in range(NAMES):
            tally.take(invented(at))
            if at % 1000 == 999:
                tally.changed_totals()
                tally.changed_runs()
            if at in (NAMES // 4, NAMES - 1):
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    early, late = held
    print(f"{early / 1e6:.1f} MB after {NAMES // 4} names, {late / 1e6:.1f} MB after {NAMES}")
    assert late < early * 1.05


def test_series_stay_under_their_bounds_and_sums_are_exact(tmp_path):
    """100,000 names of runs in one flow, and 100,000 names of flows."""
    bounds = Settings()
    with PluginHarness(create, tmp_path, name="prometheus") as harness:
        for start in range(0, NAMES, 10_000):
            events = [event for at in range(start, start + 10_000) for event in invented(at)[:3]]
            harness.feed(events)
        rows = harness.read(select(func.count()).select_from(totals))[0][0]
        found = [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(harness.mounted["/metrics"].text())
            for sample in family.samples
        ]
    ends = [(labels, value) for name, labels, value in found if name == "flowtell_flow_runs_total"]
    assert sum(value for _, value in ends) == 2 * NAMES
    assert sum(value for labels, value in ends if labels["flow"] == "one flow") == NAMES
    assert len({labels["flow"] for labels, _ in ends}) <= bounds.max_flows + 1
    assert rows <= bounds.max_flows + bounds.max_deployments + 3
    overflowed = {labels["metric"]: value for name, labels, value in found if name == "flowtell_series_overflow_total"}
    assert overflowed["flowtell_flow_runs_total"] == NAMES - bounds.max_flows + 1
