"""The page `/asset?key=…`: one asset, what is around it, and all that is known of its data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dash import dcc, html

from flowtell.events import encode_value
from flowtell_dashboard import figures, pieces
from flowtell_dashboard.flows.page import address as flow_address
from flowtell_dashboard.lineage.page import not_installed
from flowtell_dashboard.lineage.picture import MOST, picture, short, twin
from flowtell_dashboard.lineage.question import AssetView, address
from flowtell_dashboard.lineage.standing import Standing, standing
from flowtell_dashboard.pieces import attributes
from flowtell_dashboard.told.sections import table

if TYPE_CHECKING:
    from flowtell.store.reading import Read
    from flowtell_lineage.catalogue import Check, Entry
    from flowtell_lineage.questions import Cause, ColumnEdge
    from flowtell_lineage.reading import Asset, Materialization, Neighbourhood

PARTS: Final = (
    ("asset-head", "children"),
    ("asset-picture", "data"),
    ("asset-picture-summary", "children"),
    ("asset-twin", "children"),
    ("asset-told", "children"),
    ("asset", "data-title"),
    ("asset", "data-found"),
)
"""What is filled in, in the order in which it is told."""

HISTORY: Final = 50
"""Attempts to make it that are shown, the latest."""
_COLUMNS: Final = 500
_CAUSES: Final = 10
_VALUE: Final = 500


class AssetPage(NamedTuple):
    """What the page shows, in the order of its callback's outputs."""

    head: Any
    picture: dict[str, Any] | None
    summary: Any
    twin: Any
    told: Any
    title: str
    found: str
    """`yes`, or `no` where only `head` has anything to say."""


def layout() -> Any:
    """The empty page; `assets/lineage.js` draws what `asset-picture` holds."""
    head = html.Div([html.H2("Made of, and made of it"), html.Span(id="asset-picture-summary")], className="section-head")
    frame = html.Div(id="lineage-frame", tabIndex=0, role="group", **attributes(aria_label="Assets around this one"))
    drawn = html.Section([head, frame, html.Div(id="asset-twin")], id="asset-drawn")
    parts = [
        dcc.Store(id="asset-picture"),
        html.Div(id="asset-head"),
        drawn,
        html.Div(id="asset-told", className="sections"),
    ]
    return html.Article(parts, id="asset", **attributes(data_found="unknown"))


def read_asset_page(read: Read, view: AssetView) -> AssetPage:
    """Everything that the page shows, by bounded queries. Of an asset that is not there it says so."""
    try:
        from flowtell_lineage import catalogue, questions, reading
        from flowtell_lineage.errors import AssetNotFound
    except ImportError:
        return AssetPage(not_installed(), None, None, None, None, "Assets", "no")
    try:
        entry = catalogue.get_entry(read, view.key)
        key = entry.asset.asset
        found = reading.neighbourhood(read, key, grown=view.grown, limit=MOST)
        checks = catalogue.checks_of(read, key)
    except AssetNotFound as error:
        return _missing(error.wanted, error.suggestion)
    history = reading.materializations(read, key, limit=HISTORY + 1)
    told = [
        _columns(entry.asset, questions.columns_of(read, key)[:_COLUMNS]),
        _checks(checks),
        _history(history),
    ]
    return AssetPage(
        head=_head(entry, questions.staleness(read, key).causes),
        picture=picture(found, view, key, _stands(read, found)),
        summary=_summary(found, view),
        twin=twin(found),
        told=[part for part in told if part is not None],
        title=entry.asset.name or short(key),
        found="yes",
    )


def _stands(read: Read, found: Neighbourhood) -> dict[str, Standing]:
    """How each asset of the picture stands."""
    from flowtell_lineage import catalogue

    keys = [node.key for node in found.nodes]
    stale, failing = catalogue.stale_since(read, keys), catalogue.failing_checks(read, keys)
    return {
        node.key: standing(node.state, node.materialized, stale=node.key in stale, failing=failing.get(node.key, 0))
        for node in found.nodes
    }


