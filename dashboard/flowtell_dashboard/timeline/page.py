"""The page `/timeline`: controls, the picture, and the same as a table. Its script is `assets/timeline*.js`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dash_mantine_components as dmc
from dash import html

from flowtell.store.reading import list_flows
from flowtell_dashboard import pieces
from flowtell_dashboard.pieces import attributes
from flowtell_dashboard.states import LOOKS
from flowtell_dashboard.timeline.index import Index

if TYPE_CHECKING:
    from flowtell.store.reading import Read

WINDOWS: Final = ("1h", "6h", "24h", "7d", "30d")

CONTROLS: Final = (
    "text",
    "state",
    "by",
    "order",
    "last",
    "fold",
    "flow",
    "deployment",
    "tag",
    "owner",
    "source",
    "environment",
)
"""Controls by what their value is called in the address."""

NAMED: Final = ("flow", "deployment", "tag", "owner", "source", "environment")
"""Those that offer the names there are."""

_CHOICES: Final = 2_000

_BY: Final = {"flow": "Flow", "deployment": "Deployment", "tag": "Tag", "source": "Source", "all": "All in one"}
_ORDER: Final = {"trouble": "Failures first", "name": "By name", "runs": "Most runs first"}
_KEYS: Final = (
    ("← →  or  A D", "move in time"),
    ("+ \N{MINUS SIGN}  or  W S", "zoom in and out"),
    ("Scroll with Ctrl, or pinch", "zoom at the pointer"),
    ("Drag", "move; with Shift, zoom to what is marked"),
    ("Click a bar", "open the run; a column: zoom in on it"),
    ("N  P", "next and previous failure"),
    ("F", "fold idle time, or unfold"),
    ("0  or  Home", "back to now"),
    ("Ctrl K", "go to a page, a flow, an asset, or a run by its id"),
    ("?", "show and hide this"),
)


class Choices(NamedTuple):
    """Names that the filters offer, in the order of `NAMED`."""

    flow: list[str]
    deployment: list[str]
    tag: list[str]
    owner: list[str]
    source: list[str]
    environment: list[str]


def layout() -> Any:
    """The empty page; the script draws as soon as it is there."""
    return html.Div(
        [
            html.H1("Timeline", className="unseen"),
            _controls(),
            html.Div([html.P(id="timeline-summary", role="status"), _buttons()], className="over-table"),
            _picture(),
            html.Div(id="timeline-instead"),
            _help(),
            html.Details([html.Summary("As a table"), html.Div(id="timeline-table")], className="twin"),
        ],
        id="timeline",
    )


def _controls() -> Any:
    states = [{"value": name, "label": shown.word} for name, shown in LOOKS.items()]
    return html.Div(
        [
            html.Div(
                [
                    dmc.TextInput(
                        id="tl-text", label="Search", placeholder="Flow, run, deployment, tag, owner or id", debounce=250
                    ),
                    dmc.MultiSelect(id="tl-state", label="State", data=states, placeholder="Any", clearable=True),
                    dmc.Select(id="tl-by", label="Lanes", data=_options(_BY), allowDeselect=False),
                    dmc.Select(id="tl-order", label="Order", data=_options(_ORDER), allowDeselect=False),
                ],
                className="filters timeline-filters",
                role="search",
            ),
            html.Details(
                [
                    html.Summary("More filters"),
                    html.Div([_named(name) for name in NAMED], className="filters more-filters"),
                ],
                id="timeline-more",
            ),
        ]
    )


def _options(words: dict[str, str]) -> list[dict[str, str]]:
    return [{"value": value, "label": label} for value, label in words.items()]


def _named(name: str) -> Any:
    return dmc.Select(
        id=f"tl-{name}", label=name.capitalize(), data=[], placeholder="Any", clearable=True, searchable=True, limit=100
    )


def _buttons() -> Any:
    window = dmc.SegmentedControl(
        id="tl-last", data=[*WINDOWS, {"value": "", "label": "Own"}], value="24h", size="xs", **attributes(aria_label="Time")
    )
    fold = dmc.Switch(id="tl-fold", label="Fold idle time", size="sm")
    moves = (
        ("out", "\N{MINUS SIGN}", "Zoom out"),
        ("in", "+", "Zoom in"),
        ("earlier", "\N{LEFTWARDS ARROW}", "Earlier"),
        ("later", "\N{RIGHTWARDS ARROW}", "Later"),
    )
    buttons = [
        html.Button(sign, className="move", title=words, **attributes(data_move=name, aria_label=words))
        for name, sign, words in moves
    ]
    keys = html.Button("?", className="move", title="Keys", **attributes(data_move="help", aria_label="Keys"))
    return html.Div([window, fold, html.Span([*buttons, keys], className="moves")], className="timeline-buttons")


def _picture() -> Any:
    """The strip of a longer time, then lanes; all drawn by the script. Their twin for readers is the table."""
    strip = html.Canvas(id="timeline-strip", **attributes(aria_hidden="true"))
    lanes = html.Div(
        [
            html.Canvas(id="timeline-axis", **attributes(aria_hidden="true")),
            html.Div(
                [
                    html.Div(id="timeline-labels"),
                    html.Canvas(id="timeline-canvas", **attributes(aria_hidden="true")),
                    html.Div(id="timeline-height"),
                ],
                id="timeline-lanes",
                tabIndex="0",
                role="region",
                **attributes(aria_label="Runs over time; the table below says the same. Press ? for keys"),
            ),
        ],
        className="timeline-frame",
    )
    return html.Div(
        [
            strip,
            lanes,
            html.Div(id="timeline-tip", role="tooltip", hidden=True),
            html.Div(id="timeline-colours", hidden=True),
        ],
        id="timeline-picture",
    )


def _help() -> Any:
    rows = [html.Div([html.Dt(keys), html.Dd(what)]) for keys, what in _KEYS]
    return html.Div([html.H2("Keys"), html.Dl(rows)], id="timeline-help", className="notice", hidden=True)


def read_choices(read: Read, index: Index) -> Choices:
    """The names of what is declared or has run."""
    flows = list_flows(read, limit=_CHOICES)
    with index.lock:
        kinds = list(index.kinds.all)
    return Choices(
        flow=_sorted([*(each.flow for each in flows), *(kind.flow for kind in kinds)]),
        deployment=_sorted(kind.deployment for kind in kinds),
        tag=_sorted(tag for kind in kinds for tag in kind.tags),
        owner=_sorted(owner for each in flows for owner in each.owners),
        source=_sorted(kind.source or "flowtell" for kind in kinds),
        environment=_sorted([*(each.environment for each in flows), *(kind.environment for kind in kinds)]),
    )


def _sorted(names: Any) -> list[str]:
    return sorted({name for name in names if name})[:_CHOICES]


def loading() -> Any:
    """What stands there until the first picture."""
    return pieces.notice(html.H2("Reading the runs"), html.P("The picture comes as soon as they are in memory."))
