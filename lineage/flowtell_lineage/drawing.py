"""Nodes of the forest as trees of rich: what a person sees on a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text
from rich.tree import Tree

from flowtell.cli import cells
from flowtell_lineage.reading import Asset, Materialization
from flowtell_lineage.signs import sign
from flowtell_lineage.tree import Node


def drawn(root: Node, assets: Mapping[str, Asset]) -> Tree:
    """The tree below `root`, guides dim, each asset with how it was made last."""
    top = Tree(label(root, assets), guide_style="dim")
    open_ones = [(top, root)]
    while open_ones:
        branch, node = open_ones.pop()
        open_ones += [(branch.add(label(child, assets)), child) for child in node.children]
    return top


def label(node: Node, assets: Mapping[str, Asset]) -> Text:
    asset = assets.get(node.asset)
    text = Text.assemble((node.asset, "bold"), no_wrap=True, overflow="ellipsis")
    if node.repeated:
        text.append("  as above", "dim")
    elif asset and asset.latest:
        text.append_text(outcome(asset.latest, asset))
    if node.evidence:
        text.append(f"  {node.evidence}", "dim italic")
    return text


def outcome(latest: Materialization, asset: Asset) -> Text:
    """Sign and state of the latest attempt, when it was, and how many rows the data has that is there."""
    mark, style = sign(latest.state)
    text = Text.assemble("  ", (f"{mark} {latest.state.replace('_', ' ')}", style))
    text.append(f"  {cells.moment(latest.time).shown}", "dim")
    if asset.made and asset.made.rows is not None:
        text.append(f"  {asset.made.rows:,} rows", "dim")
    return text
