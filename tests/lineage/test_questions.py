"""What people ask of the graph, through a real log and runner."""

from __future__ import annotations

import pytest

from flowtell.events import (
    AssetChecked,
    AssetDeclared,
    AssetFailed,
    AssetMaterialized,
    AssetObserved,
    AssetRemoved,
    Column,
    ColumnSource,
    FlowDeclared,
    FlowRunStarted,
    UpstreamAsset,
)
from flowtell.ids import new_id
from flowtell.testing import FakeClock, PluginHarness
from flowtell_lineage import questions
from flowtell_lineage.errors import AssetNotFound
from flowtell_lineage.plugin import create
from flowtell_lineage.reading import View, get_asset, neighbourhood, whole_graph

START = FakeClock().now
A, B, C, D, E = (f"x://{name}" for name in "abcde")


@pytest.fixture
def lineage(tmp_path):
    with PluginHarness(create, tmp_path, name="lineage") as harness:
        yield harness


def event(kind, asset, *upstream, at=0, evidence="future", **fields):
    edges = tuple(UpstreamAsset(asset=key, evidence=evidence) for key in upstream)
    return kind(id=new_id(), time=START + at, asset=asset, **({"upstream": edges} if edges else {}), **fields)


def made(asset, *upstream, **fields):
    return event(AssetMaterialized, asset, *upstream, **{"run": "r1", "flow": "nightly", "task": "load", **fields})


def diamond():
    """A to d by b and by c, and e below d."""
    return [made(B, A), made(C, A), made(D, B, C), made(E, D)]


def keys(found):
    return [(one.asset, one.distance) for one in found]


def test_walks_go_one_way_with_exact_distances(lineage):
    """The shortest way counts, and a longer one does not lead to the asset twice."""
    lineage.feed([*diamond(), made(E, A)])
    assert keys(questions.downstream(lineage.read, A)) == [(B, 1), (C, 1), (E, 1), (D, 2)]
    assert keys(questions.upstream(lineage.read, D)) == [(B, 1), (C, 1), (A, 2)]
    assert keys(questions.downstream(lineage.read, A, steps=1)) == [(B, 1), (C, 1), (E, 1)]


def test_impact_names_owners(lineage):
    lineage.feed([*diamond(), event(AssetDeclared, E, owners=("ada",), name="Report")])
    (hit,) = [one for one in questions.impact(lineage.read, A) if one.asset == E]
    assert (hit.distance, hit.owners, hit.name, hit.state) == (3, ("ada",), "Report", "materialized")


def test_a_path_is_a_shortest_one_or_none(lineage):
    lineage.feed(diamond())
    assert questions.path(lineage.read, A, E) in {(A, B, D, E), (A, C, D, E)}
    assert questions.path(lineage.read, E, A) == ()
    assert questions.path(lineage.read, A, A) == (A,)
    with pytest.raises(AssetNotFound):
        questions.path(lineage.read, A, "x://nowhere")


def test_circles_end(lineage):
    lineage.feed([made(A, C), made(B, A), made(C, B, C)])
    assert keys(questions.downstream(lineage.read, A)) == [(B, 1), (C, 2)]
    assert questions.path(lineage.read, B, A) == (B, C, A)


def test_a_neighbourhood_counts_what_it_hides(lineage):
    lineage.feed([*diamond(), *(made(f"x://wide/{at}", D) for at in range(5))])
    near = neighbourhood(lineage.read, B, up=1, down=1)
    nodes = {node.key: node for node in near.nodes}
    assert {key: node.distance for key, node in nodes.items()} == {A: -1, B: 0, D: 1}
    assert (nodes[A].hidden_down, nodes[D].hidden_up, nodes[D].hidden_down) == (1, 1, 6)
    assert [(edge.upstream, edge.downstream) for edge in near.edges] == [(A, B), (B, D)]
    small = neighbourhood(lineage.read, D, up=1, down=1, limit=4)
    assert (len(small.nodes), small.whole, near.whole) == (4, False, True)


