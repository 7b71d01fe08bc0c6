"""One run at `/runs/<id>`: what it was, why it failed, its task runs and its logs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import dash_mantine_components as dmc
from dash import dcc, html

from flowtell.errors import RunNotFound
from flowtell.events import encode_value
from flowtell.ids import span_id
from flowtell.store.reading import (
    Run,
    TaskRun,
    TaskRunCount,
    count_all_task_runs,
    get_run,
    list_task_runs,
)
from flowtell_dashboard import figures, pieces
from flowtell_dashboard.acting import OPERATE, acts, cancel_button, needs
from flowtell_dashboard.comparing.page import address as comparing_address
from flowtell_dashboard.filters import RunFilter
from flowtell_dashboard.grid import column, grid
from flowtell_dashboard.pieces import attributes
from flowtell_dashboard.settings import Settings
from flowtell_dashboard.states import look
from flowtell_dashboard.told.sections import sections
from flowtell_dashboard.told.story import read_story

if TYPE_CHECKING:
    from flowtell.events import Failure
    from flowtell.store.reading import Read

PARTS: Final = (
    ("run-head", "children"),
    ("run-facts", "children"),
    ("run-error", "children"),
    ("task-runs", "rowData"),
    ("task-summary", "children"),
    ("run-story", "children"),
    ("run-acts", "data"),
    ("run", "data-title"),
    ("run", "data-found"),
)
"""What is filled in, in the order in which it is told."""

TASK_RUNS: Final = 1000
"""Task runs on one page of the table."""

PLAIN: Final = Settings()
_LONGEST_ERROR: Final = 20_000
"""Characters of a traceback that are shown, from its end: that is where the error is."""

LEVELS: Final = {"": "All levels", "INFO": "Info", "WARNING": "Warning", "ERROR": "Error"}
"""The least level of the lines that are shown."""

_COLUMNS: Final = [
    column("state", "State", cell="State", width=140, sortable=True),
    column("task", "Task", cell="TaskName", flex=2, minWidth=180, sortable=True),
    column("started", "Started", cell="StartedAt", width=130, sortable=True),
    column("duration", "Duration", cell="Duration", width=120, sortable=True),
    column("attempts", "Attempts", width=100, sortable=True),
    column("error", "Error", flex=3, minWidth=160, tooltipField="error"),
]


class RunPage(NamedTuple):
    """What the page shows, in the order of its callback's outputs."""

    head: Any
    facts: Any
    error: Any
    task_rows: list[dict[str, Any]]
    task_summary: Any
    story: Any
    acts: dict[str, Any] | None
    title: str
    found: str
    """`yes`, or `no` where only `head` has anything to say."""


def layout() -> Any:
    """The empty page."""
    return html.Article(
        [
            html.Div(id="run-head"),
            dcc.Store(id="run-acts"),
            html.Div(
                [
                    html.Div(id="run-acts-place", **attributes(data_needs=OPERATE)),
                    html.Div(id="run-error"),
                    html.Div(id="run-facts"),
                    _picture(),
                    html.Section(
                        [
                            html.Div([html.H2("Task runs"), html.Span(id="task-summary")], className="section-head"),
                            html.Div(grid("task-runs", "Task runs", _COLUMNS), className="table"),
                        ],
                    ),
                    _graph(),
                    _logs(),
                    html.Div(id="run-story"),
                ],
                id="run-body",
            ),
        ],
        id="run",
        **attributes(data_found="unknown"),
    )


def _picture() -> Any:
    """Task runs in time, drawn by `assets/gantt.js`; the table of task runs says the same in words."""
    path = dmc.Switch(id="gantt-path", label="Critical path", size="sm", checked=False)
    return html.Section(
        [
            html.Div([html.H2("In time"), html.Span(id="gantt-summary"), path], className="section-head"),
            html.Div(
                [
                    html.Canvas(id="gantt-axis", **attributes(aria_hidden="true")),
                    html.Div(
                        [
                            html.Div(id="gantt-labels"),
                            html.Canvas(id="gantt-canvas", **attributes(aria_hidden="true")),
                            html.Div(id="gantt-height"),
                        ],
                        id="gantt-rows",
                        tabIndex="0",
                        role="region",
                        **attributes(aria_label="Task runs in time; the table below says the same"),
                    ),
                    html.Div(id="gantt-tip", role="tooltip", hidden=True),
                ],
                id="gantt-picture",
            ),
        ],
        id="gantt",
        hidden=True,
    )


def _graph() -> Any:
    """Which task was given whose result, drawn by `assets/lineage.js`; see `gantt/graph.py`."""
    label = attributes(aria_label="Tasks and whose results they were given; the table below says the same")
    return html.Section(
        [
            dcc.Store(id="task-graph"),
            html.Div([html.H2("Dependencies"), html.Span(id="task-graph-summary")], className="section-head"),
            html.Div(id="task-graph-frame", className="graph-frame", tabIndex=0, role="region", **label),
            html.Div(id="task-graph-twin"),
        ],
        id="run-graph",
        hidden=True,
    )


