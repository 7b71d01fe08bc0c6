"""The asset graph as it comes out of the events, through a real log and runner, read as pages and commands read it."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowtell.errors import BadValue, UnknownKey
from flowtell.events import (
    AssetCached,
    AssetDeclared,
    AssetFailed,
    AssetMaterialized,
    AssetMaterializing,
    AssetObserved,
    AssetRemoved,
    Failure,
    UpstreamAsset,
)
from flowtell.ids import new_id
from flowtell.testing import FakeClock, PluginHarness
from flowtell_lineage.errors import AssetNotFound
from flowtell_lineage.plugin import create
from flowtell_lineage.reading import assets, get_asset, materializations, surroundings, whole_graph

START = FakeClock().now
RAW, CLEAN, REPORT = "s3://lake/raw", "s3://lake/clean", "s3://lake/report"


def event(kind, asset, *upstream, at=0, evidence="declared", **fields):
    edges = tuple(UpstreamAsset(asset=key, evidence=evidence) for key in upstream)
    return kind(id=new_id(), time=START + at, asset=asset, upstream=edges, **fields)


def made(asset, *upstream, **fields):
    return event(AssetMaterialized, asset, *upstream, **{"run": "r1", "flow": "nightly", "task": "load", **fields})


@pytest.fixture
def lineage(tmp_path):
    with PluginHarness(create, tmp_path, name="lineage") as harness:
        yield harness


def pairs(graph):
    return {(edge.upstream, edge.downstream) for edge in graph.edges}


# --- assets -------------------------------------------------------------------------------------------------------


def test_an_asset_knows_what_made_it_last(lineage):
    """Rows, size, metadata, flow, task and run of what is there now."""
    lineage.feed([made(CLEAN, rows=10, bytes=2048, metadata={"format": "parquet"}, environment="prod", run="r7")])
    asset = get_asset(lineage.read, CLEAN)
    assert (asset.state, asset.materializations) == ("materialized", 1)
    assert (asset.made.run, asset.made.flow, asset.made.task, asset.made.environment) == ("r7", "nightly", "load", "prod")
    assert (asset.made.rows, asset.made.bytes, asset.made.metadata) == (10, 2048, {"format": "parquet"})


def test_the_latest_by_its_writers_clock_stands(lineage):
    """Whatever the order in which two machines' journals come in."""
    lineage.feed([made(CLEAN, at=2, rows=2), made(CLEAN, at=1, rows=1)])
    asset = get_asset(lineage.read, CLEAN)
    assert (asset.made.rows, asset.materializations) == (2, 2)
    assert (asset.first_seen, asset.last_seen) == (START + 1, START + 2)


def test_a_failure_shows_and_the_data_from_before_stays(lineage):
    error = Failure(type="ValueError", message="no rows")
    lineage.feed([made(CLEAN, RAW, rows=5), event(AssetFailed, CLEAN, at=1, state="crashed", error=error, run="r2")])
    asset = get_asset(lineage.read, CLEAN)
    assert (asset.state, asset.latest.run, asset.latest.error) == ("crashed", "r2", error)
    assert (asset.made.rows, asset.made.run, asset.materializations) == (5, "r1", 1)


def test_a_cached_result_is_an_outcome_but_makes_no_data(lineage):
    lineage.feed([made(CLEAN, rows=5), event(AssetCached, CLEAN, at=1)])
    asset = get_asset(lineage.read, CLEAN)
    assert (asset.state, asset.made.rows, asset.materializations) == ("cached", 5, 1)


def test_the_latest_declaration_describes_it(lineage):
    lineage.feed(
        [
            event(AssetDeclared, CLEAN, at=2, name="Clean orders", owners=("ada",), tags=("gold",), metadata={"a": 1}),
            event(AssetDeclared, CLEAN, at=1, name="Orders", owners=("bob",)),
            made(CLEAN, at=3),
        ]
    )
    asset = get_asset(lineage.read, CLEAN)
    assert (asset.name, asset.owners, asset.tags, asset.metadata) == ("Clean orders", ("ada",), ("gold",), {"a": 1})


