"""The picture of assets: data goes from left to right, and nothing stands on anything."""

from __future__ import annotations

import random

from flowtell_dashboard.lineage.layout import Grid


def test_data_goes_to_the_right():
    """Each asset is right of all it is made of, and what begins a way stands right before its first."""
    grid = Grid("abcdx", [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), ("x", "d")])
    assert {key: grid.place(key)[0] for key in "abcdx"} == {"a": 0, "b": 1, "c": 2, "x": 2, "d": 3}
    assert (grid.columns, grid.rows) == (4, 2)


def test_a_long_edge_passes_between_the_assets():
    grid = Grid("abc", [("a", "b"), ("b", "c"), ("a", "c")])
    (bend,) = grid.bends("a", "c")
    assert grid.place("b") == (1, -bend)
    assert grid.bends("a", "b") == []


def test_edges_do_not_cross_that_need_not():
    """Two ways side by side, whatever the order of their names."""
    grid = Grid(["a1", "a2", "b1", "b2"], [("a1", "b2"), ("a2", "b1")])
    assert [grid.place(key)[1] for key in ("a1", "a2")] == [grid.place(key)[1] for key in ("b2", "b1")]


def test_circles_and_lone_assets_have_a_place():
    grid = Grid("abcd", [("a", "b"), ("b", "a"), ("b", "b"), ("b", "c"), ("c", "elsewhere")])
    assert [grid.place(key)[0] for key in "abcd"] == [0, 0, 1, 0]
    assert Grid([], []).rows == 0


def test_two_hundred_assets_with_every_edge_there_can_be():
    """Each has a cell of its own; with so many edges they go straight."""
    keys = [f"{number:03}" for number in range(200)]
    edges = [(up, down) for up in keys for down in keys if up < down]
    grid = Grid(keys, edges)
    assert len({grid.place(key) for key in keys}) == 200
    assert grid.bends("000", "199") == []


def test_any_graph_is_laid_out_the_same_in_any_order():
    chance = random.Random(5)
    keys = [f"k{number}" for number in range(60)]
    edges = [tuple(chance.sample(keys, 2)) for _ in range(90)]
    first = Grid(keys, edges)
    chance.shuffle(keys)
    chance.shuffle(edges)
    again = Grid(keys, edges)
    assert [again.place(key) for key in keys] == [first.place(key) for key in keys]
    assert len(set(map(first.place, keys))) == 60
