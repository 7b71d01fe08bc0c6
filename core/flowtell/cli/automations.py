"""List automations, try one on an event, pause and resume them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from flowtell import bus
from flowtell.cli import cells
from flowtell.cli.actor import actor
from flowtell.cli.options import Json
from flowtell.cli.session import Session, open_session
from flowtell.errors import EventNotFound, NoSuchAutomation, NoSuchField
from flowtell.events import ActionRequested
from flowtell.ids import new_id

if TYPE_CHECKING:
    from flowtell.automations import Automation
    from flowtell.events import Event

app = App(name="automations", help="List automations, try one on an event, pause and resume them.")

Name = Annotated[str, Parameter(help="As the list has it.")]


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """List every automation: what it waits for, what it begins, how often it has, what waits for somebody who serves."""
    with open_session(json=json) as session:
        found = _found(session)
        if json:
            session.print_json(found)
            return
        columns = ("automation", "when", "runs", "state", "begun", "skipped", "latest", "waiting")
        session.print_table(columns, [_row(one) for one in found])
        if not found:
            session.say("There are no automations. [[automations]] in flowtell.toml, or when(...) in .serve, state them.")


@app.command(name="test")
def try_on(
    event: Annotated[str, Parameter(help="Its id; 'flowtell events --json' shows them.")], /, *, json: Json = False
) -> None:
    """Say of each automation whether it matches this event, why not, and which parameters its run would have.

    Nothing is begun. Cooldown, age and hops are not looked at.
    """
    with open_session(json=json) as session:
        wanted = _event(session, event)
        verdicts = [_verdict(one, wanted) for one in _automations(session).values()]
        if json:
            session.print_json(verdicts)
            return
        columns = ("automation", "matches", "runs", "parameters or why not")
        session.print_table(columns, [_verdict_row(one) for one in verdicts], wrap=True)


@app.command
def pause(name: Name, /) -> None:
    """Have an automation begin nothing until it is resumed. Events meanwhile are passed over for good."""
    _request("automations.pause", name)


@app.command
def resume(name: Name, /) -> None:
    """Have an automation begin runs again."""
    _request("automations.resume", name)


def _request(action: str, name: str) -> None:
    """The plugin reads it in the log, and says that it has done so."""
    with open_session() as session:
        known = _automations(session)
        if name not in known:
            raise NoSuchAutomation(name, tuple(known))
        now = time.time_ns() // 1000
        bus.emit(ActionRequested(id=new_id(now), time=now, action=action, target=name, actor=actor()))
        session.catch_up()
        session.say(f"{name} is {'paused' if action.endswith('pause') else 'resumed'}.")


def _automations(session: Session) -> dict[str, Automation]:
    from flowtell.automations.reading import all_automations

    return all_automations(session.store, str(session.config.plugin("automations").get("path", "")))


def _found(session: Session) -> list[dict[str, Any]]:
    from flowtell.automations import tables
    from flowtell.automations.reading import rows_of

    states = {row.automation: row for row in rows_of(session.store, tables.states)}
    waiting: dict[str, list[str]] = {}
    for row in rows_of(session.store, tables.firings):
        if row.state == "waiting":
            waiting.setdefault(row.automation, []).append(row.run)
    return [_described(one, states.get(one.name), waiting.get(one.name, [])) for one in _automations(session).values()]


def _described(automation: Automation, state: Any, waiting: list[str]) -> dict[str, Any]:
    standing = "off" if not automation.active else "paused" if state is not None and state.paused else "active"
    return {
        **msgspec.to_builtins(automation),
        "state": standing,
        "begun": 0 if state is None else state.runs,
        "skipped": 0 if state is None else state.skipped,
        "latest": (state.fired or None) if state is not None else None,
        "waiting": waiting,
    }


def _row(found: dict[str, Any]) -> tuple[cells.Value, ...]:
    return (
        found["name"], _shown(found["when"]), found["run"], found["state"], found["begun"], found["skipped"],
        cells.moment(found["latest"]), ", ".join(cells.short_id(run).shown for run in found["waiting"]),
    )  # fmt: skip


def _shown(when: dict[str, Any]) -> str:
    parts = {key: value for key, value in when.items() if key not in ("event", "absent", "within")}
    what = "|".join(when.get("event") or when["absent"])
    absent = f"no {what} within {cells.span(when['within']).shown}" if "absent" in when else what
    return " ".join([absent, *(f"{key}={'|'.join(value)}" for key, value in parts.items())])


def _event(session: Session, wanted: str) -> Event:
    from sqlalchemy import select

    from flowtell.store.tables import events

    for row in session.read(select(events.c.seq).where(events.c.id == wanted)):
        for event in session.store.log.read(row.seq - 1, 1):
            return event
    raise EventNotFound(wanted)


def _verdict(automation: Automation, event: Event) -> dict[str, Any]:
    from flowtell.automations.filling import fields_of, filled
    from flowtell.automations.matching import mismatch

    told: dict[str, Any] = {"automation": automation.name, "run": automation.run, "matches": False}
    if problem := mismatch(automation.when, event):
        return {**told, "problem": problem}
    if automation.when.absent:
        return {**told, "matches": True, "problem": "it is the absence of such an event that begins a run"}
    try:
        return {**told, "matches": True, "parameters": filled(automation.parameters, fields_of(event))}
    except NoSuchField as error:
        return {**told, "matches": True, "problem": str(error)}


def _verdict_row(verdict: dict[str, Any]) -> tuple[cells.Value, ...]:
    more = verdict.get("problem") or msgspec.json.encode(verdict["parameters"]).decode()
    return verdict["automation"], "yes" if verdict["matches"] else "no", verdict["run"], more
