"""The picture of an asset's surroundings as the browser draws it, and the same as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from dash import html

from flowtell_dashboard import pieces
from flowtell_dashboard.lineage.layout import Grid
from flowtell_dashboard.lineage.question import AssetView, Way, address
from flowtell_dashboard.lineage.standing import Standing
from flowtell_dashboard.told.sections import table

if TYPE_CHECKING:
    from flowtell_lineage.reading import Link, Neighbourhood, Node

MOST: Final = 200
"""Assets of one picture."""

SAID: Final = frozenset({"declared", "explicit", "manual", "column"})
"""Evidence that somebody wrote down. Other evidence is what runs did, save `wait_for`, which is order alone."""


def picture(found: Neighbourhood, view: AssetView, here: str, stands: Mapping[str, Standing]) -> dict[str, Any]:
    """What `assets/lineage.js` draws: places in columns and rows, edges between the numbers of assets.

    Args:
        here: the key of the asset in the middle.
        stands: how each asset stands.
    """
    pairs = [(edge.upstream, edge.downstream) for edge in found.edges]
    grid = Grid([node.key for node in found.nodes], pairs)
    numbers = {node.key: number for number, node in enumerate(found.nodes)}
    return {
        "columns": grid.columns,
        "rows": grid.rows,
        "nodes": [_node(node, grid, view, here, stands[node.key]) for node in found.nodes],
        "edges": [
            {
                "from": numbers[edge.upstream],
                "to": numbers[edge.downstream],
                "bends": grid.bends(edge.upstream, edge.downstream),
                "words": ", ".join(edge.evidences),
                "kind": kind_of(edge),
            }
            for edge in found.edges
        ],
    }


def kind_of(edge: Link) -> str:
    """How sure it is: `seen` in a run, `said` by somebody, or only that one `waits` for the other."""
    known = set(edge.evidences)
    if known == {"wait_for"}:
        return "waits"
    return "said" if known <= SAID | {"wait_for"} else "seen"


def _node(node: Node, grid: Grid, view: AssetView, here: str, stands: Standing) -> dict[str, Any]:
    column, row = grid.place(node.key)
    more: list[tuple[Way, int]] = [("up", node.hidden_up), ("down", node.hidden_down)]
    return {
        "key": node.key,
        "title": node.name or short(node.key),
        "here": node.key == here,
        "href": address(node.key),
        "column": column,
        "row": row,
        "state": stands.state,
        "word": stands.word,
        "made": node.materialized,
        "more": [{"way": way, "count": count, "href": view.grow(node.key, way).link()} for way, count in more if count],
    }


def short(key: str) -> str:
    """The last parts of a key, which tell it from its neighbours."""
    rest = key.partition("://")[2] or key
    return "/".join(rest.rstrip("/").split("/")[-2:]) or key


def twin(found: Neighbourhood) -> Any:
    """The picture's edges as a table."""
    rows = [[_linked(edge.upstream), _linked(edge.downstream), ", ".join(edge.evidences)] for edge in found.edges]
    if not rows:
        return None
    listed = table(("Made of", "Asset", "Known by"), rows)
    return html.Details([html.Summary(f"As a table ({len(rows):,} edges)"), listed], className="twin")


def _linked(key: str) -> Any:
    return pieces.link(html.Code(key), address(key))
