"""The graph drawn from top to bottom."""

from __future__ import annotations

from flowtell_lineage.reading import Asset, Edge, Graph
from flowtell_lineage.tree import downwards, made_of, used_by


def edge(upstream, downstream, evidence="declared"):
    return Edge(upstream=upstream, downstream=downstream, evidence=evidence, first_seen=1, last_seen=1)


def graph(*edges):
    keys = sorted({key for one in edges for key in (one.upstream, one.downstream)})
    return Graph(assets=tuple(Asset(asset=key, first_seen=1, last_seen=1) for key in keys), edges=edges)


def shape(node):
    return (f"{node.asset}*" if node.repeated else node.asset, [shape(child) for child in node.children])


def test_a_diamond_is_drawn_once_and_referred_to():
    """The branches of what is met twice stand where it is met first."""
    found = graph(edge("a", "b"), edge("a", "c"), edge("b", "d"), edge("c", "d"), edge("d", "e"))
    below_d = ("d", [("e", [])])
    assert [shape(tree) for tree in downwards(found)] == [("a", [("b", [below_d]), ("c", [("d*", [])])])]


def test_every_asset_is_in_some_tree():
    """Also those in a circle that no root leads to, and one made of itself."""
    trees = downwards(graph(edge("a", "b"), edge("x", "y"), edge("y", "x"), edge("z", "z")))
    assert [shape(tree) for tree in trees] == [("a", [("b", [])]), ("z", [("z*", [])]), ("x", [("y", [("x*", [])])])]


def test_one_asset_is_seen_from_both_sides():
    edges = [edge("a", "b"), edge("b", "c")]
    assert shape(made_of(edges, "c")) == ("c", [("b", [("a", [])])])
    assert shape(used_by(edges, "a")) == ("a", [("b", [("c", [])])])


def test_kinds_of_evidence_for_one_edge_stand_together():
    (tree,) = downwards(graph(edge("a", "b", "object"), edge("a", "b", "declared")))
    assert [(child.asset, child.evidence) for child in tree.children] == [("b", "declared, object")]


def test_a_chain_may_be_longer_than_pythons_stack():
    (tree,) = downwards(graph(*[edge(f"x{at:05}", f"x{at + 1:05}") for at in range(5000)]))
    steps = 0
    while tree.children:
        (tree,) = tree.children
        steps += 1
    assert steps == 5000
