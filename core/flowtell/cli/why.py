"""Say why a run is late, slow or failed, when it will end, and what is otherwise than the last time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated

from cyclopts import App, Parameter

from flowtell.cli import cells
from flowtell.cli.options import Json
from flowtell.cli.session import Session, open_session
from flowtell.moments import moment
from flowtell.why import Change, Expected, Why, why

app = App(name="why")


@app.default
def ask(
    subject: Annotated[
        str, Parameter(help="A run's id or what begins it, a flow, FLOW/DEPLOYMENT, an asset or an incident.")
    ],
    /,
    *,
    at: Annotated[str, Parameter(help="As it was then: 2026-11-20T08:00, or 2h for two hours ago.")] = "",
    environment: Annotated[str, Parameter(name=["--environment", "--env"])] = "",
    json: Json = False,
) -> None:
    """Say why a run is late, slow or failed, when it will end, and what is otherwise than the last time.

    Of a flow it is the run that matters most: one that is due and has not begun, else one that goes on, else the last.
    """
    now = time.time_ns() // 1000
    with open_session(json=json) as session:
        found = why(session.read, subject, moment(at, now) if at else now, environment=environment)
        if json:
            session.print_json(found)
        else:
            _print(session, found)


def _print(session: Session, found: Why) -> None:
    session.print_facts(_facts(found))
    session.print_heading("Why")
    for number, fact in enumerate(found.chain, 1):
        since = f"  ({cells.moment(fact.since).shown})" if fact.since else ""
        session.print_text(f"{number}. {fact.text}{f': {fact.detail}' if fact.detail else ''}{since}")
    if not found.chain:
        session.print_text("unknown")
    for each in found.missing:
        session.print_text(f"not known: {each}")
    if found.changed:
        session.print_heading("Otherwise than in the last run that ended well")
        session.print_table(("what", "name", "was", "now"), map(_change, found.changed))
    if found.impact:
        session.print_heading("What waits for it")
        session.print_table(
            ("asset", "steps", "owners"), [(hit.asset, hit.distance, ", ".join(hit.owners)) for hit in found.impact]
        )


def _facts(found: Why) -> Iterator[tuple[str, cells.Value]]:
    yield "asked", found.subject
    yield "run", cells.Cell(found.run, found.run, "bold") if found.run else None
    yield "flow", f"{found.flow}/{found.deployment}" if found.deployment else found.flow
    yield "environment", found.environment
    yield "state", cells.state(found.state) if found.state else None
    yield "due", cells.moment(found.due)
    yield "started", cells.moment(found.started)
    if found.expected is not None:
        yield "expected end", _expected(found.expected)
    yield "compared with", found.compared


def _expected(expected: Expected) -> cells.Cell:
    shown = [cells.moment(each).shown for each in (expected.end, expected.earliest, expected.latest)]
    text = f"{shown[0]}, between {shown[1]} and {shown[2]}, by {expected.runs} runs"
    return cells.Cell(cells.moment(expected.end).plain, text)


def _change(change: Change) -> tuple[cells.Value, ...]:
    if change.what == "task":
        return "task takes", change.name, cells.span(change.was), cells.span(change.now)
    return change.what, change.name, _value(change.was), _value(change.now)


def _value(value: object) -> cells.Value:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | float | str) else "" if value is None else repr(value)