def _missing(key: str, closest: str) -> AssetPage:
    hint = [" Did you mean ", pieces.link(html.Code(closest), address(closest)), "?"] if closest else []
    told = html.P(["No run has named ", html.Code(key), ".", *hint] if key else "The address names none.")
    head = pieces.notice(html.H1("Asset not found"), told, html.P(pieces.link("See all assets", "/assets")))
    return AssetPage(head, None, None, None, None, "Asset not found", "no")


# --- head ---------------------------------------------------------------------------------------------------------


def _head(entry: Entry, causes: Sequence[Cause]) -> Any:
    asset = entry.asset
    stands = standing_of(entry)
    crumbs = html.Nav(
        [
            pieces.link("Assets", "/assets"),
            html.Span("/", **attributes(aria_hidden="true")),
            html.Span(asset.asset.partition("://")[0]),
        ],
        className="crumbs",
        **attributes(aria_label="Place"),
    )
    title = html.Div([html.H1(asset.name or short(asset.asset)), stands.shown()], className="title")
    described = [html.P(asset.description, className="lead")] if asset.description else []
    facts = [html.Div([html.Dt(name), html.Dd(value)]) for name, value in _facts(asset) if value not in ("", None, [])]
    sheet = html.Section([html.Dl(facts, className="facts"), _why(causes), _unfollowed(asset)], className="sheet")
    return html.Header([crumbs, title, *described, pieces.why(asset.asset), sheet])


def standing_of(entry: Entry) -> Standing:
    made = entry.asset.made.time if entry.asset.made else None
    return standing(entry.asset.state, made, stale=entry.stale_since is not None, failing=entry.failing)


def _facts(asset: Asset) -> list[tuple[str, Any]]:
    made, last = asset.made, asset.latest or asset.made
    return [
        ("Key", html.Code(asset.asset)),
        ("Last made", [pieces.moment(made.time), " ", pieces.moment(made.time, "ago")] if made else "never here"),
        ("By", _maker(last) if last else ""),
        ("Rows", f"{made.rows:,}" if made and made.rows is not None else ""),
        ("Size", figures.size(made.bytes) if made else ""),
        ("Version", made.version if made else ""),
        ("Partition", made.partition if made else ""),
        ("Times made", f"{asset.materializations:,}" if asset.materializations else ""),
        ("Kind", asset.kind),
        ("Owners", ", ".join(asset.owners)),
        ("Tags", ", ".join(asset.tags)),
        ("First named", pieces.moment(asset.first_seen, "ago")),
    ]


def _maker(last: Materialization) -> Any:
    flow = [pieces.link(last.flow, flow_address(last.flow, last.environment))] if last.flow else []
    run = [", " * bool(flow), pieces.link("its run", f"/runs/{last.run}")] if last.run else []
    return [*flow, *run]


_WORDS: Final = {
    "data": "was made since",
    "dependencies": "was declared since, and its last run did not state it",
    "upstream": "is stale itself",
    "missing": "It has never been made.",
    "code": "The code that makes it has changed since.",
}


def _why(causes: Sequence[Cause]) -> Any:
    """Why it is older than what it is made of."""
    if not causes:
        return None
    shown = [
        html.Li([pieces.link(html.Code(cause.asset), address(cause.asset)), f" {_WORDS[cause.kind]}", *_since(cause)])
        if cause.asset
        else html.Li([_WORDS.get(cause.kind, cause.kind), *_versions(cause)])
        for cause in causes[:_CAUSES]
    ]
    more = [html.Li(f"and {len(causes) - _CAUSES:,} more")] if len(causes) > _CAUSES else []
    return html.Div([html.H2("Why it is not fresh"), html.Ul([*shown, *more])], className="why-stale")


def _versions(cause: Cause) -> list[Any]:
    return [f" It was made by version {cause.was}; now it is {cause.now}."] if cause.was else []


def _since(cause: Cause) -> list[Any]:
    return [", ", pieces.moment(cause.since, "ago")] if cause.since else []


