"""List the deployments of this home with their next due times; remove one that is served no more."""

from __future__ import annotations

import difflib
import time
from typing import Annotated

from cyclopts import App, Parameter

from flowtell import bus
from flowtell.cli import cells
from flowtell.cli.options import Json
from flowtell.cli.output import Output
from flowtell.config import load
from flowtell.engine.serving.ledger import Card, Listed, list_ledgers, remove_ledger
from flowtell.errors import DeploymentNotFound, DeploymentServed
from flowtell.events import DeploymentRemoved
from flowtell.ids import new_id
from flowtell.schedules import next_due

app = App(name="deployments")


@app.default
def deployments(*, json: Json = False) -> None:
    """List the deployments that were served from this home, with their next due times."""
    output = Output(json=json)
    now = time.time_ns() // 1000
    found = list_ledgers(load().home)
    if json:
        output.print_json(
            [{"name": one.card.full_name, "next_due": _next_due(one.card, now), **_fields(one)} for one in found]
        )
    elif not found:
        output.say("No deployments yet. Serve a flow: flowtell serve FILE.py:FLOW --cron '0 2 * * *'")
    else:
        columns = ("deployment", "environment", "schedules", "next due", "served by")
        output.print_table(columns, [_row(one, now) for one in found])


@app.command
def remove(
    name: Annotated[str, Parameter(help="FLOW/NAME, as the list has it.")],
    /,
    *,
    environment: Annotated[str, Parameter(name=["--environment", "--env"])] = "",
) -> None:
    """Forget a deployment and what waits in it, and say so: nothing is late then for not being served."""
    home = load().home
    known = list_ledgers(home)
    found = [one for one in known if one.card.full_name == name and environment in ("", one.card.environment)]
    if not found:
        close = difflib.get_close_matches(name, [one.card.full_name for one in known], n=1)
        raise DeploymentNotFound(name, close[0] if close else "")
    for one in found:
        if not remove_ledger(home, one.card):
            raise DeploymentServed(name, one.pid or "unknown")
        _say_removed(one.card)
    Output().say(f"Removed {name}.")


def _say_removed(card: Card) -> None:
    now = time.time_ns() // 1000
    bus.emit(
        DeploymentRemoved(
            id=new_id(now), time=now, flow=card.flow, deployment=card.deployment, environment=card.environment
        )
    )  # fmt: skip


def _row(one: Listed, now: int) -> tuple[cells.Value, ...]:
    card = one.card
    due = "paused" if card.paused else cells.moment(_next_due(card, now))
    return card.full_name, card.environment, ", ".join(schedule.id for schedule in card.schedules), due, one.pid


def _fields(one: Listed) -> dict[str, object]:
    return {"environment": one.card.environment, "schedules": one.card.schedules, "paused": one.card.paused, "pid": one.pid}


def _next_due(card: Card, now: int) -> int | None:
    """In µs; None where nothing is due any more, or while it is paused."""
    active = [schedule for schedule in card.schedules if schedule.active and not card.paused]
    return min((due for one in active if (due := next_due(one, now)) is not None), default=None)
