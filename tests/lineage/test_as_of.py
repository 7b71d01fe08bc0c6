"""The graph as of any moment is the graph of the events up to then: checked against a fold written apart."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowtell.events import (
    AssetCached,
    AssetDeclared,
    AssetFailed,
    AssetMaterialized,
    AssetObserved,
    AssetRemoved,
    UpstreamAsset,
)
from flowtell.ids import new_id
from flowtell.testing import FakeClock, PluginHarness
from flowtell_lineage.plugin import create
from flowtell_lineage.questions import digraph
from flowtell_lineage.reading import View, whole_graph

START = FakeClock().now
KEYS = [f"x://{name}" for name in "abcde"]
DAY = 86_400


def graph_of(history) -> tuple[set[str], set[tuple[str, str, str]]]:
    """Assets and edges that the events leave: an asset's removal takes it and whatever touches it away."""
    present: set[str] = set()
    edges: set[tuple[str, str, str]] = set()
    for event in history:
        if isinstance(event, AssetRemoved):
            present.discard(event.asset)
            edges = {edge for edge in edges if event.asset not in edge[:2]}
            continue
        present.add(event.asset)
        if not isinstance(event, AssetFailed):
            present.update(up.asset for up in event.upstream)
            edges |= {(up.asset, event.asset, up.evidence) for up in event.upstream}
    return present, edges


def _upstream():
    pair = st.tuples(st.sampled_from(KEYS), st.sampled_from(["declared", "future"]))
    listed = st.lists(pair, max_size=3, unique=True)
    return listed.map(lambda found: tuple(UpstreamAsset(asset=key, evidence=why) for key, why in found))


@st.composite
def logs(draw):
    """A log in the order of its writers' clocks, each event a second after the one before."""
    events = []
    for at in range(draw(st.integers(1, 14))):
        common = {"id": new_id(), "time": START + at * 1_000_000, "asset": draw(st.sampled_from(KEYS))}
        kind = draw(
            st.sampled_from([AssetMaterialized, AssetFailed, AssetCached, AssetObserved, AssetDeclared, AssetRemoved])
        )
        events.append(kind(**common) if kind is AssetRemoved else kind(**common, upstream=draw(_upstream()), run=f"r{at}"))
    return events


def read_back(lineage, view):
    graph = whole_graph(lineage.read, view=view)
    return {one.asset for one in graph.assets}, {(edge.upstream, edge.downstream, edge.evidence) for edge in graph.edges}


@given(logs())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_as_of_any_prefix_is_the_graph_of_that_prefix(tmp_path_factory, history):
    """And now is as of the last event."""
    with PluginHarness(create, tmp_path_factory.mktemp("as_of"), name="lineage") as lineage:
        lineage.feed(history)
        for length in range(1, len(history) + 1):
            expected = graph_of(history[:length])
            view = View(as_of=history[length - 1].time)
            assert read_back(lineage, view) == expected
            pairs = {edge[:2] for edge in expected[1]}
            assert set(digraph(lineage.read, view=view).edges) == pairs
        assert read_back(lineage, View()) == graph_of(history)


@given(logs())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_a_run_shows_what_it_alone_stated(tmp_path_factory, history):
    with PluginHarness(create, tmp_path_factory.mktemp("run"), name="lineage") as lineage:
        lineage.feed(history)
        for event in history:
            if not isinstance(event, AssetRemoved):
                assert read_back(lineage, View(mode="run", run=event.run))[1] == graph_of([event])[1]


def test_after_compaction_the_past_is_right_at_each_days_end(tmp_path):
    """Of ten days with an hourly run, a sighting a day is kept, and what was stated by hand stays."""
    day = DAY * 1_000_000
    start = START - START % day
    history = [
        AssetMaterialized(
            id=new_id(),
            time=start + hour * 3_600_000_000,
            asset="x://a",
            run=f"r{hour}",
            upstream=(UpstreamAsset(asset=f"x://{hour // 24}", evidence="manual" if hour == 3 else "future"),),
        )
        for hour in range(240)
    ]
    with PluginHarness(create, tmp_path, name="lineage", settings={"keep_days": "1"}) as lineage:
        lineage.feed(history)
        before = len(lineage.rows()["lineage_sightings"])
        lineage.tick(40 * DAY)
        assert len(lineage.rows()["lineage_sightings"]) <= before / 10
        for number in range(10):
            end = start + (number + 1) * day - 1
            assert read_back(lineage, View(as_of=end)) == graph_of([one for one in history if one.time <= end])
        assert ("x://0", "x://a", "manual") in read_back(lineage, View())[1]