def test_what_is_only_read_is_an_asset_that_was_never_made(lineage):
    lineage.feed([made(CLEAN, RAW)])
    asset = get_asset(lineage.read, RAW)
    assert (asset.state, asset.made, asset.latest, asset.first_seen) == ("", None, None, START)


def test_a_removed_asset_is_hidden_until_a_run_names_it_again(lineage):
    lineage.feed([made(CLEAN), AssetRemoved(id=new_id(), time=START + 1, asset=CLEAN)])
    assert assets(lineage.read) == []
    lineage.feed([made(CLEAN, at=2)])
    assert [asset.asset for asset in assets(lineage.read)] == [CLEAN]


def test_assets_are_found_by_a_part_of_their_key(lineage):
    lineage.feed([made(CLEAN), made("s3://lake/100%_real")])
    assert [asset.asset for asset in assets(lineage.read, text="%_")] == ["s3://lake/100%_real"]


def test_an_unknown_asset_is_answered_with_the_closest(lineage):
    lineage.feed([made(CLEAN)])
    with pytest.raises(AssetNotFound, match="Did you mean 's3://lake/clean'"):
        get_asset(lineage.read, "s3://lake/claen")
    with pytest.raises(AssetNotFound, match="Did you mean 's3://lake/clean'"):
        surroundings(lineage.read, "clean")


# --- edges --------------------------------------------------------------------------------------------------------


def test_an_edge_says_how_it_is_known_since_when_and_by_what(lineage):
    lineage.feed([made(CLEAN, RAW, at=at, evidence="future", run=f"r{at}") for at in (3, 1, 2)])
    (edge,) = whole_graph(lineage.read).edges
    assert (edge.upstream, edge.downstream, edge.evidence) == (RAW, CLEAN, "future")
    assert (edge.first_seen, edge.last_seen, edge.last_run, edge.seen) == (START + 1, START + 3, "r3", 3)


def test_each_kind_of_evidence_is_an_edge_of_its_own(lineage):
    lineage.feed([made(CLEAN, RAW), made(CLEAN, RAW, evidence="object")])
    assert [edge.evidence for edge in whole_graph(lineage.read).edges] == ["declared", "object"]


@pytest.mark.parametrize("kind", [AssetFailed, AssetMaterializing], ids=lambda kind: kind.type)
def test_what_made_no_data_adds_no_edge_and_erases_none(lineage, kind):
    """A run that failed before it read its input proves nothing about what the asset is made of."""
    lineage.feed([made(CLEAN, RAW), event(kind, CLEAN, "s3://lake/other", at=1), event(kind, REPORT, CLEAN)])
    assert pairs(whole_graph(lineage.read)) == {(RAW, CLEAN)}


@pytest.mark.parametrize("kind", [AssetCached, AssetDeclared, AssetObserved], ids=lambda kind: kind.type)
def test_whatever_states_a_dependency_adds_its_edge(lineage, kind):
    lineage.feed([event(kind, CLEAN, RAW)])
    assert pairs(whole_graph(lineage.read)) == {(RAW, CLEAN)}


def test_arguments_that_could_not_be_followed_are_told(lineage):
    """The edges may not be all: which arguments may come from assets nobody knows."""
    lineage.feed([made(CLEAN, unfollowed=("raw", "rates"))])
    assert get_asset(lineage.read, CLEAN).latest.unfollowed == ("raw", "rates")


def test_the_surroundings_go_so_many_steps_each_way(lineage):
    """Up from an asset and down from it, never sideways."""
    chain = [made(f"x://{at + 1}", f"x://{at}") for at in range(5)]
    lineage.feed([*chain, made("x://side", "x://0")])
    assert pairs(surroundings(lineage.read, "x://2")) == {(f"x://{at}", f"x://{at + 1}") for at in range(5)}
    near = surroundings(lineage.read, "x://2", upstream=1, downstream=2)
    assert {asset.asset for asset in near.assets} == {"x://1", "x://2", "x://3", "x://4"}


