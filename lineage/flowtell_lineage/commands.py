"""Look at the asset graph."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from flowtell.cli import cells
from flowtell.cli.options import Json
from flowtell.cli.session import Session, open_session
from flowtell_lineage.asking import COMMANDS
from flowtell_lineage.reading import Asset, Graph, get_asset, surroundings, whole_graph
from flowtell_lineage.tree import Node, downwards, made_of, used_by

app = App(name="lineage", help="Look at the asset graph.")
for _command in COMMANDS:
    app.command(_command)

EMPTY = (
    "No assets yet. Mark the task that makes data: @materialize('s3://bucket/key') instead of @task, "
    "run its flow, and look again."
)

SWITCHED_OFF = "No assets: the lineage plugin is switched off. Take it out of 'plugins.disable' in the configuration."


@app.command
def show(
    asset: Annotated[str, Parameter(help="Key of an asset, such as s3://lake/orders.parquet.")] = "",
    /,
    *,
    json: Json = False,
) -> None:
    """Show every asset as a tree; with an ASSET, what it is made of and what is made of it.

    In a pipe each line is an edge: upstream, downstream and evidence, divided by tabs. An asset that is made of nothing
    known stands alone in the second place, so that the second place names them all.
    """
    with open_session(json=json) as session:
        graph = surroundings(session.read, asset) if asset else whole_graph(session.read)
        if json:
            session.print_json(graph)
        elif not session.rich:
            _print_edges(session, graph)
        elif asset:
            _print_asset(session, get_asset(session.read, asset), graph)
        else:
            _print_trees(session, downwards(graph), graph)
        _say_what_is_missing(session, graph)


def _say_what_is_missing(session: Session, graph: Graph) -> None:
    if not graph.assets and not session.json:
        session.say(SWITCHED_OFF if "lineage" in session.config["plugins.disable"] else EMPTY)
    if not graph.whole:
        session.say(f"There is more than the {len(graph.assets):,} assets shown. Name one to see what is around it.")


def _print_edges(session: Session, graph: Graph) -> None:
    made = {edge.downstream for edge in graph.edges}
    for asset in graph.assets:
        if asset.asset not in made:
            session.print_row(("", asset.asset, ""))
    for edge in sorted(graph.edges, key=lambda edge: (edge.downstream, edge.upstream, edge.evidence)):
        session.print_row((edge.upstream, edge.downstream, edge.evidence))


def _print_asset(session: Session, asset: Asset, graph: Graph) -> None:
    session.print_facts(_facts(asset))
    for heading, node in (("Made of", made_of(graph.edges, asset.asset)), ("Used by", used_by(graph.edges, asset.asset))):
        if node.children:
            session.print_heading(heading)
            _print_trees(session, [node], graph)


def _facts(asset: Asset) -> list[tuple[str, cells.Value]]:
    latest, made = asset.latest, asset.made
    return [
        ("asset", asset.asset),
        ("name", asset.name),
        ("owners", ", ".join(asset.owners)),
        ("description", asset.description),
        ("state", asset.state or "never made by a run that flowtell saw"),
        ("error", latest.error.message if latest and latest.error else ""),
        ("last made", cells.moment(made.time if made else None)),
        ("made by", " / ".join(filter(None, (made.flow, made.task))) if made else ""),
        ("run", cells.short_id(made.run) if made else ""),
        ("rows", made.rows if made else None),
        ("size", cells.size(made.bytes if made else None)),
        ("not followed", ", ".join(latest.unfollowed) if latest else ""),
    ]


def _print_trees(session: Session, trees: list[Node], graph: Graph) -> None:
    from flowtell_lineage.drawing import drawn

    assets = {asset.asset: asset for asset in graph.assets}
    for tree in trees:
        session.console.print(drawn(tree, assets))
