"""Cancel a run in another process: it cleans up, and is killed only when it does not end in time."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from flowtell import bus
from flowtell.actions import action_on
from flowtell.cancelling.carrying_out import Cancelling
from flowtell.cli import cells
from flowtell.cli.actor import actor
from flowtell.cli.options import Json, RunId
from flowtell.cli.outcome import Misuse
from flowtell.cli.session import Session, open_session
from flowtell.errors import RunNotCancellable
from flowtell.events import ActionDone, ActionRequested, Failure
from flowtell.rules import seconds
from flowtell.store.reading import Run, get_run

app = App(name="cancel")


@app.default
def cancel(
    id: RunId,
    /,
    *,
    grace: Annotated[str, Parameter(help="How long the run may take to clean up; then its process is killed.")] = "30s",
    reason: Annotated[str, Parameter(help="Why, for whoever looks at the run later.")] = "",
    json: Json = False,
) -> None:
    """Cancel a run in another process of this machine. Its code sees what Ctrl-C raises, and may clean up.

    What runs in the same process ends with it; a run that a schedule began has a process of its own.
    """
    grace_seconds = _span(grace)
    with open_session(json=json) as session:
        run = get_run(session.read, id)
        who = actor()
        cancelling = Cancelling(_Here(session), run, actor=who, reason=reason)
        arguments = {"grace": grace_seconds, "reason": reason}
        bus.emit(action_on(run, ActionRequested, "cancel", who, arguments))
        try:
            how = cancelling.carry_out(grace_seconds)
        except RunNotCancellable as error:
            told = Failure(type=type(error).__name__, message=str(error))
            bus.emit(action_on(run, ActionDone, "cancel", who, arguments, outcome="failed", error=told))
            raise
        bus.emit(action_on(run, ActionDone, "cancel", who, arguments, outcome=how))
        _print(session, get_run(session.read, run.id), how)


class _Here:
    """This command: it brings the log up to date itself."""

    def __init__(self, session: Session) -> None:
        self.home = session.config.home
        self.read, self.say, self.catch_up = session.read, bus.emit, session.catch_up


def _span(text: str) -> float:
    try:
        return seconds(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as error:
        raise Misuse(f"--grace: {error}.") from error


def _print(session: Session, run: Run, how: str) -> None:
    if session.json:
        session.print_json(run)
        return
    words = {"cancelled": "cancelled", "killed": "killed, as it did not end in time"}[how]
    session.say(f"Run {cells.short_id(run.id).shown} of {run.flow}: {words}.")
