"""`flowtell alerts ack`: say that somebody looks after an incident."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from flowtell.cli import cells
from flowtell.cli.actor import actor
from flowtell.cli.options import Json
from flowtell.cli.session import open_session
from flowtell.runner import system_clock
from flowtell_alerts.commands.saying import say
from flowtell_alerts.incidents import acknowledgement, shown
from flowtell_alerts.reading import get_incident

IncidentId = Annotated[str, Parameter(help="An incident's id, or the eight digits that tables show.")]


def acknowledge(*ids: IncidentId, by: str = "", json: Json = False) -> None:
    """Say that somebody looks after incidents. They stay open; reminders of them stop.

    Args:
        by: Who looks after them. Default: who runs this command.
    """
    with open_session(json=json) as session:
        found = [get_incident(session.read, wanted) for wanted in ids]
        now = system_clock()
        for event in [acknowledgement(incident, actor=by or actor(), now=now) for incident in found]:
            say(event)
        session.catch_up()
        after = [get_incident(session.read, incident.incident) for incident in found]
        if json:
            session.print_json([shown(incident) for incident in after])
            return
        for incident in after:
            who = incident.acknowledged_by or by or actor()
            session.say(
                f"Incident {cells.short_id(incident.incident).shown} of {incident.subject.name}: {who} looks after it."
            )


__all__ = ["IncidentId", "acknowledge"]
