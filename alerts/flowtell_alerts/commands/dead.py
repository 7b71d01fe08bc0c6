"""`flowtell alerts dead`: messages that no channel took, and what becomes of them."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from flowtell.cli import cells
from flowtell.cli.options import Json
from flowtell.cli.session import Session, open_session
from flowtell.events import ActionDone, Event
from flowtell_alerts.asked import DROP, REPLAY
from flowtell_alerts.commands.asking import answer, ask
from flowtell_alerts.dead_letters import DeadLetter, dead_letters, find
from flowtell_alerts.errors import DeadLetterNotFound

app = App(name="dead", help="Messages that no channel took: list them, send them again, or drop them.")

_COLUMNS = ("about", "channel", "kind", "subject", "given up", "attempts", "problem")
_ALL = 100_000

About = Annotated[str, Parameter(help="Id of the incident, or its first digits; all unless one is given.")]
OfChannel = Annotated[str, Parameter(name="--channel", help="Only those of this channel.")]
Timeout = Annotated[float, Parameter(help="Seconds to wait for the server.")]


@app.default
@app.command(name="list")
def list_dead(*, limit: int = 100, json: Json = False) -> None:
    """List messages that were given up, the newest first.

    Args:
        limit: How many to list.
    """
    with open_session(json=json) as session:
        found = dead_letters(session.read, limit=max(limit, 1))
        if json:
            session.print_json(found)
        elif found:
            session.print_table(_COLUMNS, [_row(each) for each in found])
        else:
            session.say("No dead letters.")


@app.command
def replay(*about: About, channel: OfChannel = "", timeout: Timeout = 30.0, json: Json = False) -> None:
    """Send messages again that were given up; what was resolved meanwhile is told as it is now."""
    _ask(REPLAY, about, channel, timeout, json=json)


@app.command
def drop(*about: About, channel: OfChannel = "", timeout: Timeout = 30.0, json: Json = False) -> None:
    """Forget messages that were given up."""
    _ask(DROP, about, channel, timeout, json=json)


def _ask(action: str, about: tuple[str, ...], channel: str, timeout: float, *, json: bool) -> None:
    with open_session(json=json) as session:
        wanted = find(dead_letters(session.read, limit=_ALL), about, channel)
        if not wanted:
            session.say("No dead letters.")
            return
        targets = [each.id for each in wanted] if about or channel else ["all"]
        done = [_done(session, action, target, timeout) for target in targets]
        if json:
            session.print_json(done)
            return
        word = "replayed" if action == REPLAY else "dropped"
        session.say(f"{len(wanted)} {word}.")


def _done(session: Session, action: str, target: str, timeout: float) -> ActionDone:
    told = answer(session, ask(session, action, target), _is_done, what="did it", seconds=timeout)
    assert isinstance(told, ActionDone)
    if told.error is not None:
        raise DeadLetterNotFound(target)
    return told


def _is_done(event: Event) -> bool:
    return isinstance(event, ActionDone)


def _row(letter: DeadLetter) -> tuple[cells.Value, ...]:
    return (
        cells.short_id(letter.topic),
        letter.channel,
        letter.kind,
        letter.subject,
        cells.moment(letter.given_up),
        str(letter.attempts),
        letter.problem,
    )


__all__ = ["app"]
