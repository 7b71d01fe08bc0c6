"""A run beside the one before it, as a person sees it."""

from __future__ import annotations

import time

import pytest

from flowtell import flow, measure, task


@pytest.mark.parametrize("width", [1280, 390])
def test_what_changed_between_two_runs(visit, server, width):
    """By a link from the run's page: the parameter and the measure that differ, and the task that took longer, first."""

    @task
    def extract() -> None: ...

    @task
    def load(seconds: float) -> None:
        time.sleep(seconds)

    @flow
    def nightly(day: str, city: str = "Berlin") -> None:
        extract()
        load(0.5 if day == "slow" else 0.01)
        measure("rows", len(day))

    nightly("quick one")
    nightly("slow")
    page = visit("/", width=width)
    page.go(page.waits_for("#runs-table a.run-link", "nightly").get_attribute("href"))
    page.waits_for("#run-head a", "Compare").click()
    page.waits_for("#compare h1", "nightly: two runs")
    page.waits_for("#compare td", '"quick one"')
    page.waits_for("#compare", "1 of 2 differ")
    first = page.waits_for("#compare-tasks tbody tr")
    assert first.locator("td").first.inner_text().endswith("load")
    page.has("#compare-tasks .pair i", 4)
    assert not page.scrolls_sideways()
    before = page.page.url
    page.waits_for("#compare-head a", "Swap").click()
    page.page.wait_for_url(lambda url: url != before)
    page.waits_for("#compare-tasks td", "\N{MINUS SIGN}0.")
