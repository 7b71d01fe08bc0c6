"""List runs, newest first; with an ID, show one run's page."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from flowtell.cli import cells
from flowtell.cli.options import Json, RunId
from flowtell.cli.outcome import Misuse
from flowtell.cli.run_file import write_file
from flowtell.cli.run_page import print_page
from flowtell.cli.session import Session, open_session
from flowtell.store.reading import TASK_RUNS_COUNTED, Run, TaskRunCount, count_task_runs, get_run, list_runs

app = App(name="runs")


@app.default
def runs(
    id: RunId = "",
    /,
    *,
    flow: str = "",
    state: tuple[str, ...] = (),
    environment: Annotated[str, Parameter(name=["--environment", "--env"])] = "",
    text: str = "",
    limit: int = 20,
    html: str = "",
    json: Json = False,
) -> None:
    """List runs, newest first; with an ID, show one run's page.

    Args:
        flow: Only runs of this flow.
        state: Only runs in this state, such as failed; give it again for more than one.
        environment: Only runs in this environment.
        text: Only runs with this in their flow's name or their own.
        limit: How many runs to list.
        html: Write the run with this ID as one HTML file that needs nothing else; needs flowtell-dashboard.
    """
    _check_states(state)
    if html and not id:
        raise Misuse("--html takes one run: flowtell runs ID --html FILE.")
    with open_session(json=json) as session:
        if html:
            write_file(session, get_run(session.read, id), html)
            return
        if id:
            print_page(session, get_run(session.read, id))
            return
        found = list_runs(session.read, flow=flow, state=state, environment=environment, text=text, limit=max(limit, 1))
        _print_list(session, found)


def _check_states(names: tuple[str, ...]) -> None:
    unknown = [name for name in names if name not in cells.STATES]
    if unknown:
        raise Misuse(f"There is no state '{unknown[0]}'. There are: {', '.join(cells.STATES)}.")


def _print_list(session: Session, found: list[Run]) -> None:
    if session.json:
        session.print_json(found)
        return
    if not found:
        session.say("No runs yet, or none that match.")
        return
    counts = count_task_runs(session.read, [run.id for run in found])
    columns = ("run", "flow", "name", "state", "started", "duration", "tasks")
    session.print_table(columns, [_row(run, counts[run.id]) for run in found])


def _row(run: Run, count: TaskRunCount) -> tuple[cells.Value, ...]:
    return (
        cells.short_id(run.id),
        run.flow,
        run.name,
        cells.state(run.state),
        cells.moment(run.started),
        cells.lasted(run.started, run.ended, run.duration),
        _tasks(count),
    )


def _tasks(count: TaskRunCount) -> cells.Cell:
    more = "+" if count.total >= TASK_RUNS_COUNTED else ""
    open_ones = count.total - count.ended
    shown = f"{count.ended}/{count.total}{more}" if open_ones else f"{count.total}{more}"
    return cells.Cell(str(count.total), shown if count.total else "", right=True)
