"""Runs as a person sees them: live, by link, in the dark and on a phone."""

from __future__ import annotations

import contextlib
import re
import time

import pytest

from flowtell import bus
from flowtell.events import FlowRunStarted
from flowtell.ids import new_id


@pytest.fixture
def failed(nightly, server):
    """A run that has failed."""
    with contextlib.suppress(ValueError):
        nightly("bad")


def run_link(visited):
    return visited.waits_for("#runs-table a.run-link", "nightly_orders").get_attribute("href")


def test_an_empty_store_says_what_to_type_and_then_shows_the_run(visit, nightly):
    """The first run takes the place of the invitation, without a reload."""
    page = visit("/")
    page.waits_for("#instead", "No runs yet")
    page.waits_for("#live", "Live")
    nightly()
    page.waits_for("#runs-table .state", "Completed")
    page.waits_for("#tile-success .count", "100 %")
    page.has("#instead > *", 0)


def test_a_new_run_appears_by_itself(visit, nightly):
    """Ingest, read model, websocket and table, without a reload."""
    page = visit("/")
    page.waits_for("#live", "Live")
    nightly()
    page.waits_for("#runs-table .state", "Completed")
    nightly()
    page.waits_for("#summary", "2 of 2 runs")


def test_a_deep_link_shows_the_run(visit, failed):
    """Opened fresh, by the run's whole id and by its beginning."""
    href = run_link(visit("/"))
    for address in (href, href[: len("/runs/") + 24]):
        page = visit(address)
        page.waits_for("h1")
        page.waits_for(".error", "no rows for bad")
        page.waits_for("#task-runs .state", "Failed")
        page.waits_for(".logs", "extracting bad")
        page.waits_for(".facts .moment", "ago")
        assert re.match(r"Failed: .+ · flowtell", page.page.title())


def test_a_link_in_the_list_leads_to_the_run_and_back(visit, failed):
    """Without loading the document again; back and forward work."""
    page = visit("/")
    link = page.waits_for("#runs-table a.run-link", "nightly_orders")
    page.page.evaluate("() => { window.same = true }")
    link.click()
    page.waits_for(".error", "ValueError")
    page.page.go_back()
    page.waits_for("#runs-table a.run-link", "nightly_orders")
    page.page.go_forward()
    page.waits_for(".error", "ValueError")
    assert page.page.evaluate("() => window.same") is True


def test_an_unknown_run_says_so_and_shows_up_when_it_comes(visit):
    """A link may be opened before its run's first event has arrived."""
    run = "e" * 32
    page = visit(f"/runs/{run}")
    page.waits_for(".notice", "Run not found")
    page.waits_for("#live", "Live")
    bus.emit(FlowRunStarted(id=new_id(), time=time.time_ns() // 1000, run=run, flow="late_comer"))
    page.waits_for("#run-head h1", "late_comer")
    page.waits_for("#run-facts .duration", "s")


def test_filters_are_in_the_address_and_come_from_it(visit, failed, nightly):
    """Chosen by hand they change the address; the address alone brings them back."""
    nightly()
    page = visit("/")
    page.waits_for("#summary", "2 of 2 runs")
    page.page.get_by_role("textbox", name="State").click()
    page.page.get_by_role("option", name="Failed").click()
    page.waits_for("#summary", "1 of 2 runs that match")
    page.page.wait_for_url("**/?state=failed")
    again = visit("/?state=failed")
    again.waits_for("#summary", "1 of 2 runs that match")
    again.waits_for(".filters", "Failed")
    page.page.go_back()
    page.waits_for("#summary", "2 of 2 runs")


def test_a_tile_leads_to_the_runs_it_counts(visit, failed, nightly):
    nightly()
    page = visit("/")
    page.waits_for("#tile-failed .count", "1")
    page.page.locator("#tile-failed").click()
    page.waits_for("#summary", "1 of 2 runs that match, last 24 hours")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_system_and_the_switch_is_remembered(visit, failed, scheme):
    page = visit("/", scheme=scheme)
    page.waits_for("#runs-table .state", "Failed")
    root = page.page.locator("html")
    assert root.get_attribute("data-mantine-color-scheme") == scheme
    assert (_brightness(page, "body") > 128) == (scheme == "light")
    assert (_brightness(page, "#runs-table .ag-root-wrapper") > 128) == (scheme == "light")
    page.page.get_by_role("button", name="Switch between light and dark").click()
    other = {"light": "dark", "dark": "light"}[scheme]
    page.page.locator(f"html[data-mantine-color-scheme={other}]").wait_for(timeout=5000)
    page.page.reload()
    page.page.locator(f"html[data-mantine-color-scheme={other}]").wait_for(timeout=5000)


def _brightness(page, selector):
    colour = page.page.locator(selector).first.evaluate("element => getComputedStyle(element).backgroundColor")
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 3


def test_a_phone_shows_cards_and_never_scrolls_sideways(visit, failed):
    page = visit("/", width=390)
    page.waits_for("#runs-table .card", "nightly_orders")
    assert not page.scrolls_sideways()
    run = visit(run_link(page), width=390)
    run.waits_for("#task-runs .card", "ValueError")
    assert not run.scrolls_sideways()


def test_times_are_local_or_utc_as_chosen(visit, failed):
    """The choice holds for every moment of the page, and is remembered."""
    page = visit("/")
    page.waits_for("#runs-table time", ":")
    page.page.locator("label", has_text="UTC").click()
    page.page.locator("html[data-zone=utc]").wait_for(timeout=5000)
    page.page.reload()
    page.page.locator("html[data-zone=utc]").wait_for(timeout=5000)
    moment = page.waits_for("#runs-table time[data-show=short]", ":")
    assert moment.inner_text() in moment.get_attribute("datetime").replace("T", " ")


def test_the_page_is_walked_by_keyboard(visit, failed):
    """The first stop skips to the content; every control after it has a name."""
    page = visit("/")
    page.waits_for("#runs-table .state", "Failed")
    page.page.keyboard.press("Tab")
    assert page.page.evaluate("() => document.activeElement.textContent") == "Skip to content"
    for control in ("Search", "State", "Flow", "Environment", "Started"):
        assert page.page.get_by_label(control, exact=True).first.is_visible()


def test_a_quiet_page_asks_for_nothing(visit, failed):
    """While no run changes there is no request, and what still runs is counted on by the browser."""
    page = visit("/")
    page.waits_for("#runs-table .state", "Failed")
    page.waits_for("#live", "Live")
    page.page.wait_for_timeout(1000)
    asked = []
    page.page.on("request", lambda request: asked.append(request.url))
    page.page.wait_for_timeout(3000)
    assert asked == []