def _logs() -> Any:
    """Lines are asked for and shown by `assets/logs.js`: the newest at once, the others while one reads."""
    search = dmc.TextInput(
        id="logs-text", placeholder="Search", size="xs", **attributes(aria_label="Search in the log lines")
    )
    level = dmc.Select(
        id="logs-level",
        data=[{"value": value, "label": label} for value, label in LEVELS.items()],
        value="",
        size="xs",
        allowDeselect=False,
        **attributes(aria_label="Least level"),
    )
    return html.Section(
        [
            html.Div(
                [
                    html.H2("Logs"),
                    html.Span(id="logs-summary", role="status"),
                    html.Span([search, level], className="controls"),
                ],
                className="section-head",
            ),
            html.Ol(id="logs", className="logs", tabIndex=0, **attributes(aria_label="Log lines")),
        ],
        id="run-logs",
    )


def wanted_run(pathname: str | None) -> str:
    """The id in the address of a run's page: of the run, its trace or its span, or the beginning of one."""
    return (pathname or "").removeprefix("/runs/").strip("/")


def wanted_page(href: str | None) -> tuple[str, int]:
    """The id in the whole address, and which page of the task runs; the first where it says nothing sensible."""
    parts = urlsplit(href or "")
    given = parse_qs(parts.query).get("tasks", ["1"])[0]
    page = int(given) if given.isascii() and given.isdecimal() and len(given) < 6 else 1
    return wanted_run(parts.path), max(page, 1)


def read_run_page(read: Read, wanted: str, page: int = 1, settings: Settings = PLAIN) -> RunPage:
    """Everything that the page shows, in a handful of bounded queries. Of a run that is not there it says so."""
    try:
        run = get_run(read, wanted)
    except RunNotFound as error:
        return RunPage(_not_found(error), None, None, [], "", None, None, "Run not found", "no")
    counted = count_all_task_runs(read, run.id)
    page = min(page, max(math.ceil(counted.total / TASK_RUNS), 1))
    tasks = list_task_runs(read, run.id, limit=TASK_RUNS, offset=(page - 1) * TASK_RUNS)
    return RunPage(
        head=_head(run, settings),
        facts=_facts(run, counted),
        error=_trouble(run),
        task_rows=[task_row(task) for task in tasks],
        task_summary=_task_summary(run, len(tasks), counted, page),
        story=sections(read_story(read, run.id)),
        acts=acts(read, run),
        title=f"{look(run.state).word}: {run.name or run.flow}",
        found="yes",
    )


def _not_found(error: RunNotFound) -> Any:
    if error.found:
        why = "Several runs begin with these digits. Give more of them."
    else:
        why = "No run, trace or span has this id. It may have been pruned, or not be here yet: then it shows up by itself."
    return pieces.notice(
        html.H1("Run not found"),
        html.P(["Asked for: ", html.Code(error.wanted[:200])]),
        html.P(why),
        html.P(pieces.link("See all runs", "/")),
    )


# --- the run ------------------------------------------------------------------------------------------------------


def _head(run: Run, settings: Settings) -> Any:
    flow = pieces.link(run.flow or "no flow", RunFilter(flow=run.flow).link())
    crumbs = html.Nav(
        [pieces.link("Runs", "/"), html.Span("/", **attributes(aria_hidden="true")), flow],
        className="crumbs",
        **attributes(aria_label="Place"),
    )
    title = [html.H1(run.name or run.flow), pieces.state(run.state, role="status"), _ways(run, settings)]
    return html.Header([crumbs, html.Div(title, className="title")])


def _ways(run: Run, settings: Settings) -> Any:
    """From this run on: to its trace, where traces are kept, and to itself as one file."""
    ways = []
    if trace := settings.trace_link(run.trace):
        ways.append(html.A("Trace", href=trace, target="_blank", rel="noreferrer"))
    if run.flow:
        ways.append(pieces.link("Compare", comparing_address(run.id)))
    # No page of ours, so the browser fetches it: a file to keep.
    ways.append(html.A("Export", href=f"/runs/{run.id}/export.html", download=""))
    asks = [needs("To answer it")] if run.state == "paused" and not run.source else []
    return html.Span([*ways, *cancel_button(run), *asks], className="links")


