"""Print what a run and its task runs logged."""

from __future__ import annotations

import time

from cyclopts import App

from flowtell.cli.log_lines import print_logs
from flowtell.cli.options import Follow, JsonLines, RunId
from flowtell.cli.session import Session, open_session
from flowtell.store.reading import get_run, list_logs

app = App(name="logs")

_PAGE = 1000
_POLL_SECONDS = 0.5


@app.default
def logs(id: RunId, /, *, follow: Follow = False, after: int = 0, json: JsonLines = False) -> None:
    """Print what a run and its task runs logged, oldest first.

    Args:
        after: Only records behind this place in the log (`seq` in the JSON).
    """
    with open_session(json=json) as session:
        run = get_run(session.read, id)
        after = _print_after(session, run.id, after)
        while follow and run.ended is None:
            time.sleep(_POLL_SECONDS)
            session.catch_up()
            run = get_run(session.read, run.id)  # before its logs: what it said last is then not missed
            after = _print_after(session, run.id, after)


def _print_after(session: Session, run: str, after: int) -> int:
    while page := list_logs(session.read, run, after, _PAGE):
        print_logs(session, page)
        after = page[-1].seq
        session.flush()
    return after