def test_circles_and_assets_made_of_themselves_end(lineage):
    lineage.feed([made("x://a", "x://b"), made("x://b", "x://a", "x://b")])
    assert pairs(surroundings(lineage.read, "x://a")) == {("x://b", "x://a"), ("x://a", "x://b"), ("x://b", "x://b")}


def test_an_answer_is_bounded_and_says_so(lineage):
    lineage.feed([made(f"x://{at}", "x://0") for at in range(1, 30)])
    graph = whole_graph(lineage.read, limit=10)
    assert (len(graph.assets), graph.whole) == (10, False)
    assert not surroundings(lineage.read, "x://0", limit=10).whole
    assert whole_graph(lineage.read).whole


def test_many_assets_are_read_in_parts(lineage):
    """More keys than a store takes in one query."""
    lineage.feed([made(f"x://{at}", "x://0") for at in range(1, 1300)])
    assert len(surroundings(lineage.read, "x://0").assets) == 1300


# --- history ------------------------------------------------------------------------------------------------------


def test_outcomes_are_kept_the_latest_first(lineage):
    lineage.feed([made(CLEAN, at=1, run="a"), event(AssetFailed, CLEAN, at=2, run="b"), made(RAW, at=3, run="c")])
    assert [(one.run, one.state) for one in materializations(lineage.read, CLEAN)] == [
        ("b", "failed"),
        ("a", "materialized"),
    ]
    assert [one.run for one in materializations(lineage.read, limit=1)] == ["c"]


def test_old_outcomes_are_forgotten_but_not_an_assets_latest(tmp_path):
    """The data made last year may be what is there now."""
    with PluginHarness(create, tmp_path, name="lineage", settings={"keep_days": "30"}) as lineage:
        lineage.feed([made(CLEAN, RAW, run=f"r{at}", at=at) for at in range(3)])
        lineage.tick(31 * 86_400)
        assert [one.run for one in materializations(lineage.read, CLEAN)] == ["r2"]
        assert get_asset(lineage.read, CLEAN).made.run == "r2"
        assert pairs(whole_graph(lineage.read)) == {(RAW, CLEAN)}


def test_configuration_is_checked():
    with pytest.raises(UnknownKey, match="keep_days"):
        create({"keep_day": 3})
    with pytest.raises(BadValue, match="keep_days"):
        create({"keep_days": "long"})


# --- for all ------------------------------------------------------------------------------------------------------

_key = st.sampled_from([f"x://{name}" for name in "abcd"])
_upstream = st.lists(st.tuples(_key, st.sampled_from(["declared", "future"])), max_size=2, unique=True)


def _history():
    common = {"time": st.integers(START, START + 5), "asset": _key, "id": st.uuids(version=4).map(lambda one: one.hex)}
    edges = _upstream.map(lambda found: tuple(UpstreamAsset(asset=key, evidence=why) for key, why in found))
    run = st.sampled_from(["r1", "r2", "r3"])
    linked = [
        st.builds(kind, **common, upstream=edges, run=run, rows=st.integers(0, 9))
        for kind in (AssetMaterialized, AssetFailed, AssetCached, AssetObserved)
    ]
    declared = st.builds(AssetDeclared, **common, upstream=edges, name=st.sampled_from(["", "n", "m"]))
    removed = st.builds(AssetRemoved, **common)
    return st.lists(st.one_of(*linked, declared, removed), max_size=15)


@given(_history(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_any_order_with_duplicates_and_restarts_comes_to_the_same_graph(tmp_path_factory, history, chance):
    """Rows of all tables are equal, to the last column."""
    rows = []
    for mixed in (False, True):
        with PluginHarness(create, tmp_path_factory.mktemp("lineage"), name="lineage") as harness:
            events = random_order(history, chance) if mixed else history
            for start in range(0, len(events), 4):
                harness.feed(events[start : start + 4])
                if mixed:
                    harness.restart()
            rows.append(harness.rows())
    assert rows[0] == rows[1]


def random_order(history, chance: random.Random):
    """Shuffled, and some of it twice."""
    again = [one for one in history if chance.random() < 0.3]
    mixed = [*history, *again]
    chance.shuffle(mixed)
    return mixed
