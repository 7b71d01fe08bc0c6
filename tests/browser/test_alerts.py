"""Alerts, as whoever is on call sees them: what is wrong, who looks after it, and peace while one mends it."""

from __future__ import annotations

import contextlib

import pytest

from flowtell import failed, flow, too_long


@pytest.fixture
def broken(server):
    """A flow whose last run failed, against its rule; another that keeps its own."""

    @flow(rules=[failed(severity="critical", runbook="https://wiki.example/nightly"), too_long("1h")])
    def nightly() -> None:
        raise ValueError("no rows")

    with contextlib.suppress(ValueError):
        nightly()


@pytest.fixture
def named(visit):
    """Open a page whose reader is called Ann."""

    def open_page(path, **how):
        page = visit(path, **how)
        page.page.evaluate("() => localStorage.setItem('flowtell-actor', 'Ann')")
        return page

    return open_page


def test_an_incident_is_acknowledged_from_the_list(named, broken):
    """With its cause, and by name."""
    page = named("/alerts")
    page.waits_for("#incidents .ag-row", "ValueError")
    page.waits_for("#alerts-summary", "1 open incident")
    page.waits_for("#incidents button", "Acknowledge").click()
    page.waits_for("#alerts-said", "Ann looks after it")
    page.waits_for("#incidents .ag-row", "acknowledged by Ann")
    page.waits_for("#alerts-summary", "1 acknowledged")


def test_an_incident_has_a_page(named, broken):
    """With evidence, runbook, runs, and what happened."""
    page = named("/alerts")
    page.waits_for("#incidents a.run-link", "nightly").click()
    page.waits_for("#incident h1", "nightly")
    page.waits_for("#incident-facts", "ValueError")
    assert page.waits_for("#incident-facts a", "wiki.example").get_attribute("rel") == "noopener noreferrer"
    page.waits_for("#incident-history", "opened")
    page.waits_for("#incident button", "Acknowledge").click()
    page.waits_for("#incident-history", "acknowledged")
    page.waits_for("#incident-facts", "by Ann")


def test_silences_are_made_and_ended(named, broken):
    """A form that says what is missing; the silence, with its reason; and its end."""
    page = named("/alerts")
    page.waits_for("#silence-open").click()
    page.waits_for("#silence-form button", "Silence").click()
    page.waits_for("#alerts-said", "Say what it is about")
    for field, text in (("flow", "nightly"), ("reason", "moving the database"), ("actor", "Ann")):
        page.page.locator(f"#silence-{field}").fill(text)
    page.waits_for("#silence-form button", "Silence").click()
    page.waits_for("#alerts-silences", "moving the database")
    page.waits_for("#alerts-silences button", "End").click()
    page.page.wait_for_function("() => !document.querySelector('#alerts-silences').innerText.includes('moving')")


def test_rules_say_what_was_found(named, broken):
    """The broken one first."""
    page = named("/alerts")
    page.waits_for("#rules .holds", "broken")
    page.waits_for("#rules .holds", "holds")
    page.waits_for("#rules-summary", "2 hold for runs known so far")


def test_an_empty_house_says_how_to_begin(visit, server):
    """And an incident that is not there says so."""
    page = visit("/alerts")
    page.waits_for("#alerts-instead", "No rules yet")
    page = visit("/incidents/" + "e" * 32)
    page.waits_for("#incident h1", "Incident not found")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(visit, broken, scheme):
    """Nothing scrolls sideways."""
    page = visit("/alerts", width=390, scheme=scheme)
    page.waits_for("#incidents .ag-row", "nightly")
    assert not page.scrolls_sideways()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_health_says_that_all_is_well(visit, broken, width, scheme):
    """With every plugin that is on."""
    page = visit("/health", width=width, scheme=scheme)
    page.waits_for("#health h1", "All is well")
    page.waits_for("#health th", "alerts")
    assert not page.scrolls_sideways()
