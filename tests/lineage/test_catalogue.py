"""The catalogue of assets, through a real log and runner."""

from __future__ import annotations

import random

import pytest

from flowtell.events import (
    AssetChecked,
    AssetDeclared,
    AssetFailed,
    AssetMaterialized,
    AssetObserved,
    AssetRemoved,
    UpstreamAsset,
)
from flowtell.ids import new_id
from flowtell.testing import FakeClock, PluginHarness
from flowtell_lineage import catalogue, questions
from flowtell_lineage.errors import AssetNotFound
from flowtell_lineage.plugin import create
from flowtell_lineage.reading import neighbourhood

START = FakeClock().now
A, B, C, D = (f"x://{name}" for name in "abcd")


@pytest.fixture
def lineage(tmp_path):
    with PluginHarness(create, tmp_path, name="lineage") as harness:
        yield harness


def event(kind, asset, *upstream, at=0, **fields):
    edges = tuple(UpstreamAsset(asset=key, evidence="future") for key in upstream)
    return kind(id=new_id(), time=START + at, asset=asset, **({"upstream": edges} if edges else {}), **fields)


def made(asset, *upstream, **fields):
    return event(AssetMaterialized, asset, *upstream, **{"run": "r1", "flow": "nightly", "task": "load", **fields})


def keys(found):
    return [entry.asset.asset for entry in found]


def test_a_page_at_a_time_in_the_order_of_keys(lineage):
    lineage.feed([made(key, rows=10) for key in (C, A, B)])
    assert keys(catalogue.catalogue(lineage.read, limit=2)) == [A, B]
    (last,) = catalogue.catalogue(lineage.read, after=B)
    assert (last.asset.asset, last.asset.made.rows, last.stale_since, last.failing) == (C, 10, None, 0)


def test_filters_narrow(lineage):
    """By text of key or name in any case, by owner to the letter, by what is wrong."""
    lineage.feed(
        [
            made(A),
            event(AssetDeclared, A, name="Orders_1", owners=("ann", "bob")),
            event(AssetFailed, B, at=5, state="crashed", run="r2"),
            event(AssetObserved, C, role="read", run="r1"),
        ]
    )

    def found(**how):
        return keys(catalogue.catalogue(lineage.read, **how))

    assert found(text="orders_") == found(text="X://A") == found(owner="ann") == [A]
    assert found(owner="an") == found(text="%") == []
    assert (found(only="failed"), found(only="unmade"), found(only="stale")) == ([B], [B, C], [])


def test_what_is_older_than_its_upstream_is_stale(lineage):
    """Until it is made anew; never by itself, nor by what it was said to be made of before that was removed."""
    lineage.feed([made(A, at=1), made(B, A, B, at=2), made(C, B, at=3), made(A, at=5)])
    assert keys(catalogue.catalogue(lineage.read, only="stale")) == [B]
    assert catalogue.get_entry(lineage.read, B).stale_since == START + 5
    assert (catalogue.count_stale(lineage.read, 10), catalogue.count_stale(lineage.read, 0)) == (1, 1)
    lineage.feed([made(B, A, at=6)])
    assert keys(catalogue.catalogue(lineage.read, only="stale")) == [C]
    lineage.feed([event(AssetRemoved, B, at=7), made(B, at=8)])
    assert catalogue.count_stale(lineage.read, 10) == 0


def test_aliases_are_one_asset(lineage):
    """What was read by another name is as stale."""
    lineage.feed([event(AssetDeclared, A, aliases=(D,)), made(A, at=1), made(B, D, at=2), made(A, at=3)])
    assert catalogue.get_entry(lineage.read, B).stale_since == START + 3


def test_staleness_is_that_of_the_question_about_one(lineage):
    """Of twenty graphs of a few runs each, whatever they are made of."""
    chance = random.Random(7)
    graphs = [[f"x://{graph}/{name}" for name in "abcd"] for graph in range(20)]
    lineage.feed(
        [
            made(chance.choice(names), *chance.sample(names, chance.randrange(4)), at=at)
            for names in graphs
            for at in range(6)
        ]
    )
    entries = catalogue.catalogue(lineage.read)
    assert {bool(entry.stale_since) for entry in entries} == {True, False}
    for entry in entries:
        causes = questions.staleness(lineage.read, entry.asset.asset).causes
        assert entry.stale_since == min((cause.since for cause in causes if cause.kind == "data"), default=None)


def test_checks_that_did_not_pass_come_first(lineage):
    checked = [event(AssetChecked, A, check=name, passed=name != "fresh", value={"n": 1}) for name in ("exact", "fresh")]
    lineage.feed([made(A), *checked])
    found = catalogue.checks_of(lineage.read, A)
    assert [(one.check, one.passed, one.value) for one in found] == [("fresh", False, {"n": 1}), ("exact", True, {"n": 1})]
    assert catalogue.get_entry(lineage.read, A).failing == 1
    with pytest.raises(AssetNotFound):
        catalogue.checks_of(lineage.read, "x://nowhere")


def test_a_store_without_lineage_has_an_empty_catalogue(lineage):
    assert (catalogue.catalogue(lineage.read), catalogue.count_stale(lineage.read, 9)) == ([], 0)


def test_a_neighbourhood_grows_where_it_is_asked_to(lineage):
    """By the neighbours of one that is shown, one after the other, and never beyond the limit."""
    lineage.feed([made(B, A), made(C, B), made(D, C), made("x://e", D), made("x://f", B)])
    near = neighbourhood(lineage.read, B, grown=[(C, "down"), (D, "down"), ("x://nowhere", "up")])
    assert {node.key: node.distance for node in near.nodes} == {A: -1, B: 0, C: 1, "x://f": 1, D: 2, "x://e": 3}
    assert (C, D) in [(edge.upstream, edge.downstream) for edge in near.edges]
    small = neighbourhood(lineage.read, B, grown=[(C, "down")], limit=4)
    assert (len(small.nodes), small.whole, near.whole) == (4, False, True)
