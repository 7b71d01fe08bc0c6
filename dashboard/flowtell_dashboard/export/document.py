"""The whole document. Its policy allows no script and no request, so that whoever opens it is told and asked nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from dash import html

from flowtell.store.reading import count_all_task_runs, get_run, last_logs, list_task_runs
from flowtell_dashboard import run_page
from flowtell_dashboard.export.bars import bars
from flowtell_dashboard.export.settled import lasted, moment, settled
from flowtell_dashboard.gantt.reading import read_gantt
from flowtell_dashboard.pieces import state
from flowtell_dashboard.settings import Settings
from flowtell_dashboard.stage import as_html
from flowtell_dashboard.states import stylesheet
from flowtell_dashboard.told.sections import table

if TYPE_CHECKING:
    from flowtell.store.reading import LogLine, Read, Run, TaskRun

TASKS: Final = 10_000
LINES: Final = 5_000
"""Task runs and newest log lines that the file holds; it says how many it leaves out."""

_MESSAGE: Final = 4_000
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'"

_STYLE: Final = """
body { margin: 0; font: 0.9375rem/1.5 system-ui, sans-serif; background: var(--ground); color: var(--ink); }
section { margin-bottom: 1.5rem; }
main { max-width: 90rem; margin: 0 auto; padding: 1rem; }
.bars { width: 100%; min-width: 40rem; background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; }
.bars text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.bars rect { fill: var(--state); rx: 2px; }
.bars .wait { fill: var(--sheet); rx: 0; }
.wide { overflow-x: auto; }
.lines { font: 12px/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.lines td { padding: 0 0.6rem 0 0; vertical-align: top; border: 0; }
.crumbs, .links { display: none; }
"""


def document(read: Read, wanted: str, now: int, settings: Settings = run_page.PLAIN) -> str:
    """One run, as it was at `now` (µs): facts, error, picture, task runs, what it told, and its newest log lines.

    Raises:
        RunNotFound: there is no such run.
    """
    run = get_run(read, wanted)
    page = run_page.read_run_page(read, run.id, 1, settings)
    body = [
        *(_settled(part, now) for part in (page.head, page.error, page.facts)),
        _section("In time", f'<div class="wide">{bars(read_gantt(read, run.id, now))}</div>'),
        _section("Task runs", _tasks(read, run, now)),
        _settled(page.story, now),
        _section("Logs", _logs(last_logs(read, run.id, LINES + 1))),
        f"<p class='quiet'>As it was at {moment(now)}. Made by flowtell; this file asks nothing of any server.</p>",
    ]
    return _HEAD.format(policy=_POLICY, title=escape(page.title), style=_style()) + "".join(body) + "</main></body></html>"


_HEAD: Final = (
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
    '<meta http-equiv="Content-Security-Policy" content="{policy}">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
    '<meta name="referrer" content="no-referrer"><title>{title}</title><style>{style}</style></head><body><main>'
)


@cache
def _style() -> str:
    """The pages' own rules, without those that ask for a picture."""
    given = files("flowtell_dashboard") / "assets"
    rules = [(given / name).read_text() for name in ("style.css", "run.css")]
    own = [line for text in rules for line in text.splitlines() if "url(" not in line]
    return "\n".join(["html { color-scheme: light dark; }", stylesheet(), *own, _STYLE])


def _settled(part: Any, now: int) -> str:
    return as_html(settled(part, now))


def _section(title: str, inside: str) -> str:
    return f"<section><h2>{title}</h2>{inside}</section>"


# --- task runs and lines ------------------------------------------------------------------------------------------


def _tasks(read: Read, run: Run, now: int) -> str:
    tasks = list_task_runs(read, run.id, limit=TASKS)
    if not tasks:
        return "<p>This run has called no task.</p>"
    counted = count_all_task_runs(read, run.id)
    said = f"<p>{len(tasks):,} of {counted.total:,}, {counted.ended:,} ended</p>"
    return said + as_html(settled(table(_TASK_COLUMNS, [_task(task) for task in tasks]), now))


_TASK_COLUMNS: Final = ("State", "Task", "Started", "Duration", "Attempts", "Error")


def _task(task: TaskRun) -> Sequence[Any]:
    index = f" [{task.map_index}]" if task.map_index is not None else ""
    took = "" if task.duration is None else lasted(task.duration)
    error = f"{task.error.type}: {task.error.message}"[:_MESSAGE] if task.error else ""
    return [state(task.state), task.task + index, moment(task.started), took, str(task.attempts), error]


def _logs(lines: Sequence[LogLine]) -> str:
    if not lines:
        return "<p>Nothing was logged.</p>"
    shown = lines[-LINES:]
    said = f"<p>The newest {LINES:,} lines; flowtell logs has the others.</p>" if len(lines) > LINES else ""
    return said + as_html(html.Table(html.Tbody(list(_lines(shown))), className="lines"))


def _lines(lines: Iterable[LogLine]) -> Iterable[Any]:
    for line in lines:
        cells = (moment(line.time), line.level, line.task, line.message[:_MESSAGE])
        yield html.Tr([html.Td(cell) for cell in cells])
