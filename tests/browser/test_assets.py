"""The catalogue of assets and one asset's surroundings, as a person sees them."""

from __future__ import annotations

import time

import pytest

from flowtell import bus, flow, materialize
from flowtell.events import AssetDeclared
from flowtell.ids import new_id
from flowtell_dashboard.lineage.question import address

RAW, CLEAN = "s3://lake/raw.parquet", "s3://lake/clean.parquet"
REPORTS = [f"s3://reports/{name}.html" for name in ("berlin", "oslo", "rome")]


@pytest.fixture
def lake(server):
    """Raw data, what is made of it, and three reports of that; the raw data has been made anew since."""

    @materialize(RAW)
    def raw() -> None: ...

    @materialize(CLEAN, asset_deps=[RAW])
    def clean() -> None: ...

    def report(key: str) -> None:
        @materialize(key, asset_deps=[CLEAN])
        def write() -> None: ...

        write()

    @flow
    def nightly() -> None:
        raw()
        clean()
        for key in REPORTS:
            report(key)

    @flow
    def load() -> None:
        raw()

    nightly()
    load()


def names(page):
    return sorted(page.page.locator("#assets .ag-center-cols-container .asset-link b").all_inner_texts())


def test_the_catalogue_is_filtered_and_the_address_says_how(visit, lake):
    """By a part of the key and by how it stands; the address alone brings both back, and a line leads to its page."""
    page = visit("/assets")
    page.waits_for("#assets-summary", "5 assets")
    assert names(page) == sorted([RAW, CLEAN, *REPORTS])
    page.page.get_by_label("Search").first.fill("LAKE")
    page.waits_for("#assets-summary", "2 assets that match")
    page.page.wait_for_url("**/assets?text=LAKE")
    again = visit("/assets?only=stale")
    again.waits_for("#assets .state", "Stale")
    again.waits_for("#assets-summary", "1 asset that match")
    again.waits_for("#assets a.asset-link", "clean").click()
    again.waits_for("#asset h1", "clean.parquet")
    nothing = visit("/assets?text=no-such-thing")
    nothing.waits_for("#assets-instead", "No asset matches")
    nothing.page.get_by_text("Show all assets").click()
    nothing.waits_for("#assets-summary", "5 assets")


def test_its_surroundings_are_a_picture_and_a_table(visit, lake):
    """One step each way; a box leads to its asset, and why it is stale is said."""
    page = visit(address(CLEAN))
    page.waits_for("#lineage-frame .asset-box[aria-current]", "clean.parquet")
    page.has("#lineage-frame .asset-box", 5)
    page.has("#lineage-frame .asset-edge", 4)
    page.waits_for("#asset", "Why it is not fresh")
    page.waits_for("#asset", "was made since")
    page.waits_for("#asset-twin summary", "4 edges").click()
    page.has("#asset-twin tbody tr", 4)
    page.page.locator("#lineage-frame a.asset-box", has_text="raw.parquet").click()
    page.waits_for("#asset h1", "raw.parquet")
    page.has("#lineage-frame .asset-box", 2)


def test_neighbours_of_neighbours_come_when_asked(visit, lake):
    """`+3` is a link: with it the three reports come into the raw data's picture, also for whoever is sent it."""
    page = visit(address(RAW))
    more = page.waits_for("#lineage-frame .asset-more", "+3")
    assert more.get_attribute("aria-label") == "Show 3 more downstream of lake/clean.parquet"
    more.focus()
    page.page.keyboard.press("Enter")
    page.has("#lineage-frame .asset-box", 5)
    again = visit(page.page.url.removeprefix(page.address))
    again.has("#lineage-frame .asset-box", 5)
    again.waits_for("#asset-picture-summary a", "Only its neighbours").click()
    again.has("#lineage-frame .asset-box", 2)


def test_a_materialization_comes_by_itself(visit, lake):
    """What was stale is fresh on the open page as soon as it was made anew."""

    @materialize(CLEAN, asset_deps=[RAW])
    def clean() -> None: ...

    @flow
    def mend() -> None:
        clean()

    page = visit(address(CLEAN))
    page.waits_for(".asset-box[aria-current] .state", "Stale")
    page.waits_for("#live", "Live")
    mend()
    page.waits_for(".asset-box[aria-current] .state", "Fresh")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_they_fit_a_phone(visit, lake, scheme):
    """The picture scrolls in its frame, the page never sideways; the catalogue is cards."""
    page = visit("/assets", width=390, scheme=scheme)
    page.waits_for("#assets .card", "clean.parquet")
    assert not page.scrolls_sideways()
    page.go(address(CLEAN))
    page.waits_for("#lineage-frame .asset-box", "clean.parquet")
    assert not page.scrolls_sideways()


def test_a_name_of_markup_is_text(visit, server):
    """And an asset that is not there says so."""
    key, name = "s3://lake/odd.parquet", '<img src=x onerror="document.title=1">'
    bus.emit(AssetDeclared(id=new_id(), time=time.time_ns() // 1000, asset=key, name=name, description=name, owners=(name,)))
    page = visit("/assets")
    page.waits_for("#assets a.asset-link", "<img").click()
    page.waits_for("#asset h1", "<img")
    assert page.page.locator("#page img").count() == 0
    page.go(address("s3://nowhere"))
    page.waits_for("#asset .notice", "s3://nowhere")
