"""The list of runs at `/`: how it stands, filters, and the newest runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dash_mantine_components as dmc
from dash import html

from flowtell.store.reading import Run, TaskRunCount, count_task_runs, list_flows, list_runs
from flowtell_dashboard import counts, pieces
from flowtell_dashboard.filters import WINDOWS, RunFilter
from flowtell_dashboard.grid import column, grid
from flowtell_dashboard.neighbours import Neighbours
from flowtell_dashboard.states import LOOKS, look
from flowtell_dashboard.tiles import tiles

if TYPE_CHECKING:
    from flowtell.store.reading import Read

PARTS: Final = (
    ("tiles", "children"),
    ("runs", "rowData"),
    ("summary", "children"),
    ("pages", "children"),
    ("instead", "children"),
    ("filter-flow", "data"),
    ("filter-environment", "data"),
)
"""What is filled in, in the order in which it is told."""

SHOWN: Final = 100
"""Runs of one page of the list."""

_COLUMNS: Final = [
    column("state", "State", cell="State", width=140),
    column("flow", "Flow and run", cell="RunLink", flex=3, minWidth=200),
    column("started", "Started", cell="Started", width=250),
    column("duration", "Duration", cell="Duration", width=120),
    column("tasks", "Tasks", cell="Tasks", width=90),
    column("environment", "Environment", flex=1, minWidth=110),
    column("source", "Source", flex=1, minWidth=100),
]

FIRST_RUN: Final = """\
from flowtell import flow, task

@task
def greet(name):
    print(f"Hello {name}")

@flow(log_prints=True)
def hello():
    greet("world")

hello()"""


class Overview(NamedTuple):
    """What the page shows, in the order of its callback's outputs."""

    tiles: list[Any]
    rows: list[dict[str, Any]]
    summary: str
    pages: list[Any]
    instead: Any
    flows: list[str]
    environments: list[str]


def layout() -> Any:
    """The empty page; filters take their values from the URL as soon as they are there."""
    return html.Div(
        [
            html.H1("Runs", className="unseen"),
            html.Div(id="tiles", className="tiles"),
            _filters(),
            html.Div(
                [html.P(id="summary", role="status"), html.Div(id="pages", className="pages")],
                className="over-table",
            ),
            html.Div(grid("runs", "Runs", _COLUMNS), id="runs-table", className="table"),
            html.Div(id="instead"),
        ],
        className="overview",
    )


def _filters() -> Any:
    states = [{"value": name, "label": shown.word} for name, shown in LOOKS.items()]
    windows = [{"value": name, "label": words} for name, (words, _) in WINDOWS.items()]
    return html.Div(
        [
            dmc.TextInput(id="filter-text", label="Search", placeholder="Flow, run name or id", debounce=250),
            dmc.MultiSelect(id="filter-state", label="State", data=states, placeholder="Any", clearable=True),
            dmc.Select(id="filter-flow", label="Flow", data=[], placeholder="Any", clearable=True, searchable=True),
            dmc.Select(id="filter-environment", label="Environment", data=[], placeholder="Any", clearable=True),
            dmc.Select(id="filter-since", label="Started", data=windows, allowDeselect=False),
        ],
        className="filters",
        role="search",
    )


def read_overview(read: Read, wanted: RunFilter, now: int, around: Neighbours | None = None) -> Overview:
    """Everything that the page shows, in a handful of bounded queries."""
    found = list_runs(
        read,
        flow=wanted.flow,
        state=wanted.state,
        environment=wanted.environment,
        text=wanted.text,
        since=wanted.begins(now),
        before=wanted.place,
        limit=SHOWN + 1,
    )
    shown, more = found[:SHOWN], len(found) > SHOWN
    total = counts.count_runs(read, wanted.begins(now))
    tasks = count_task_runs(read, [run.id for run in shown])
    flows = list_flows(read, limit=500)
    return Overview(
        tiles=tiles(read, now, around or Neighbours()),
        rows=[row(run, tasks[run.id]) for run in shown],
        summary=_summary(len(shown), total, wanted),
        pages=_pages(wanted, shown, more=more),
        instead=_instead(read, wanted) if not shown else None,
        flows=_choices(wanted.flow, (run.flow for run in shown), (each.flow for each in flows)),
        environments=_choices(wanted.environment, (run.environment for run in shown), (each.environment for each in flows)),
    )


def row(run: Run, tasks: TaskRunCount) -> dict[str, Any]:
    """One run as the table takes it; `word` is the state in words."""
    return {
        "id": run.id,
        "href": f"/runs/{run.id}",
        "state": run.state,
        "word": look(run.state).word,
        "flow": run.flow,
        "name": run.name,
        "started": run.started,
        "ended": run.ended,
        "duration": run.duration,
        "tasks": tasks.total,
        "tasksEnded": tasks.ended,
        "environment": run.environment,
        "source": run.source,
    }


# --- around the table ---------------------------------------------------------------------------------------------


def _summary(shown: int, total: int, wanted: RunFilter) -> str:
    words = WINDOWS[wanted.since][0].lower()
    matching = " that match" if wanted.narrows else ""
    order = "older ones" if wanted.before else "newest first"
    return f"{shown} of {counts.words(total)} runs{matching}, {words}, {order}"


def _pages(wanted: RunFilter, shown: list[Run], *, more: bool) -> list[Any]:
    links = []
    if wanted.before:
        links.append(pieces.link("← Newest", wanted.newest().link()))
    if more:
        links.append(pieces.link("Older →", wanted.after(shown[-1].place).link(), id="older"))
    return links


def _choices(chosen: str, *known: Any) -> list[str]:
    return sorted({chosen, *(name for names in known for name in names)} - {""})


def _instead(read: Read, wanted: RunFilter) -> Any:
    """What stands where no run does."""
    if not counts.count_runs(read, None):
        return pieces.notice(html.H2("No runs yet"), *_first_run())
    if wanted.narrows or wanted.before:
        everything = pieces.link("Show all runs", "/")
        return pieces.notice(html.H2("No run matches"), html.P(["These filters leave none over. ", everything]))
    anytime = pieces.link("Look at any time", RunFilter(since="any").link())
    return pieces.notice(html.H2("No run in this time"), html.P(["Nothing started in it. ", anytime]))


def _first_run() -> list[Any]:
    return [
        html.P(["Save this as ", html.Code("hello.py"), ", then type ", html.Code("python hello.py"), ":"]),
        html.Pre(html.Code(FIRST_RUN)),
        html.P(
            [
                "The run shows up here by itself, no reload needed. Have a cron line or a script? ",
                html.Code("flowtell exec --flow backup -- ./backup.sh"),
                " makes a run of any command.",
            ]
        ),
    ]
