"""Where each asset of a picture stands: columns in the direction of the data, rows with few crossings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable
from itertools import pairwise
from typing import Final

import networkx as nx

Edge = tuple[str, str]
"""Upstream, downstream."""
Cell = Hashable
"""An asset's key, or an edge and a column that it passes through."""

SWEEPS: Final = 4
MOST_BENDS: Final = 2_000
"""In a picture with more places where an edge passes a column, edges go straight."""


class Grid:
    """Columns and rows. What is in a circle stands in one column; a long edge has a cell in each that it passes."""

    def __init__(self, keys: Collection[str], edges: Iterable[Edge]) -> None:
        """Edges to what is not among the keys are passed over."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(sorted(keys))
        graph.add_edges_from(edge for edge in sorted(edges) if graph.has_node(edge[0]) and graph.has_node(edge[1]))
        self._column = _columns(graph)
        self._cells: defaultdict[int, list[Cell]] = defaultdict(list)
        for key in graph:
            self._cells[self._column[key]].append(key)
        self._ways = self._find_ways(list(graph.edges))
        self._rows: dict[Cell, float] = {}
        self._order()

    @property
    def columns(self) -> int:
        return len(self._cells)

    @property
    def rows(self) -> int:
        """Cells of the fullest column."""
        return max(map(len, self._cells.values()), default=0)

    def place(self, key: str) -> tuple[int, float]:
        """Column, and row from the middle."""
        return self._column[key], self._rows[key]

    def bends(self, upstream: str, downstream: str) -> list[float]:
        """The rows through which the edge goes in the columns between its ends."""
        return [self._rows[cell] for cell in self._ways[upstream, downstream][1:-1]]

    def _find_ways(self, edges: list[Edge]) -> dict[Edge, list[Cell]]:
        between = {edge: range(self._column[edge[0]] + 1, self._column[edge[1]]) for edge in edges}
        if sum(map(len, between.values())) > MOST_BENDS:
            return {edge: list(edge) for edge in edges}
        for edge, passed in between.items():
            for column in passed:
                self._cells[column].append((edge, column))
        return {edge: [edge[0], *((edge, column) for column in between[edge]), edge[1]] for edge in edges}

    def _order(self) -> None:
        """Barycentre sweeps: a cell goes to the middle of its neighbours on the side from which the sweep comes."""
        before, after = defaultdict[Cell, list[Cell]](list), defaultdict[Cell, list[Cell]](list)
        for way in self._ways.values():
            for near, far in pairwise(way):
                before[far].append(near)
                after[near].append(far)
        for cells in self._cells.values():
            self._number(cells)
        for sweep in range(SWEEPS):
            sides = after if sweep % 2 else before
            for column in sorted(self._cells, reverse=bool(sweep % 2)):
                cells = self._cells[column]
                middles = {cell: self._middle(cell, sides[cell]) for cell in cells}
                cells.sort(key=middles.__getitem__)
                self._number(cells)

    def _number(self, cells: list[Cell]) -> None:
        self._rows.update((cell, row - (len(cells) - 1) / 2) for row, cell in enumerate(cells))

    def _middle(self, cell: Cell, near: Collection[Cell]) -> float:
        return sum(self._rows[each] for each in near) / len(near) if near else self._rows[cell]


def _columns(graph: nx.DiGraph[str]) -> dict[str, int]:
    """The longest way from what has nothing upstream; what begins a way stands right before what is made of it."""
    whole = nx.condensation(graph)
    order = list(nx.topological_sort(whole))
    at: dict[int, int] = {}
    for part in order:
        at[part] = max((at[up] + 1 for up in whole.predecessors(part)), default=0)
    for part in reversed(order):
        if not whole.in_degree(part) and whole.out_degree(part):
            at[part] = min(at[down] for down in whole.successors(part)) - 1
    return {key: at[part] for part in order for key in whole.nodes[part]["members"]}
