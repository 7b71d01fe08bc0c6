"""Flows, as a person looks through them."""

from __future__ import annotations

import contextlib

import pytest


@pytest.fixture
def ran(nightly, server):
    """Five runs, the last of which failed."""
    for _ in range(4):
        nightly()
    with contextlib.suppress(ValueError):
        nightly("bad")


def test_from_the_list_to_a_flow_to_a_run(visit, ran):
    """Each flow with its last runs; its charts; a click on a bar opens the run."""
    page = visit("/flows")
    page.waits_for("#flows-summary", "1 flow, 5 runs in 30 days, 1 ended badly")
    page.has("#flows .recent a", 5)
    page.waits_for("#flows a.run-link", "nightly_orders").click()
    page.waits_for("#flow-charts[data-painted]")
    page.waits_for("#flow-tasks .ag-row", "extract")
    chart = page.page.locator("canvas.chart").first.bounding_box()
    page.page.mouse.move(chart["x"] + 68, chart["y"] + chart["height"] - 8)
    page.waits_for("#chart-tip", "completed")
    page.page.mouse.click(chart["x"] + 68, chart["y"] + chart["height"] - 8)
    page.page.wait_for_url("**/runs/*")
    page.waits_for("#run-head", "nightly_orders")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/flows", "/flow?name=nightly_orders", "/flow?name=nosuch"])
def test_it_fits_a_phone(visit, ran, path, scheme):
    """Nothing scrolls sideways, and nothing is wrong on the console."""
    page = visit(path, width=390, scheme=scheme)
    page.waits_for("#flows .ag-row" if path == "/flows" else "#flow-head h1")
    assert not page.scrolls_sideways()
