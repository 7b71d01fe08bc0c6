"""The numbers of the overview: each counts live, and leads to what it counts."""

from __future__ import annotations

import contextlib

from flowtell import failed, flow, materialize

RAW, CLEAN = "s3://lake/raw.parquet", "s3://lake/clean.parquet"


def test_an_asset_that_has_become_stale_is_counted_and_found(visit, server):
    """The tile says so by itself, and leads to the asset."""

    @materialize(RAW)
    def raw() -> None: ...

    @materialize(CLEAN, asset_deps=[RAW])
    def clean() -> None: ...

    @flow
    def load() -> None:
        raw()

    @flow
    def nightly() -> None:
        raw()
        clean()

    nightly()
    page = visit("/")
    page.waits_for("#live", "Live")
    page.waits_for("#tile-stale .count", "0")
    load()
    page.waits_for("#tile-stale .count", "1")
    page.page.locator("#tile-stale").click()
    page.waits_for("#assets a.asset-link", "clean.parquet")
    page.has("#assets .ag-center-cols-container .ag-row", 1)


def test_an_incident_is_counted_as_it_opens_and_found(visit, server):
    @flow(rules=[failed()])
    def nightly() -> None:
        raise ValueError("no rows")

    page = visit("/")
    page.waits_for("#tile-incidents .count", "0")
    with contextlib.suppress(ValueError):
        nightly()
    page.waits_for("#tile-incidents .count", "1")
    page.waits_for("#tile-success .count", "0 %")
    page.page.locator("#tile-incidents").click()
    page.waits_for("#incidents .severity")
    page.has("#incidents .ag-center-cols-container .ag-row", 1)


def test_every_number_is_a_link(visit, server, nightly):
    """Also where nothing was counted, and on a phone."""
    nightly()
    page = visit("/", width=390)
    page.waits_for("#tile-success .count", "100 %")
    assert page.page.locator("#tiles > *").count() == page.page.locator("#tiles > a[href]").count() == 7
    assert not page.scrolls_sideways()
