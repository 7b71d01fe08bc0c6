"""The page `/assets`: the catalogue, from the public read models of flowtell-lineage, where that is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dash_mantine_components as dmc
from dash import html

from flowtell_dashboard import pieces
from flowtell_dashboard.grid import column, grid
from flowtell_dashboard.lineage.question import AssetFilter, address
from flowtell_dashboard.lineage.standing import standing

if TYPE_CHECKING:
    from flowtell.store.reading import Read
    from flowtell_lineage.catalogue import Entry

PARTS: Final = (
    ("assets", "rowData"),
    ("assets-summary", "children"),
    ("assets-pages", "children"),
    ("assets-instead", "children"),
)
"""What is filled in, in the order in which it is told."""

SHOWN: Final = 200
"""Assets of one page of the catalogue."""

CHOICES: Final = {"stale": "Stale", "failed": "Failed", "unmade": "Not made here"}

_COLUMNS: Final = [
    column("word", "State", cell="State", width=160, sortable=True),
    column("asset", "Asset", cell="AssetLink", flex=3, minWidth=240, sortable=True),
    column("made", "Last made", cell="Made", width=150, sortable=True),
    column("rows", "Rows", cell="Amount", width=110, sortable=True),
    column("times", "Times made", cell="Times", width=120, sortable=True),
    column("flow", "Made by", cell="MadeBy", flex=1, minWidth=130, sortable=True),
    column("owners", "Owners", flex=1, minWidth=120, sortable=True, tooltipField="owners"),
]


class Catalogue(NamedTuple):
    """What the page shows, in the order of its callback's outputs."""

    rows: list[dict[str, Any]]
    summary: str
    pages: list[Any]
    instead: Any


def layout() -> Any:
    """The empty page; filters take their values from the URL as soon as they are there."""
    return html.Div(
        [
            html.H1("Assets", className="unseen"),
            _filters(),
            html.Div(
                [html.P(id="assets-summary", role="status"), html.Div(id="assets-pages", className="pages")],
                className="over-table",
            ),
            html.Div(grid("assets", "Assets", _COLUMNS, enableBrowserTooltips=True), className="table"),
            html.Div(id="assets-instead"),
        ],
        className="overview",
    )


def _filters() -> Any:
    only = [{"value": name, "label": word} for name, word in CHOICES.items()]
    return html.Div(
        [
            dmc.TextInput(id="assets-text", label="Search", placeholder="Part of a key or a name", debounce=250),
            dmc.TextInput(id="assets-owner", label="Owner", placeholder="Any", debounce=250),
            dmc.Select(id="assets-only", label="State", data=only, placeholder="Any", clearable=True),
        ],
        className="filters asset-filters",
        role="search",
    )


def read_catalogue(read: Read, wanted: AssetFilter) -> Catalogue:
    """Everything that the page shows, by bounded queries; that the distribution is missing, where it is."""
    try:
        from flowtell_lineage.catalogue import catalogue
    except ImportError:
        return Catalogue([], "", [], not_installed())
    asked = {"text": wanted.text, "owner": wanted.owner}
    found = catalogue(read, **asked, only=wanted.only, after=wanted.after, limit=SHOWN + 1)
    shown, more = found[:SHOWN], len(found) > SHOWN
    return Catalogue(
        rows=[row(one) for one in shown],
        summary=_summary(len(shown), wanted, more=more),
        pages=_pages(wanted, shown[-1].asset.asset if more else ""),
        instead=None if shown else _instead(wanted),
    )


def not_installed() -> Any:
    """What stands where assets would."""
    return pieces.notice(
        html.H2("No assets are kept here"),
        html.P(["Install ", html.Code("flowtell-lineage"), ", and start the server again."]),
    )


def row(one: Entry) -> dict[str, Any]:
    """An asset as the table takes it."""
    asset, made = one.asset, one.asset.made
    last = asset.latest or made
    stands = standing(asset.state, made.time if made else None, stale=one.stale_since is not None, failing=one.failing)
    return {
        "id": asset.asset,
        "href": address(asset.asset),
        "state": stands.state,
        "word": stands.word,
        "asset": asset.asset,
        "name": asset.name,
        "made": made.time if made else None,
        "rows": made.rows if made else None,
        "times": asset.materializations,
        "flow": last.flow if last else "",
        "run": last.run if last else "",
        "owners": ", ".join(asset.owners),
    }


def _summary(shown: int, wanted: AssetFilter, *, more: bool) -> str:
    matching = " that match" if wanted.narrows else ""
    place = ", in the order of their keys" if more or wanted.after else ""
    return f"{shown:,}{'+' * more} asset{'s' * (shown != 1)}{matching}{place}" if shown else ""


def _pages(wanted: AssetFilter, last: str) -> list[Any]:
    links = [pieces.link("← First", wanted.link(after=""))] if wanted.after else []
    return [*links, pieces.link("Next →", wanted.link(after=last))] if last else links


EXAMPLE: Final = """\
from flowtell import flow, materialize

@materialize("s3://lake/orders.parquet")
def orders():
    ...

@flow
def nightly():
    orders()"""


def _instead(wanted: AssetFilter) -> Any:
    """What stands where no asset does."""
    if wanted.narrows or wanted.after:
        everything = pieces.link("Show all assets", "/assets")
        return pieces.notice(html.H2("No asset matches"), html.P(["These filters leave none over. ", everything]))
    return pieces.notice(
        html.H2("No assets yet"),
        html.P("Say which data a task makes, and its runs show up here:"),
        html.Pre(html.Code(EXAMPLE)),
        html.P("Airflow, dbt and Spark send theirs as OpenLineage events to /api/v1/lineage."),
    )
