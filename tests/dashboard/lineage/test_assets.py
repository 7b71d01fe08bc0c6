"""The pages about assets, on a real graph: what is there, how it stands, and what is around it."""

from __future__ import annotations

import builtins

import pytest

from flowtell.events import (
    AssetChecked,
    AssetDeclared,
    AssetFailed,
    AssetMaterialized,
    Column,
    ColumnSource,
    Failure,
    UpstreamAsset,
)
from flowtell.ids import new_id
from flowtell.testing import FakeClock, PluginHarness
from flowtell_dashboard.lineage.asset_page import read_asset_page
from flowtell_dashboard.lineage.page import SHOWN, read_catalogue
from flowtell_dashboard.lineage.question import AssetFilter, AssetView, address
from flowtell_lineage.plugin import create

START = FakeClock().now
RAW, CLEAN, REPORT = "s3://lake/raw.parquet", "s3://lake/clean.parquet", "duckdb://marts/report"


@pytest.fixture
def graph(tmp_path):
    """Raw data, made anew since; clean data, made of it; a report that failed since."""
    with PluginHarness(create, tmp_path, name="lineage") as harness:
        harness.feed(
            [
                event(AssetDeclared, RAW, name="Raw orders", owners=("ann@shop.example",), description="As it came."),
                made(RAW, at=1, rows=1200),
                made(CLEAN, RAW, at=2, columns=(Column(name="day", type="date", origins=(origin("day"),)),)),
                made(REPORT, CLEAN, at=3, rows=7, bytes=2048, version="v1"),
                made(RAW, at=4, rows=1300),
                event(AssetFailed, REPORT, at=5, state="failed", run="r9", error=Failure(type="KeyError", message="'day'")),
                event(AssetChecked, CLEAN, at=6, check="unique", column="day", passed=False, value={"twice": 3}, run="r7"),
                event(AssetChecked, CLEAN, at=6, check="not_null", column="day", passed=True),
            ]
        )
        yield harness


def event(kind, asset, *upstream, at=0, evidence="object", **fields):
    edges = tuple(UpstreamAsset(asset=key, evidence=evidence) for key in upstream)
    return kind(id=new_id(), time=START + at, asset=asset, **({"upstream": edges} if edges else {}), **fields)


def made(asset, *upstream, **fields):
    return event(AssetMaterialized, asset, *upstream, **{"run": "r1", "flow": "nightly", "task": "load", **fields})


def origin(column):
    return ColumnSource(asset=RAW, column=column, transformation="IDENTITY")


def test_the_catalogue_says_how_each_asset_stands(graph):
    rows = {row["asset"]: row for row in read_catalogue(graph.read, AssetFilter()).rows}
    assert {key: row["word"] for key, row in rows.items()} == {RAW: "Fresh", CLEAN: "Check failed", REPORT: "Failed"}
    assert rows[RAW] | {"rows": 1300, "times": 2, "name": "Raw orders", "owners": "ann@shop.example"} == rows[RAW]
    assert AssetView.of(rows[RAW]["href"].partition("?")[2]).key == RAW


def test_filters_come_from_the_address(graph):
    def found(search):
        return [row["asset"] for row in read_catalogue(graph.read, AssetFilter.of(search)).rows]

    assert found("?only=stale") == [CLEAN]
    assert found("?only=failed&text=MARTS") == [REPORT]
    assert found("?owner=ann%40shop.example") == [RAW]
    assert found("?only=nonsense&after=duckdb%3A%2F%2Fz") == [CLEAN, RAW]


@pytest.mark.parametrize(
    "wanted", [AssetFilter(), AssetFilter("a&b=c", "ä", "stale", "s3://x/ y?"), AssetFilter(only="unmade")], ids=str
)
def test_an_address_says_what_it_was_made_of(wanted):
    assert AssetFilter.of(wanted.link().partition("?")[2]) == wanted


def test_every_asset_is_reached_page_by_page(graph, words):
    graph.feed([made(f"x://{number:04}") for number in range(SHOWN + 50)])
    wanted, seen = AssetFilter(text="x://"), []
    shown = read_catalogue(graph.read, wanted)
    assert shown.summary == f"{SHOWN}+ assets that match, in the order of their keys"
    while shown.rows:
        seen += [row["asset"] for row in shown.rows]
        further = [link.href for link in shown.pages if words(link) == "Next →"]
        if not further:
            break
        shown = read_catalogue(graph.read, AssetFilter.of(further[0].partition("?")[2]))
    assert seen == [f"x://{number:04}" for number in range(SHOWN + 50)]
    assert words(shown.pages) == "← First"