def _unfollowed(asset: Asset) -> Any:
    names = asset.made.unfollowed if asset.made else ()
    if not names:
        return None
    said = f"Its last run was handed data that nobody could follow: {', '.join(names[:20])}. There may be more upstream."
    return html.P(said, className="quiet")


def _summary(found: Neighbourhood, view: AssetView) -> Any:
    count = f"{len(found.nodes):,} asset{'s' * (len(found.nodes) != 1)}"
    rest = "" if found.whole else f"; there are more, and a picture holds {MOST}"
    again = [" ", pieces.link("Only its neighbours", address(view.key))] if view.grown else []
    return [f"{count}{rest}", *again]


# --- what is told -------------------------------------------------------------------------------------------------


def _section(title: str, note: str, content: Any) -> Any:
    head = html.Div([html.H2(title), html.Span(note)], className="section-head")
    return html.Section([head, content], **attributes(data_part=title))


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """Without the columns that nothing is in."""
    kept = [at for at in range(len(names)) if any(row[at] not in ("", None) for row in rows)]
    return table([names[at] for at in kept], [[row[at] for at in kept] for row in rows])


def _columns(asset: Asset, origins: Sequence[ColumnEdge]) -> Any:
    """Columns with their types and what they are made of; those of an upstream alone where no run told any."""
    known = {column.name: column.type for column in (asset.made.columns if asset.made else ())}
    from_: dict[str, list[Any]] = {}
    for one in origins:
        from_.setdefault(one.downstream_column, []).append(_origin(one))
    names = list(dict.fromkeys((*known, *from_)))
    if not names:
        return None
    rows = [[html.Code(name), known.get(name, ""), from_.get(name, "")] for name in names[:_COLUMNS]]
    return _section("Columns", f"{len(names):,}", _table(("Column", "Type", "Made of"), rows))


def _origin(one: ColumnEdge) -> Any:
    said = f" {one.transformation}" if one.transformation else ""
    column = html.Code(f"{short(one.upstream)}.{one.upstream_column}")
    return html.Div([pieces.link(column, address(one.upstream)), html.Span(said, className="quiet")])


def _checks(found: Sequence[Check]) -> Any:
    if not found:
        return None
    rows = [
        [
            Standing("completed", "Passed").shown() if one.passed else Standing("failed", "Failed").shown(),
            one.check,
            one.column or one.partition,
            one.severity,
            html.Code(encode_value(one.value).decode()[:_VALUE]) if one.value is not None else "",
            [pieces.moment(one.time, "ago"), " ", pieces.link("run", f"/runs/{one.run}") if one.run else ""],
        ]
        for one in found
    ]
    bad = sum(not one.passed for one in found)
    note = f"{bad:,} of {len(found):,} failed" if bad else f"{len(found):,}, all passed"
    return _section("Checks", note, _table(("Result", "Check", "Of", "Severity", "Found", "When"), rows))


_ENDS: Final = {"materialized": Standing("completed", "Made"), "cached": Standing("cached", "Cached")}


def _history(found: Sequence[Materialization]) -> Any:
    if not found:
        return None
    rows = [
        [
            [pieces.moment(one.time, "short"), " ", pieces.moment(one.time, "ago")],
            _ENDS[one.state].shown() if one.state in _ENDS else pieces.state(one.state),
            pieces.link(one.flow or "its run", f"/runs/{one.run}") if one.run else one.flow,
            one.task,
            f"{one.rows:,}" if one.rows is not None else "",
            figures.size(one.bytes),
            " ".join(part for part in (one.version, one.partition) if part),
            f"{one.error.type}: {one.error.message}"[:_VALUE] if one.error else "",
        ]
        for one in found[:HISTORY]
    ]
    note = f"the latest {HISTORY}" if len(found) > HISTORY else f"{len(found):,}"
    names = ("When", "How it ended", "Run", "Task", "Rows", "Size", "Version", "Error")
    return _section("Materializations", note, _table(names, rows))
