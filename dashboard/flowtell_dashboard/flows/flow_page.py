"""The page `/flow?name=…`: one flow over its last runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qs, urlencode

from dash import dcc, html

from flowtell.store.reading import Run, list_flows
from flowtell_dashboard import figures, pieces
from flowtell_dashboard.filters import RunFilter
from flowtell_dashboard.flows.history import TASKS_OF, TaskSummary, points, read_history, read_tasks
from flowtell_dashboard.grid import column, grid
from flowtell_dashboard.pieces import attributes
from flowtell_dashboard.timeline.index import Index

if TYPE_CHECKING:
    from flowtell.store.reading import Flow, Read

PARTS: Final = (
    ("flow-head", "children"),
    ("flow-points", "data"),
    ("flow-tasks", "rowData"),
    ("flow-tasks-summary", "children"),
    ("flow", "data-title"),
)
"""What is filled in, in the order in which it is told."""

CHARTS: Final = (("duration", "How long it took"), ("delay", "How late it began"), ("memory", "Peak memory"))

_FLOWS: Final = 20_000
_NEXT: Final = 5
_LONGEST: Final = 200
_COLUMNS: Final = [
    column("task", "Task", flex=2, minWidth=160, sortable=True),
    column("part", "Part of the time", cell="Part", width=180, sortable=True),
    column("median", "Usually takes", cell="Median", width=130, sortable=True),
    column("slow", "95 of 100", cell="Slow", width=110, sortable=True),
    column("runs", "Runs", width=90, sortable=True),
    column("bad", "Ended badly", width=120, sortable=True),
    column("retries", "Retries", width=100, sortable=True),
    column("memory", "Peak memory", width=130),
]


class FlowPage(NamedTuple):
    """What the page shows, in the order of its callback's outputs."""

    head: Any
    points: dict[str, list[Any]]
    tasks: list[dict[str, Any]]
    tasks_summary: str
    title: str


def layout() -> Any:
    """The empty page; `assets/charts.js` draws what `flow-points` holds."""
    charts = [
        html.Section(
            [html.H2(words), html.Canvas(className="chart", **attributes(data_chart=name, aria_hidden="true"))],
            className="sheet chart-sheet",
            **attributes(data_of=name),
        )
        for name, words in CHARTS
    ]
    return html.Article(
        [
            dcc.Store(id="flow-points"),
            html.Div(id="flow-head"),
            html.Div([*charts, html.Div(id="chart-tip", role="tooltip", hidden=True)], className="charts", id="flow-charts"),
            html.Section(
                [
                    html.Div([html.H2("Tasks"), html.Span(id="flow-tasks-summary")], className="section-head"),
                    html.Div(grid("flow-tasks", "Tasks", _COLUMNS), className="table"),
                ]
            ),
        ],
        id="flow",
    )


def wanted(search: str | None) -> tuple[str, str]:
    """Flow and environment that an address names; an empty environment is any."""
    given = parse_qs((search or "").removeprefix("?"), max_num_fields=20)
    name, environment = (given.get(key, [""])[-1][:_LONGEST] for key in ("name", "environment"))
    return name, environment


def read_flow_page(read: Read, index: Index, asked: tuple[str, str], now: int) -> FlowPage:
    """Everything that the page shows, by bounded queries."""
    flow, environment = asked
    found = read_history(read, flow, environment)
    declared = [each for each in list_flows(read, limit=_FLOWS) if each.flow == flow]
    declared = [each for each in declared if not environment or each.environment == environment]
    tasks = read_tasks(read, found)
    return FlowPage(
        head=_head(flow, environment, found, declared[0] if declared else None, _due(index, asked)),
        points=points(found, now),
        tasks=[_task_row(one) for one in tasks],
        tasks_summary=f"of the last {min(len(found), TASKS_OF)} runs" if tasks else "No task was called.",
        title=flow,
    )


def _due(index: Index, asked: tuple[str, str]) -> list[int]:
    """When the next runs are due."""
    flow, environment = asked
    with index.lock:
        index.refresh()
        kinds = index.kinds.all
        due = [
            one.due
            for one in index.ahead.values()
            if kinds[one.kind].flow == flow and environment in ("", kinds[one.kind].environment)
        ]
    return sorted(due)[:_NEXT]


def _head(flow: str, environment: str, found: Sequence[Run], declared: Flow | None, due: Sequence[int]) -> Any:
    crumbs = html.Nav(
        [pieces.link("Flows", "/flows"), html.Span("/", **attributes(aria_hidden="true")), html.Span(environment)],
        className="crumbs",
        **attributes(aria_label="Place"),
    )
    if not found and declared is None:
        told = html.P("No flow of this name has run here. Names are told apart by upper and lower case.")
        return pieces.notice(html.H1(flow or "Which flow?"), told, html.P(pieces.link("See all flows", "/flows")))
    facts: list[tuple[str, Any]] = [
        ("Version", declared.version if declared else ""),
        ("Owners", ", ".join(declared.owners) if declared else ""),
        ("Tags", ", ".join(declared.tags) if declared else ""),
        ("Rules", ", ".join(rule.kind for rule in declared.rules) if declared else ""),
        ("Code", f"{declared.code.get('file', '')}:{declared.code.get('line', '')}" if declared and declared.code else ""),
        ("Next due", [html.Span([pieces.moment(moment), " "]) for moment in due] if due else ""),
    ]
    shown = [html.Div([html.Dt(name), html.Dd(value)]) for name, value in facts if value not in ("", None)]
    links = [
        pieces.link("All its runs", RunFilter(flow=flow, environment=environment).link()),
        pieces.link("On the timeline", "/timeline?" + urlencode({"flow": flow, "by": "deployment"})),
    ]
    description = [html.P(declared.description)] if declared and declared.description else []
    return html.Header(
        [
            crumbs,
            html.Div([html.H1(flow), html.Span(links, className="links")], className="title"),
            *description,
            html.Dl(shown, className="facts sheet") if shown else None,
        ]
    )


def _task_row(one: TaskSummary) -> dict[str, Any]:
    return {
        "id": one.task,
        "task": one.task,
        "part": one.part,
        "median": one.median,
        "slow": one.slow,
        "runs": one.runs,
        "bad": one.bad,
        "retries": one.retries,
        "memory": figures.size(one.memory),
    }
