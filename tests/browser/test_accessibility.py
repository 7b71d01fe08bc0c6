"""axe-core finds nothing serious on any page, in light and dark: the rules of WCAG that a program can check."""

from __future__ import annotations

import contextlib
import threading
from importlib.resources import files
from typing import Literal

import pytest

from flowtell import RunInput, failed, flow, get_run_logger, materialize, pause_flow_run, task

SERIOUS = ("serious", "critical")


class Review(RunInput):
    """Look before it is published."""

    verdict: Literal["publish", "discard"]
    rows: int
    sure: bool = False


@pytest.fixture(scope="module")
def axe():
    """The program, to be run in a page. It is evaluated past the page's policy, which would refuse it."""
    pytest.importorskip("axe_playwright_python")
    return (files("axe_playwright_python") / "axe.min.js").read_text()


@pytest.fixture
def findings(axe):
    """What is serious on a page as it stands: `findings(page)`."""

    def look(page):
        page.page.evaluate(axe)
        found = page.page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
        return [
            (each["id"], node["target"], node["failureSummary"])
            for each in found
            if each["impact"] in SERIOUS
            for node in each["nodes"]
        ]

    return look


@pytest.fixture
def house(server):
    """Something to show on every page: good and bad ends, tasks, logs, a stale asset, an incident, a question."""

    @materialize("s3://lake/raw.parquet")
    def raw() -> int:
        return 1

    @materialize("s3://lake/clean.parquet", asset_deps=["s3://lake/raw.parquet"])
    def clean() -> None: ...

    @task
    def check() -> None:
        get_run_logger().warning("few rows")

    @flow
    def nightly() -> None:
        raw()
        clean()
        check()

    @flow(rules=[failed(severity="critical")])
    def publish() -> None:
        raise ValueError("no rows")

    @flow
    def load() -> None:
        raw()

    @flow(name="reviewed")
    def reviewed() -> None:
        with contextlib.suppress(Exception):
            pause_flow_run(wait_for_input=Review, key="review", timeout=100)

    nightly()
    nightly()
    load()
    with contextlib.suppress(ValueError):
        publish()
    thread = threading.Thread(target=reviewed)
    thread.start()
    yield
    thread.join(110)


def answer(page):
    """Let the paused run go, so that it does not hold the test up."""
    page.page.evaluate(
        """async () => {
            const {runs} = await (await fetch("/api/runs?state=paused")).json();
            const answer = JSON.stringify({answer: {verdict: "publish", rows: 1}});
            for (const run of runs) await fetch(`/api/runs/${run.id}/resume`, {method: "POST", body: answer});
        }"""
    )


PAGES = (
    ("/timeline", "#timeline-summary", "run"),
    ("/flows", "#flows .ag-row", "nightly"),
    ("/flow?name=nightly", "#flow-head h1", "nightly"),
    ("/assets", "#assets .ag-row", "clean"),
    ("/asset?key=s3://lake/clean.parquet", "#asset .asset-box", "clean"),
    ("/alerts", "#incidents .ag-row", "publish"),
    ("/health", "#health table", "lineage"),
    ("/runs/eeee", ".notice", "not found"),
    ("/nowhere", ".notice", "Nothing is here"),
)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_finding(visit, house, findings, scheme):
    """Nor what opens on it: the palette, the keys, the form of a question, that to cancel, that to silence."""
    page = visit("/", scheme=scheme)
    page.waits_for("#runs-table .state", "Paused")
    page.waits_for("#tile-incidents .count", "1")
    runs = {
        link.inner_text().split()[0]: link.get_attribute("href")
        for link in page.page.locator("#runs-table a.run-link").all()
    }
    found = {"/": findings(page)}
    page.page.keyboard.press("Control+k")
    page.page.keyboard.type("night")
    page.waits_for("#palette [role=option]", "nightly")
    found["palette"] = findings(page)
    page.page.keyboard.press("Escape")
    page.page.locator("#palette").wait_for(state="hidden")
    page.page.keyboard.press("?")
    page.waits_for("#keys")
    found["keys"] = findings(page)
    for address, awaited, text in PAGES:
        page.go(address).waits_for(awaited, text)
        found[address] = findings(page)
    page.go("/alerts").waits_for("#silence-open").click()
    page.waits_for("#silence-form button", "Silence")
    found["silence"] = findings(page)
    page.go("/alerts").waits_for("#incidents a.run-link").click()
    page.waits_for("#incident-history", "opened")
    found["incident"] = findings(page)
    page.go(runs["nightly"]).waits_for(".logs li", "few rows")
    found["run"] = findings(page)
    page.waits_for("#run-head a", "Compare").click()
    page.waits_for("#compare-tasks td", "check")
    found["compare"] = findings(page)
    page.go(runs["reviewed"]).waits_for(".question button", "Answer")
    page.waits_for("#run-head button", "Cancel").click()
    page.waits_for("#cancel-form button")
    found["question"] = findings(page)
    answer(page)
    page.waits_for("#run-head .state", "Completed")
    page.errors[:] = [error for error in page.errors if "404" not in error]  # of the page that is not there
    assert {name: each for name, each in found.items() if each} == {}


def test_a_serious_finding_would_be_seen(visit, findings):
    """A picture without words and a text that nobody can read."""
    page = visit("/")
    page.waits_for("#instead", "No runs yet")
    page.page.evaluate(
        """() => document.getElementById("page").insertAdjacentHTML("beforeend",
            "<img src='data:,'><p style='color: #eee; background: #fff'>pale</p>")"""
    )
    assert {"image-alt", "color-contrast"} <= {name for name, *_ in findings(page)}