def test_the_root_cause_is_the_topmost_of_what_fails(lineage):
    """What fails below it is its consequence; what fails beside the way is no cause."""
    lineage.feed(
        [
            *diamond(),
            made("x://beside", A),
            *(event(AssetFailed, key, at=5, state="failed") for key in (B, D, "x://beside")),
        ]
    )
    (cause,) = questions.root_causes(lineage.read, E)
    assert (cause.asset, cause.why, cause.distance, cause.path) == (B, "failed", 2, (B, D, E))
    assert [one.asset for one in questions.root_causes(lineage.read, E, late=[C])] == [B, C]
    assert questions.root_causes(lineage.read, A) == []


def test_a_failed_check_is_a_cause_and_a_warning_is_none(lineage):
    checked = {"asset": A, "passed": False, "time": START}
    lineage.feed([*diamond(), AssetChecked(id=new_id(), check="fresh", severity="warn", **checked)])
    assert questions.root_causes(lineage.read, E) == []
    lineage.feed([AssetChecked(id=new_id(), check="not_null", severity="error", **checked)])
    assert [(one.asset, one.why) for one in questions.root_causes(lineage.read, E)] == [(A, "check not_null")]


def test_a_circle_that_fails_is_its_own_cause(lineage):
    lineage.feed([made(A, B), made(B, A), made(C, B), *(event(AssetFailed, key, at=5) for key in (A, B, C))])
    assert [one.asset for one in questions.root_causes(lineage.read, C)] == [B, A]


def test_staleness_tells_its_cause(lineage):
    """Data made since, a dependency that the last run did not have, and an upstream that is stale itself."""
    lineage.feed([made(A, at=0), made(B, A, at=1), made(C, B, at=2)])
    assert questions.staleness(lineage.read, C).causes == ()
    lineage.feed([made(A, at=5), event(AssetDeclared, C, D, at=6)])
    assert [(one.kind, one.asset) for one in questions.staleness(lineage.read, B).causes] == [("data", A)]
    found = questions.staleness(lineage.read, C)
    assert [(one.kind, one.asset) for one in found.causes] == [("dependencies", D), ("upstream", B)]


def test_code_that_has_another_version_by_now_makes_data_stale(lineage):
    """As the flow that made it is declared now, or as the caller says that it would be made."""

    def declared(version, at, environment=""):
        return FlowDeclared(id=new_id(), time=START + at, flow="nightly", version=version, environment=environment)

    def started(version, run):
        return FlowRunStarted(id=new_id(), time=START, run=run, flow="nightly", version=version)

    lineage.feed([declared("1.4", 0), started("1.4", "r1"), made(A, at=1)])
    assert questions.staleness(lineage.read, A).causes == ()
    (cause,) = questions.staleness(lineage.read, A, code="2.0").causes
    assert (cause.kind, cause.was, cause.now) == ("code", "1.4", "2.0")
    lineage.feed([declared("2.0", 3), declared("3.0", 3, "staging")])
    (cause,) = questions.staleness(lineage.read, A).causes
    assert (cause.was, cause.now) == ("1.4", "2.0")
    assert questions.staleness(lineage.read, A, view=View(as_of=START + 2)).causes == ()
    lineage.feed([started("2.0", "r2"), made(A, at=4, run="r2")])
    assert questions.staleness(lineage.read, A).causes == ()


def test_where_no_version_was_stated_code_is_no_cause(lineage):
    lineage.feed([FlowRunStarted(id=new_id(), time=START, run="r1", flow="nightly"), made(A, at=1)])
    assert questions.staleness(lineage.read, A, code="2.0").causes == ()


