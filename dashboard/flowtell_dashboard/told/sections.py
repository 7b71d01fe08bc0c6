"""The story of a run as parts of its page. Each part that has nothing to say is left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from dash import html

from flowtell.events import encode_value
from flowtell_dashboard import figures, pieces
from flowtell_dashboard.lineage.question import address
from flowtell_dashboard.pieces import attributes
from flowtell_dashboard.told.markdown import markdown

if TYPE_CHECKING:
    from flowtell_dashboard.told.story import Artifact, Change, Measure, Step, Story, Touched

SHOWN: Final = 200
"""Rows of one part, and of a table that a flow left."""

_LONGEST: Final = 20_000
_CELL: Final = 500


def sections(story: Story) -> Any:
    """All parts, in the order in which one asks for them."""
    parts = [
        _section("State history", _HISTORY, [_change_row(change) for change in story.changes]),
        _section("Measures", _MEASURES, [_measure_row(measure) for measure in story.measures]),
        _section("Assets", _ASSETS, [_asset_row(asset) for asset in story.assets]),
        _section("Transactions", _TRANSACTIONS, [_step_row(step) for step in story.transactions]),
        _artifacts(story.artifacts),
    ]
    shown = [part for part in parts if part is not None]
    if story.more:
        shown.append(html.P("This run told more than is shown here; flowtell events has all of it.", className="quiet"))
    return html.Div(shown, className="sections")


_HISTORY: Final = ("Time", "State", "Cause")
_MEASURES: Final = ("Measure", "Task", "Last", "Least to most", "Times")
_TRANSACTIONS: Final = ("Time", "Transaction", "Key", "Tasks", "Error")
_ASSETS: Final = ("Asset", "How", "Task", "Amount", "Evidence")


def _section(title: str, columns: Sequence[str], rows: list[list[Any]]) -> Any:
    if not rows:
        return None
    return html.Section([_title(title, len(rows)), table(columns, rows[:SHOWN])], **attributes(data_part=title))


def _title(title: str, count: int) -> Any:
    many = f"{SHOWN} of {count:,}" if count > SHOWN else f"{count:,}"
    return html.Div([html.H2(title), html.Span(many)], className="section-head")


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """A plain table; on a narrow screen its cells stand below one another."""
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in columns]))
    body = html.Tbody([html.Tr(_labelled(columns, row)) for row in rows])
    return html.Table([head, body], className="plain-table labelled")


def _labelled(columns: Sequence[str], row: Sequence[Any]) -> list[Any]:
    """Cells that say which column they are of, for where there is no room for columns."""
    return [html.Td(cell, **attributes(data_label=name)) for name, cell in zip_longest(columns, row, fillvalue="")]


def _change_row(change: Change) -> list[Any]:
    late = html.Span(" after its end, changed nothing", className="quiet") if change.contrary else ""
    return [pieces.moment(change.time), [pieces.state(change.state), late], change.cause]


def _measure_row(measure: Measure) -> list[Any]:
    unit = f" {measure.unit}" if measure.unit else ""
    between = f"{number(measure.least)} to {number(measure.most)}" if measure.times > 1 else ""
    return [measure.name, measure.task or "the flow itself", f"{number(measure.value)}{unit}", between, f"{measure.times:,}"]


def _step_row(step: Step) -> list[Any]:
    return [pieces.moment(step.time), step.how, step.key, ", ".join(step.tasks[:20]), step.error]


def number(value: float) -> str:
    """With the digits that tell something."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,.6g}"


def _asset_row(asset: Touched) -> list[Any]:
    amount = [f"{asset.rows:,} rows" if asset.rows is not None else "", figures.size(asset.bytes)]
    often = f" {asset.times:,} times" if asset.times > 1 else ""
    said = html.Ul([html.Li(one) for one in asset.evidence[:20]]) if asset.evidence else ""
    return [
        pieces.link(html.Code(asset.asset), address(asset.asset)),
        asset.how + often,
        asset.task,
        ", ".join(part for part in amount if part),
        said,
    ]


# --- artifacts ----------------------------------------------------------------------------------------------------


def _artifacts(artifacts: Sequence[Artifact]) -> Any:
    """The last of each key: an artifact that is written anew, as progress is, takes the place of the one before."""
    if not artifacts:
        return None
    last = {(each.task, each.key or each.id): each for each in artifacts}
    shown = [_artifact(each) for each in list(last.values())[:SHOWN]]
    return html.Section([_title("Artifacts", len(last)), *shown], **attributes(data_part="Artifacts"))


def _artifact(artifact: Artifact) -> Any:
    said = html.Span([" ", artifact.kind, " ", artifact.task, " ", pieces.moment(artifact.time)], className="quiet")
    described = html.P(artifact.description, className="quiet") if artifact.description else None
    parts = [html.H3([artifact.key or "no key", said]), described, _content(artifact)]
    return html.Div([part for part in parts if part is not None], className="artifact")


def _content(artifact: Artifact) -> Any:
    data = artifact.data
    if artifact.kind == "markdown" and isinstance(data, str):
        return markdown(data[:_LONGEST])
    if artifact.kind == "progress" and isinstance(data, int | float):
        return _progress(float(data))
    if artifact.kind == "link":
        return _link(data)
    if artifact.kind == "table" and (rows := _rows(data)):
        return rows
    return html.Pre(data[:_LONGEST] if isinstance(data, str) else encode_value(data).decode()[:_LONGEST])


def _progress(percent: float) -> Any:
    value = min(max(percent, 0.0), 100.0) if math.isfinite(percent) else 0.0
    words = f"{number(value)} %"
    return html.P([html.Progress(value=str(value), max="100", **attributes(aria_label=words)), " ", words])


def _link(data: Any) -> Any:
    """Nothing but a web page is linked: what a flow wrote may be any address."""
    given = data if isinstance(data, Mapping) else {"link": data}
    address = str(given.get("link") or given.get("url") or "")
    words = str(given.get("text") or address)[:_CELL]
    if not address.startswith(("http://", "https://")):
        return html.Code(words)
    return html.A(words, href=address[:2000], target="_blank", rel="noreferrer noopener")


def _rows(data: Any) -> Any:
    """Rows as mappings or lists, or columns by name; None for what is no table."""
    if isinstance(data, Mapping) and all(isinstance(column, list) for column in data.values()):
        data = [dict(zip(data, row, strict=False)) for row in zip(*data.values(), strict=False)]
    if not isinstance(data, list) or not data:
        return None
    if not all(isinstance(row, Mapping | list) for row in data):
        return None
    names = list(dict.fromkeys(str(name) for row in data[:SHOWN] if isinstance(row, Mapping) for name in row))
    cells = [_cells(row, names) for row in data[:SHOWN]]
    more = html.P(f"{SHOWN} of {len(data):,} rows", className="quiet") if len(data) > SHOWN else None
    return html.Div([table(names, cells), more] if more else [table(names, cells)], className="table")


def _cells(row: Any, names: Sequence[str]) -> list[str]:
    values = [row.get(name) for name in names] if isinstance(row, Mapping) else row
    return ["" if value is None else _cell(value) for value in values]


def _cell(value: Any) -> str:
    return (value if isinstance(value, str) else encode_value(value).decode())[:_CELL]