def _facts(run: Run, tasks: TaskRunCount) -> Any:
    facts: list[tuple[str, Any]] = [
        ("Started", [pieces.moment(run.started), " ", pieces.moment(run.started, "ago")] if run.started else "not yet"),
        ("Ended", pieces.moment(run.ended) if run.ended else ""),
        ("Duration", pieces.duration(run.duration, run.started, ended=run.ended is not None)),
        ("Due", pieces.moment(run.due) if run.due else ""),
        ("Tasks", f"{tasks.ended} of {tasks.total} ended" if tasks.total else ""),
        ("Attempts", str(run.attempts) if run.attempts > 1 else ""),
        ("Environment", run.environment),
        ("Deployment", run.deployment),
        ("Source", _source(run)),
        ("Cause", run.cause),
        ("Signal", run.signal),
        ("Machine", f"{run.machine}, process {run.pid}" if run.pid else run.machine),
        ("CPU time", figures.seconds(run.cpu_seconds)),
        ("Peak memory", figures.size(run.peak_memory)),
        ("Version", run.version),
        ("Tags", ", ".join(run.tags)),
        ("Corrections", f"{run.corrections} later events contradict this end" if run.corrections else ""),
        ("Called by", pieces.link(run.parent_run[:12], f"/runs/{run.parent_run}") if run.parent_run else ""),
    ]
    # Dash finds a component without children false, so absence is compared.
    shown = [html.Div([html.Dt(name), html.Dd(value)]) for name, value in facts if value not in ("", None)]
    ids = [html.Div([html.Dt(name), html.Dd(html.Code(value))]) for name, value in _ids(run)]
    parts = [
        html.H2("Facts", className="unseen"),
        html.Dl(shown, className="facts"),
        html.Dl(ids, className="facts ids"),
    ]
    return html.Section([*parts, _parameters(run)], className="sheet", **attributes(data_run_source=run.source))


def _source(run: Run) -> Any:
    """Where the run lives, with a link to its page there. Addresses come from outside: nothing but a web page is linked."""
    if not run.url.startswith(("http://", "https://")):
        return run.source
    return html.A(f"{run.source or 'elsewhere'}: its page there", href=run.url, target="_blank", rel="noreferrer")


def _ids(run: Run) -> list[tuple[str, str]]:
    """The ids by which other tools know the run; an outermost run's trace has its own id."""
    trace = run.trace if run.trace and run.trace != run.id else ""
    known = [("Run id", run.id), ("Trace id", trace), ("Span id", span_id(run.id)), ("External id", run.external_id)]
    return [(name, value) for name, value in known if value]


def _parameters(run: Run) -> Any:
    if not run.parameters:
        return None
    rows = [html.Tr([html.Th(name, scope="row"), html.Td(_parameter(run, value))]) for name, value in run.parameters.items()]
    return html.Details([html.Summary(f"Parameters ({len(rows)})"), html.Table(html.Tbody(rows))], open=len(rows) <= 5)


def _parameter(run: Run, value: Any) -> Any:
    """A source may bring names alone: the values stay there."""
    return f"stays in {run.source}" if value is None and run.source else html.Code(_value(value))


def _value(value: Any) -> str:
    return encode_value(value).decode()[:2000]


def _trouble(run: Run) -> Any:
    """Why it stands as it does, unless it ended well, and the error as it was raised."""
    asked = [] if run.state in ("completed", "cached") else [pieces.why(run.id)]
    return [*asked, *([_error(run.error)] if run.error else [])] or None


def _error(error: Failure) -> Any:
    said = [html.Strong(error.type or "Error"), html.Span(error.message[:_LONGEST_ERROR], className="message")]
    trace = error.traceback[-_LONGEST_ERROR:]
    more = [html.Details([html.Summary("Traceback"), html.Pre(trace, tabIndex=0)])] if trace else []
    return html.Section([html.H2("Why it failed", className="unseen"), html.P(said), *more], className="error")


# --- task runs and logs -------------------------------------------------------------------------------------------


def task_row(task: TaskRun) -> dict[str, Any]:
    """One task run as the table takes it; `word` is the state in words."""
    said = f"{task.error.type}: {task.error.message}"[:500] if task.error else ""
    return {
        "id": task.id,
        "state": task.state,
        "word": look(task.state).word,
        "task": task.task,
        "name": task.name,
        "index": task.map_index,
        "started": task.started,
        "ended": task.ended,
        "duration": task.duration,
        "attempts": task.attempts,
        "error": said,
    }


def _task_summary(run: Run, shown: int, counted: TaskRunCount, page: int) -> Any:
    """Which of how many, and the way to the others; the address says which page it is."""
    if not counted.total:
        return "This run has called no task."
    first = (page - 1) * TASK_RUNS
    which = f"{first + 1:,} to {first + shown:,}" if counted.total > TASK_RUNS else f"{shown:,}"
    words = f"{which} of {counted.total:,} shown, {counted.ended:,} ended"
    return [words, _pager(run, page, last=first + shown >= counted.total)] if counted.total > TASK_RUNS else words


def _pager(run: Run, page: int, *, last: bool) -> Any:
    steps = []
    if page > 1:
        steps.append(pieces.link("Previous", f"/runs/{run.id}?tasks={page - 1}"))
    if not last:
        steps.append(pieces.link("Next", f"/runs/{run.id}?tasks={page + 1}"))
    return html.Nav(steps, className="pager", **attributes(aria_label="Pages of task runs"))