def test_latest_is_what_the_last_materialization_stated(lineage):
    """And all of it is still in the union, and in the run that stated it. A failure changes nothing."""
    lineage.feed([made(C, A, run="r1"), made(C, B, at=1, run="r2"), event(AssetFailed, C, A, at=2, run="r3")])

    def pairs(**view):
        return {(one.upstream, one.downstream) for one in whole_graph(lineage.read, view=View(**view)).edges}

    assert pairs() == {(A, C), (B, C)}
    assert pairs(mode="latest") == {(B, C)}
    assert pairs(mode="latest", as_of=START) == {(A, C)}
    assert pairs(mode="run", run="r1") == {(A, C)}
    assert pairs(mode="run", run="r3") == set()


def test_a_removed_asset_cuts_its_paths(lineage):
    """Those that go on are stated again; the past keeps them."""
    lineage.feed([*diamond(), AssetRemoved(id=new_id(), time=START + 1, asset=D)])
    assert keys(questions.downstream(lineage.read, A)) == [(B, 1), (C, 1)]
    assert get_asset(lineage.read, E).asset == E
    assert questions.path(lineage.read, A, E, view=View(as_of=START))
    lineage.feed([made(D, B, at=2)])
    assert keys(questions.downstream(lineage.read, A)) == [(B, 1), (C, 1), (D, 2)]


def test_aliases_are_one_node(lineage):
    """What one pipeline calls s3a another calls by its table's name."""
    lineage.feed([made(B, A), made(C, "x://other-b"), event(AssetDeclared, B, at=1, aliases=("x://other-b",))])
    assert questions.path(lineage.read, A, C) == (A, B, C)
    assert get_asset(lineage.read, "x://other-b").asset == B
    assert keys(questions.upstream(lineage.read, C)) == [(B, 1), (A, 2)]


def test_an_edge_is_explained_by_its_runs_and_columns(lineage):
    """Those that stated it, the latest first."""
    columns = (Column(name="total", origins=(ColumnSource(asset=A, column="price", transformation="sum"),)),)
    lineage.feed([made(B, A, at=at, run=f"r{at}", columns=columns) for at in range(3)])
    lineage.feed([event(AssetObserved, B, A, evidence="declared", at=9)])
    found = questions.explain(lineage.read, A, B)
    assert [(edge.evidence, edge.seen) for edge in found.edges] == [("declared", 1), ("future", 3)]
    assert found.runs == ("r2", "r1", "r0")
    (column,) = found.columns
    assert (column.upstream_column, column.downstream_column, column.transformation) == ("price", "total", "sum")
    assert questions.explain(lineage.read, B, A).edges == ()


def test_a_run_knows_whose_data_it_read_and_who_read_its_own(lineage):
    """By what was there when it read, not by what came later."""
    lineage.feed(
        [
            made(A, at=0, run="old"),
            made(A, at=1, run="w", version="7"),
            made(B, A, at=2, run="r"),
            made(A, at=3, run="later"),
            made(C, B, at=4, run="next"),
        ]
    )
    links = {(one.writer, one.reader, one.asset, one.version) for one in questions.run_graph(lineage.read, "r")}
    assert links == {("w", "r", A, "7"), ("r", "next", B, "")}


def test_a_difference_tells_assets_edges_and_lost_columns(lineage):
    columns = tuple(Column(name=name) for name in ("id", "email"))
    lineage.feed([made(B, A, columns=columns), made(C, A), made(B, D, at=5, columns=columns[:1])])
    lineage.feed([AssetRemoved(id=new_id(), time=START + 6, asset=C)])
    found = questions.diff(lineage.read, START)
    assert (found.added, found.removed) == ((D,), (C,))
    assert (found.added_edges, found.removed_edges) == (((D, B),), ((A, C),))
    assert (found.lost_columns, found.added_columns) == (((B, "email"),), ())


def test_the_graph_is_handed_out_as_networkx(lineage):
    lineage.feed([*diamond(), event(AssetObserved, B, A, evidence="declared")])
    graph = questions.digraph(lineage.read)
    assert graph[A][B]["evidences"] == ["declared", "future"]
    assert set(questions.digraph(lineage.read, B).nodes) == {A, B, D, E}
