"""Let a paused run go on, with what it asks for: from the command line, or asked field by field on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from flowtell import bus
from flowtell.actions import action_on
from flowtell.answers.asked import Asked, question
from flowtell.answers.fitting import Schema
from flowtell.answers.resuming import Outcome, follow, give
from flowtell.answers.spelling import fields_of, read_value
from flowtell.cli import cells
from flowtell.cli.actor import actor
from flowtell.cli.options import Json, RunId
from flowtell.cli.outcome import Misuse
from flowtell.cli.session import Session, open_session
from flowtell.errors import BadAnswer
from flowtell.events import ActionDone, ActionRequested, Failure
from flowtell.store.reading import Run, get_run

app = App(name="resume")

_SECONDS = 3.0
"""How long a run's word is waited for; one that looks less often takes the answer later."""


@app.default
def resume(
    id: RunId,
    /,
    *fields: Annotated[str, Parameter(help="A field of the answer as field=value, or the value where one alone is asked.")],
    answer: Annotated[str, Parameter(help="The whole answer as JSON.")] = "",
    key: Annotated[str, Parameter(help="Which pause is answered, where the run waits at several.")] = "",
    json: Json = False,
) -> None:
    """Let a paused run go on. What it asks for is asked on a terminal, where it is not given.

    An answer that does not fit is told field by field, and the run waits on. One for a run that does not look just now is
    kept, and taken when it does.
    """
    if fields and answer:
        raise Misuse("Give the answer as --answer JSON or as field=value, not both.")
    with open_session(json=json) as session:
        run = get_run(session.read, id)
        asked = question(session.read, run, key or None)
        if fields or answer or not asked.schema:
            given = _decoded(answer) if answer else _typed(fields, asked.schema)
            _print(session, run, asked, _resume(session, run, asked, given))
        else:
            _print(session, run, asked, _ask(session, run, asked))


def _resume(session: Session, run: Run, asked: Asked, answer: Any) -> Outcome:
    who, arguments, home = actor(), {"key": asked.key}, session.config.home
    bus.emit(action_on(run, ActionRequested, "resume", who, arguments))
    try:
        outcome = follow(home, give(home, run, asked, answer, who), session.read, _SECONDS, session.catch_up)
    except Exception as error:
        told = Failure(type=type(error).__name__, message=str(error))
        bus.emit(action_on(run, ActionDone, "resume", who, arguments, outcome="failed", error=told))
        raise
    bus.emit(action_on(run, ActionDone, "resume", who, arguments, outcome=outcome))
    return outcome


# --- what was typed -------------------------------------------------------------------------------------------------


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Misuse(f"--answer is no JSON: {error}.") from error


def _typed(words: Sequence[str], schema: Schema) -> Any:
    if not schema:
        if words:
            raise Misuse("The run asks for no value: leave it out.")
        return None
    known = fields_of(schema)
    if not known:
        if len(words) != 1:
            raise Misuse("The run asks for one value: give it alone, or as --answer JSON.")
        return read_value(words[0], schema, schema)
    return dict(_field(word, known, schema) for word in words)


def _field(word: str, known: Any, schema: Schema) -> tuple[str, Any]:
    name, equals, text = word.partition("=")
    if not equals or name not in known:
        raise Misuse(f"'{word}' is no field=value of the answer. Its fields: {', '.join(known)}.")
    return name, read_value(text, known[name], schema)


# --- asked on a terminal --------------------------------------------------------------------------------------------


def _ask(session: Session, run: Run, asked: Asked) -> Outcome:
    """Ask for the answer until it fits.

    Raises:
        Misuse: nobody can be asked.
    """
    if not sys.stdin.isatty():
        names = ", ".join(fields_of(asked.schema))
        wanted = f"field=value for {names}" if names else "a value"
        raise Misuse(f"The run asks for {wanted}: give it, or --answer JSON.")
    from flowtell.cli.prompts import Form

    form = Form(session, asked)
    while True:
        try:
            return _resume(session, run, asked, form.answer())
        except BadAnswer as error:
            form.tell(error)


def _print(session: Session, run: Run, asked: Asked, outcome: Outcome) -> None:
    if session.json:
        session.print_json({"run": run.id, "key": asked.key, "outcome": outcome})
        return
    words = {
        "resumed": "goes on",
        "kept": "has not looked yet; the answer is kept, and taken when it does",
    }[outcome]
    session.say(f"Run {cells.short_id(run.id).shown} of {run.flow}: {words}.")
