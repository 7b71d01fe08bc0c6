"""The commands that ask the asset graph."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from flowtell.cli import cells
from flowtell.cli.options import Json
from flowtell.cli.progress import progress_bar
from flowtell.cli.session import Session, open_session
from flowtell.moments import moment
from flowtell_lineage import questions, signs
from flowtell_lineage.contract import breaches, read_contract
from flowtell_lineage.errors import WholeLogOnly
from flowtell_lineage.picture import mermaid, svg
from flowtell_lineage.questions import Difference, Explanation, Related
from flowtell_lineage.reading import View, surroundings, whole_graph

Key = Annotated[str, Parameter(help="Key of an asset, such as s3://lake/orders.parquet.")]
Steps = Annotated[int | None, Parameter(help="How many steps to go; all when not given.")]
AsOf = Annotated[str, Parameter(help="The graph as it was then: 2026-11-20, 2026-11-20T08:00, or 7d for seven days ago.")]
ContractFile = Annotated[Path, Parameter(help="A TOML file of required, forbidden and columns.")]
Mode = Annotated[
    Literal["union", "latest"],
    Parameter(help="All edges that were ever stated, or those of each asset's latest materialization."),
]


def upstream(asset: Key, /, *, steps: Steps = None, as_of: AsOf = "", mode: Mode = "union", json: Json = False) -> None:
    """List what an asset is made of, the nearest first."""
    with open_session(json=json) as session:
        found = questions.upstream(session.read, asset, steps=steps, view=_view(as_of, mode))
        _print_related(session, found, f"{asset} is made of nothing that flowtell knows.")


def downstream(asset: Key, /, *, steps: Steps = None, as_of: AsOf = "", mode: Mode = "union", json: Json = False) -> None:
    """List what is made of an asset, the nearest first."""
    with open_session(json=json) as session:
        found = questions.downstream(session.read, asset, steps=steps, view=_view(as_of, mode))
        _print_related(session, found, f"Nothing that flowtell knows is made of {asset}.")


def impact(
    asset: Key,
    /,
    *,
    as_of: AsOf = "",
    comma_separated: Annotated[bool, Parameter(name="--csv", help="Print CSV with a header.")] = False,
    json: Json = False,
) -> None:
    """List who is hit when an asset is wrong: all that is made of it, with owners and distance."""
    with open_session(json=json) as session:
        found = questions.impact(session.read, asset, view=_view(as_of))
        if comma_separated:
            _print_csv(found)
        else:
            _print_related(session, found, f"Nothing that flowtell knows is made of {asset}.")


def path(start: Key, end: Key, /, *, as_of: AsOf = "", json: Json = False) -> int:
    """Show a shortest way from one asset down to another. The exit code is 1 where there is none."""
    with open_session(json=json) as session:
        found = questions.path(session.read, start, end, view=_view(as_of))
        if json:
            session.print_json(found)
        elif found:
            for at, key in enumerate(found):
                session.print_text(f"{'  ' * at}{'└ ' if at else ''}{key}" if session.rich else key)
        else:
            session.say(f"No path leads from {start} to {end}.")
        return 0 if found else 1


def explain(start: Key, end: Key, /, *, as_of: AsOf = "", json: Json = False) -> int:
    """Tell how it is known that END is made of START: each kind of evidence, since when, and by which runs."""
    with open_session(json=json) as session:
        found = questions.explain(session.read, start, end, view=_view(as_of))
        if json:
            session.print_json(found)
        elif found.edges:
            _print_explanation(session, found)
        else:
            session.say(
                f"Nothing says that {end} is made of {start} itself; 'flowtell lineage path' looks for a longer way."
            )
        return 0 if found.edges else 1


def diff(
    before: Annotated[str, Parameter(help="The earlier moment: 2026-11-20, 2026-11-20T08:00, or 7d for seven days ago.")],
    after: Annotated[str, Parameter(help="The later moment; now when not given.")] = "",
    /,
    *,
    json: Json = False,
) -> None:
    """Tell what changed in the graph between two moments: assets, edges, columns."""
    with open_session(json=json) as session:
        found = questions.diff(session.read, _moment(before), _moment(after) if after else None)
        if json:
            session.print_json(found)
        elif found == Difference():
            session.say("Nothing changed.")
        else:
            _print_difference(session, found)


def export(
    asset: Annotated[str, Parameter(help="What to export around; the whole graph when not given.")] = "",
    /,
    *,
    form: Annotated[
        Literal["json", "mermaid", "svg", "openlineage"], Parameter(name=["--format", "-f"], help="How to write it.")
    ] = "json",
    as_of: AsOf = "",
) -> None:
    """Print the graph as JSON, as Mermaid's text or as an SVG picture, or all that the log has as OpenLineage events.

    The last is one event a line, of every asset and run that the log still holds; 'flowtell import openlineage' reads it.
    """
    if form == "openlineage":
        _export_events(asset, as_of)
        return
    with open_session(json=form == "json") as session:
        view = _view(as_of)
        graph = surroundings(session.read, asset, view=view) if asset else whole_graph(session.read, view=view)
        if form == "json":
            session.print_json(graph)
        else:
            session.print_text(mermaid(graph) if form == "mermaid" else svg(graph))
        if not graph.whole:
            session.say(
                f"There is more than the {len(graph.assets):,} assets exported. Name one to export what is around it."
            )


def _export_events(asset: str, as_of: str) -> None:
    from flowtell_lineage.openlineage.sending.exporting import exported

    if asset or as_of:
        raise WholeLogOnly
    with open_session(json=True) as session, progress_bar(session, "events") as advance:
        for text in exported(session.store.log, advance=advance):
            sys.stdout.write(f"{text}\n")


def check(contract: ContractFile, /, *, json: Json = False) -> int:
    """Check the graph against a contract, as CI does. The exit code is 1 where it is broken."""
    with open_session(json=json) as session:
        found = list(breaches(session.read, read_contract(contract)))
        if json:
            session.print_json(found)
        else:
            for breach in found:
                session.print_row((breach.kind, breach.what, " -> ".join(breach.path)))
            session.say(f"{contract} is broken in {len(found)} places." if found else f"{contract} holds.")
        return 1 if found else 0


COMMANDS = (upstream, downstream, impact, path, explain, diff, export, check)


def _view(as_of: str, mode: Literal["union", "latest"] = "union") -> View:
    return View(as_of=_moment(as_of) if as_of else None, mode=mode)


def _moment(text: str) -> int:
    return moment(text, time.time_ns() // 1000)


def _print_related(session: Session, found: list[Related], none: str) -> None:
    if session.json:
        session.print_json(found)
    elif found:
        session.print_table(("asset", "steps", "state", "made", "owners"), map(_row, found))
    else:
        session.say(none)


def _row(one: Related) -> tuple[cells.Value, ...]:
    return one.asset, one.distance, signs.cell(one.state), cells.moment(one.made), ", ".join(one.owners)


def _print_csv(found: Iterable[Related]) -> None:
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(("asset", "distance", "state", "made", "owners", "name", "kind"))
    for one in found:
        made = cells.moment(one.made).plain if one.made else ""
        table.writerow((one.asset, one.distance, one.state, made, ", ".join(one.owners), one.name, one.kind))


def _print_explanation(session: Session, found: Explanation) -> None:
    session.print_table(
        ("evidence", "first seen", "last seen", "times", "last run"),
        [
            (
                edge.evidence,
                cells.moment(edge.first_seen),
                cells.moment(edge.last_seen),
                edge.seen,
                cells.short_id(edge.last_run),
            )
            for edge in found.edges
        ],
    )
    for column in found.columns:
        session.print_row((column.upstream_column, column.downstream_column, column.transformation))


def _print_difference(session: Session, found: Difference) -> None:
    rows = [
        *(("+", "asset", key, "") for key in found.added),
        *(("-", "asset", key, "") for key in found.removed),
        *(("+", "edge", *pair) for pair in found.added_edges),
        *(("-", "edge", *pair) for pair in found.removed_edges),
        *(("+", "column", *pair) for pair in found.added_columns),
        *(("-", "column", *pair) for pair in found.lost_columns),
    ]
    session.print_table(("", "what", "asset", "downstream or column"), rows)
