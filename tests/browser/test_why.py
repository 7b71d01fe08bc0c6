"""Why, where people look: on the page of a run, of an asset, of an incident."""

from __future__ import annotations

import pytest

from flowtell import Asset, failed, flow, materialize

KEY = "file://shop/report"


@pytest.fixture
def told():
    """A flow that failed, with an asset that somebody waits for, and an open incident."""

    @materialize(Asset(KEY, owners=["board@shop.example"]))
    def report(fail):
        if fail:
            raise ValueError("<b>no rows</b>")

    @flow(name="nightly", rules=[failed()])
    def nightly(fail):
        report(fail)

    nightly(False)
    with pytest.raises(ValueError, match="no rows"):
        nightly(True)


def test_the_page_of_a_run_says_why_it_failed_and_who_waits(told, visit):
    """What an exception said is text, whatever it holds."""
    page = visit("/")
    page.waits_for("a[href^='/runs/']", "nightly").click()
    why = page.waits_for(".why li", "task report failed: ValueError")
    assert "<b>no rows</b>" in why.inner_text()
    waits = page.page.locator(".why details", has_text="What waits for it")
    waits.locator("summary").click()
    page.waits_for(".why a[href='/asset?key=file%3A%2F%2Fshop%2Freport']", KEY)
    page.page.locator(".why details", has_text="Otherwise than").locator("summary").click()
    page.waits_for(".why li", "parameter fail: false → true")


def test_the_pages_of_the_asset_and_of_the_incident(told, visit):
    page = visit("/asset?key=file%3A%2F%2Fshop%2Freport")
    page.waits_for(".why li", "the last attempt to make it failed")
    page.waits_for(".why li", "task report failed: ValueError")
    page.go("/alerts")
    page.waits_for("a[href^='/incidents/']").click()
    page.waits_for(".why li", "the rule failed of nightly does not hold")
    page.waits_for(".why li", "task report failed: ValueError")


def test_nothing_is_asked_where_nothing_is_wrong(visit):
    @flow(name="fine")
    def fine(): ...

    fine()
    page = visit("/")
    page.waits_for("a[href^='/runs/']", "fine").click()
    page.waits_for("h1", "fine")
    page.has(".why", 0)
