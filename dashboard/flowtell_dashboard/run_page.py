"""One run at `/runs/<id>`: what it was, why it failed, its task runs and its logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dash import html

from flowtell.errors import RunNotFound
from flowtell.events import encode_value
from flowtell.ids import span_id
from flowtell.store.reading import (
    LogLine,
    Run,
    TaskRun,
    TaskRunCount,
    count_task_runs,
    get_run,
    last_logs,
    list_task_runs,
)
from flowtell_dashboard import figures, pieces
from flowtell_dashboard.filters import RunFilter
from flowtell_dashboard.grid import column, grid
from flowtell_dashboard.pieces import attributes
from flowtell_dashboard.states import look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowtell.events import Failure
    from flowtell.store.reading import Read

TASK_RUNS: Final = 1000
LOG_LINES: Final = 500
_LONGEST_ERROR: Final = 20_000
"""Characters of a traceback that are shown, from its end: that is where the error is."""

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
    task_summary: str
    logs: Any
    title: str
    found: str
    """`yes`, or `no` where only `head` has anything to say."""


def layout() -> Any:
    """The empty page."""
    return html.Article(
        [
            html.Div(id="run-head"),
            html.Div(
                [
                    html.Div(id="run-error"),
                    html.Div(id="run-facts"),
                    html.Section(
                        [
                            html.Div([html.H2("Task runs"), html.Span(id="task-summary")], className="section-head"),
                            html.Div(grid("task-runs", "Task runs", _COLUMNS), className="table"),
                        ],
                    ),
                    html.Section(id="run-logs"),
                ],
                id="run-body",
            ),
        ],
        id="run",
        **attributes(data_found="unknown"),
    )


def wanted_run(pathname: str | None) -> str:
    """The id in the address of a run's page: of the run, its trace or its span, or the beginning of one."""
    return (pathname or "").removeprefix("/runs/").strip("/")


def read_run_page(read: Read, wanted: str) -> RunPage:
    """Everything that the page shows, in a handful of bounded queries. Of a run that is not there it says so."""
    try:
        run = get_run(read, wanted)
    except RunNotFound as error:
        return RunPage(_not_found(error), None, None, [], "", None, "Run not found", "no")
    counted = count_task_runs(read, [run.id])[run.id]
    tasks = list_task_runs(read, run.id, limit=TASK_RUNS)
    logs = last_logs(read, run.id, limit=LOG_LINES)
    return RunPage(
        head=_head(run),
        facts=_facts(run, counted),
        error=_error(run.error) if run.error else None,
        task_rows=[task_row(task) for task in tasks],
        task_summary=_task_summary(tasks, counted),
        logs=_logs(logs),
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


def _head(run: Run) -> Any:
    flow = pieces.link(run.flow or "no flow", RunFilter(flow=run.flow).link())
    crumbs = html.Nav(
        [pieces.link("Runs", "/"), html.Span("/", **attributes(aria_hidden="true")), flow],
        className="crumbs",
        **attributes(aria_label="Place"),
    )
    return html.Header(
        [crumbs, html.Div([html.H1(run.name or run.flow), pieces.state(run.state, role="status")], className="title")]
    )


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
        ("Source", run.source),
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
    return html.Section([*parts, _parameters(run)], className="sheet")


def _ids(run: Run) -> list[tuple[str, str]]:
    """The ids by which other tools know the run; an outermost run's trace has its own id."""
    trace = run.trace if run.trace and run.trace != run.id else ""
    known = [("Run id", run.id), ("Trace id", trace), ("Span id", span_id(run.id)), ("External id", run.external_id)]
    return [(name, value) for name, value in known if value]


def _parameters(run: Run) -> Any:
    if not run.parameters:
        return None
    rows = [
        html.Tr([html.Th(name, scope="row"), html.Td(html.Code(_value(value)))]) for name, value in run.parameters.items()
    ]
    return html.Details([html.Summary(f"Parameters ({len(rows)})"), html.Table(html.Tbody(rows))], open=len(rows) <= 5)


def _value(value: Any) -> str:
    return encode_value(value).decode()[:2000]


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


def _task_summary(tasks: Sequence[TaskRun], counted: TaskRunCount) -> str:
    if not tasks:
        return "This run has called no task."
    shown = f"{len(tasks)} of {counted.total}" + ("+" if counted.total >= TASK_RUNS else "")
    return f"{shown} shown, {counted.ended} ended"


def _logs(lines: Sequence[LogLine]) -> list[Any]:
    if not lines:
        return [
            html.Div(
                [html.H2("Logs"), html.Span("Nothing was logged. Prints are kept with @flow(log_prints=True).")],
                className="section-head",
            )
        ]
    shown = f"the newest {LOG_LINES} lines" if len(lines) == LOG_LINES else f"{len(lines)} line{'s' * (len(lines) > 1)}"
    rows = html.Ol([_log_line(line) for line in lines], className="logs", tabIndex=0, **attributes(aria_label="Log lines"))
    return [html.Div([html.H2("Logs"), html.Span(shown)], className="section-head"), rows]


def _log_line(line: LogLine) -> Any:
    return html.Li(
        [
            pieces.moment(line.time),
            html.Span(line.level, className="level"),
            html.Span(line.task, className="from") if line.task else None,
            html.Span(line.message[:_LONGEST_ERROR], className="message"),
        ],
        key=str(line.seq),
        **attributes(data_level=line.level.lower()),
    )