def test_an_asset_tells_what_is_known_of_it(graph, words):
    page = read_asset_page(graph.read, AssetView(CLEAN))
    head, told = words(page.head), words(page.told)
    assert (page.title, page.found) == ("lake/clean.parquet", "yes")
    for said in ("Check failed", "Why it is not fresh", RAW, "was made since", "nightly"):
        assert said in head, said
    for said in ("day date", "lake/raw.parquet.day", "IDENTITY", "1 of 2 failed", "unique day", '{"twice":3}', "Made"):
        assert said in told, said
    report = read_asset_page(graph.read, AssetView(REPORT))
    assert "KeyError: 'day'" in words(report.told)
    assert "7 2.0 kB v1" in " ".join(words(report.told).split())


def test_the_picture_has_the_neighbours_and_how_each_edge_is_known(graph, words):
    page = read_asset_page(graph.read, AssetView(CLEAN))
    nodes = {node["key"]: node for node in page.picture["nodes"]}
    assert {key: (node["column"], node["word"], node["here"]) for key, node in nodes.items()} == {
        RAW: (0, "Fresh", False),
        CLEAN: (1, "Check failed", True),
        REPORT: (2, "Failed", False),
    }
    keys = [node["key"] for node in page.picture["nodes"]]
    edges = [(keys[edge["from"]], keys[edge["to"]], edge["words"], edge["kind"]) for edge in page.picture["edges"]]
    assert edges == [(CLEAN, REPORT, "object", "seen"), (RAW, CLEAN, "object", "seen")]
    assert f"{RAW} {CLEAN} object" in words(page.twin)


def test_the_picture_grows_by_its_links(graph):
    """Each asset tells how many neighbours it hides; the link shows them, and its address brings them back."""
    graph.feed([made("x://far", REPORT, evidence="wait_for"), made("x://farther", "x://far", evidence="declared")])
    page = read_asset_page(graph.read, AssetView(CLEAN))
    (more,) = next(node["more"] for node in page.picture["nodes"] if node["key"] == REPORT)
    assert (more["way"], more["count"]) == ("down", 1)
    view = AssetView.of(more["href"].partition("?")[2])
    assert view == AssetView(CLEAN, ((REPORT, "down"),))
    grown = read_asset_page(graph.read, view.grow("x://far", "down"))
    assert {"x://far", "x://farther"} <= {node["key"] for node in grown.picture["nodes"]}
    assert {edge["kind"] for edge in grown.picture["edges"]} == {"seen", "waits", "said"}


def test_an_asset_that_nobody_named_says_so_and_offers_the_closest(graph, words):
    page = read_asset_page(graph.read, AssetView("s3://lake/claen.parquet"))
    assert (page.found, page.picture, page.title) == ("no", None, "Asset not found")
    assert f"Did you mean {CLEAN} ?" in " ".join(words(page.head).split())
    assert "Asset not found" in words(read_asset_page(graph.read, AssetView()).head)


def test_empty_and_narrowed_to_nothing_say_what_to_do(house, words):
    assert "No assets yet" in words(read_catalogue(house.store.read, AssetFilter()).instead)
    assert "Show all assets" in words(read_catalogue(house.store.read, AssetFilter(text="x")).instead)
    assert "Asset not found" in words(read_asset_page(house.store.read, AssetView(RAW)).head)


def test_without_lineage_installed_the_pages_say_what_to_install(graph, words, monkeypatch):
    import_ = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("flowtell_lineage"):
            raise ModuleNotFoundError(name)
        return import_(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "flowtell-lineage" in words(read_catalogue(graph.read, AssetFilter()).instead)
    assert "flowtell-lineage" in words(read_asset_page(graph.read, AssetView(RAW)).head)


def test_text_from_outside_stays_text(graph):
    """In an address it is quoted, in rows and in the picture it is a string."""
    evil = "x://<img src=x onerror=alert(1)>&key=y"
    graph.feed([made(evil, RAW)])
    page = read_asset_page(graph.read, AssetView.of(address(evil).partition("?")[2]))
    assert next(node["title"] for node in page.picture["nodes"] if node["here"]) == evil.removeprefix("x://")
    assert "<" not in address(evil)
