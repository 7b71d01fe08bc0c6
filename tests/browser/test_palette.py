"""Anywhere by the keyboard alone: the command palette, and the list of keys."""

from __future__ import annotations

import pytest

from flowtell import flow, materialize


@pytest.fixture
def house(server, nightly):
    """A flow that makes an asset beside the nightly one."""

    @materialize("s3://lake/clean.parquet")
    def clean() -> None: ...

    @flow
    def load() -> None:
        clean()

    load()
    nightly()


def chosen(page):
    return page.page.locator("#palette-list [aria-selected=true]")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_flow_an_asset_a_run_and_a_page_are_reached_without_a_mouse(visit, house, width):
    """Typed, chosen with the arrows, entered; on a phone's width too."""
    page = visit("/", width=width)
    run = page.waits_for("#runs-table a.run-link", "nightly_orders").get_attribute("href")
    keyboard = page.page.keyboard
    keyboard.press("Control+k")
    page.waits_for("#palette [role=option]", "Timeline")
    keyboard.type("orders")
    page.waits_for("#palette [aria-selected=true]", "nightly_orders")
    assert not page.scrolls_sideways()
    keyboard.press("Enter")
    page.waits_for("#flow-head h1", "nightly_orders")
    keyboard.press("Meta+k")
    keyboard.type("clean")
    page.waits_for("#palette [aria-selected=true]", "clean.parquet")
    keyboard.press("Enter")
    page.waits_for("#asset h1", "clean.parquet")
    keyboard.press("Control+k")
    keyboard.type(run.removeprefix("/runs/")[:20])
    page.waits_for("#palette [role=option]", "Completed")
    keyboard.press("Enter")
    page.page.wait_for_url(f"**{run}")
    keyboard.press("Control+k")
    keyboard.press("ArrowDown")
    assert "Timeline" in chosen(page).inner_text()
    keyboard.press("ArrowUp")
    keyboard.press("ArrowUp")
    assert "Keys" in chosen(page).inner_text()
    keyboard.press("Enter")
    page.waits_for("#keys", "Ctrl K")
    keyboard.press("Escape")
    page.page.locator("#keys").wait_for(state="hidden")


def test_what_is_not_there_is_said_and_escape_closes(visit, house):
    """The focus goes back to where it was."""
    page = visit("/")
    page.waits_for("#runs-table a.run-link", "nightly_orders").focus()
    page.page.keyboard.press("Control+k")
    page.page.keyboard.type("<b>no such thing")
    page.waits_for("#palette-count", "Nothing is called like that")
    page.page.keyboard.press("Escape")
    page.page.locator("#palette").wait_for(state="hidden")
    assert page.page.evaluate("() => document.activeElement.className") == "run-link"


def test_a_question_mark_shows_the_keys_but_not_while_one_types(visit, house):
    page = visit("/flows")
    page.waits_for("#flows .ag-row")
    page.page.keyboard.press("?")
    page.waits_for("#keys", "go to a page")
    page.page.keyboard.press("Escape")
    page.go("/assets")
    page.waits_for("#assets .ag-row")
    page.page.get_by_label("Search").first.fill("")
    page.page.keyboard.type("?")
    assert page.page.locator("#keys[open]").count() == 0
