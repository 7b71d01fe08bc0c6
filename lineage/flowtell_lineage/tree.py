"""The graph as a forest to be read from top to bottom: each asset's branches are drawn once, where it is met first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from flowtell_lineage.reading import Edge, Graph

Links = Mapping[str, Sequence[tuple[str, str]]]
"""For each asset the next ones, each with the evidence that joins them."""


class Node:
    """An asset in one place of the forest. `repeated` where its branches stand further up."""

    __slots__ = ("asset", "children", "evidence", "repeated")

    def __init__(self, asset: str, evidence: str = "") -> None:
        self.asset, self.evidence = asset, evidence
        self.children: list[Node] = []
        self.repeated = False


def downwards(graph: Graph) -> list[Node]:
    """From the assets that are made of nothing known to all that is made of them; a circle begins at its first key."""
    links = links_of((edge.upstream, edge.downstream, edge.evidence) for edge in graph.edges)
    keys = sorted(asset.asset for asset in graph.assets)
    made = {edge.downstream for edge in graph.edges if edge.upstream != edge.downstream}
    return _grown(links, [*(key for key in keys if key not in made), *keys])


def made_of(edges: Iterable[Edge], asset: str) -> Node:
    """What the asset is made of, and that of what."""
    return _grown(links_of((edge.downstream, edge.upstream, edge.evidence) for edge in edges), [asset])[0]


def used_by(edges: Iterable[Edge], asset: str) -> Node:
    """What is made of the asset, and what of that."""
    return _grown(links_of((edge.upstream, edge.downstream, edge.evidence) for edge in edges), [asset])[0]


def links_of(edges: Iterable[tuple[str, str, str]]) -> Links:
    """From, to and evidence, grouped by from; several kinds of evidence for one pair are one link."""
    found: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for near, far, evidence in sorted(edges):
        found[near][far].append(evidence)
    return {
        near: [(far, ", ".join(filter(None, evidence))) for far, evidence in fars.items()] for near, fars in found.items()
    }


def _grown(links: Links, roots: Iterable[str]) -> list[Node]:
    """A tree for each root that no earlier tree has. Without recursion: chains are as long as people make them."""
    shown: set[str] = set()
    trees = []
    for root in roots:
        if root not in shown:
            trees.append(Node(root))
            _grow(trees[-1], links, shown)
    return trees


def _grow(root: Node, links: Links, shown: set[str]) -> None:
    open_ones = [root]
    while open_ones:
        node = open_ones.pop()
        further = links.get(node.asset, ())
        if node.asset in shown:
            node.repeated = bool(further)
            continue
        shown.add(node.asset)
        node.children = [Node(asset, evidence) for asset, evidence in further]
        open_ones += reversed(node.children)
