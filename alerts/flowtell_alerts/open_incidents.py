"""The incidents that are open: in memory, in the evaluator's tables, and told to the log as they change."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace
from sqlalchemy import bindparam, delete, insert, select

from flowtell.events import Event, FlowRunFinished, FlowRunRemoved, FlowRunStarted, IncidentAcknowledged
from flowtell.ids import derived_id, moment_of
from flowtell.plugin import Context
from flowtell_alerts import tables
from flowtell_alerts._flow_graph import FlowGraph
from flowtell_alerts._inhibiting import Activity, Inhibiting
from flowtell_alerts._replacing import Replacing
from flowtell_alerts._rows import change_row, incident_of, incident_row
from flowtell_alerts._subject import SubjectKey
from flowtell_alerts.incidents import (
    FLAPS_WITHIN,
    Change,
    Incident,
    acknowledged_by,
    event_of,
    explained,
    name_of,
)
from flowtell_alerts.inhibition import SETTLE_AT_MOST

KEPT: Final = 365 * 86_400_000_000
"""µs that a resolved incident and its history are kept."""

UPDATES_KEPT: Final = 500
"""Changes of one incident after which a further run at fault is counted and has no row of its own."""

_INCIDENTS: Final = Replacing(tables.incidents)
_CHANGE: Final = insert(tables.changes)
_old = select(tables.incidents.c.incident).where(tables.incidents.c.resolved < bindparam("before"))
_DELETE_OLD_CHANGES: Final = delete(tables.changes).where(tables.changes.c.incident.in_(_old))
_DELETE_OLD: Final = delete(tables.incidents).where(tables.incidents.c.resolved < bindparam("before"))


class OpenIncidents:
    """For the evaluator's thread. What is applied is written and emitted in the transaction of the plugin's cursor."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._subjects: dict[SubjectKey, dict[str, Incident]] = defaultdict(dict)
        self._places: dict[str, tuple[SubjectKey, str]] = {}
        self._openings: dict[str, list[int]] = defaultdict(list)
        self._graph, self._activity = FlowGraph(context), Activity()
        self._inhibiting = Inhibiting(self._graph, self._activity, context.clock())
        self._restore()

    def _restore(self) -> None:
        """What is open, and of what is over as much as still counts."""
        now, known = self._context.clock(), tables.incidents.c
        still = known.resolved.is_(None)
        lately = (known.opened > now - FLAPS_WITHIN) | (known.resolved > now - SETTLE_AT_MOST)
        for row in self._context.read(select(tables.incidents).where(still | lately).order_by(known.opened)):
            incident = incident_of(row)
            self._openings[row.key].append(row.opened)
            if incident.resolved is None:
                self._put(incident.subject_key, incident)
            else:
                self._inhibiting.over(incident, incident.resolved)

    def of(self, subject: SubjectKey) -> Mapping[str, Incident]:
        """Those of one subject, by key."""
        return self._subjects.get(subject, {})

    def openings(self, key: str) -> list[int]:
        """When the latest incidents of the key opened."""
        return self._openings.get(key, [])

    def new_id(self, key: str, cause: str) -> str:
        """Derived from rule and cause; numbered where a late event made one cause begin two incidents."""
        column = tables.incidents.c.incident
        for number in itertools.count():
            incident = derived_id(moment_of(cause), "incident", key, cause, str(number))
            if not self._context.read(select(column).where(column == incident)):
                return incident
        raise AssertionError  # an endless loop has no end

    # --- changes --------------------------------------------------------------------------------------------------

    def apply(self, subject: SubjectKey, change: Change, now: int) -> None:
        """What the verdict made of an incident: kept, written into its history, told to the log."""
        if change.kind == "opened":
            cause = self._inhibiting.cause_of_new(change.incident, now)
            change = replace(change, incident=explained(change.incident, cause)) if cause else change
        counted = self._note(subject, change, now)
        self._context.emit(event_of(counted), cause=change.cause, name=name_of(counted))

    def tick(self, now: int) -> None:
        """Who is muted by what has opened meanwhile, and who is told after all."""
        for found in list(self._inhibiting.findings(now)):
            incident, cause = found.incident, found.cause
            told = cause.incident if cause is not None else incident.inhibited_by
            what = f"{'explained by' if cause else 'no longer explained by'} {told} {incident.changes}"
            subject, _ = self._places[incident.incident]
            self.apply(subject, Change("updated", explained(incident, cause), told, what=what), now)

    def next(self) -> int | None:
        """When `tick` may have something to do though nothing happens; None where never."""
        return self._inhibiting.next()

    def take(self, event: Event, runs: SubjectKey) -> None:
        """What an event of these runs says of what they make and read, and that they go on."""
        match event:
            case FlowRunStarted():
                self._activity.begins(runs, event.run)
            case FlowRunFinished() | FlowRunRemoved():
                self._activity.ends(runs, event.run, event.received or event.time)
            case _:
                self._graph.take(event, runs)

    def inside(self, runs: SubjectKey, outer: SubjectKey, event: Event) -> None:
        """A run has begun inside another."""
        self._graph.inside(runs, outer, event)

    def acknowledge(self, event: IncidentAcknowledged) -> None:
        """Somebody looks after an incident; nothing where it is over or not known."""
        if event.incident in self._places:
            subject, key = self._places[event.incident]
            change = acknowledged_by(self._subjects[subject][key], event, event.time)
            if change is not None:
                self._note(subject, change, event.time)

    def _note(self, subject: SubjectKey, change: Change, now: int) -> Change:
        known = self._subjects[subject].get(change.incident.key)
        # one batch may change an incident several times, and each change was made from the one before
        before = known.changes if known is not None and known.incident == change.incident.incident else 0
        incident = replace(change.incident, changes=before + 1)
        counted = replace(change, incident=incident)
        if change.kind == "resolved":
            self._subjects[subject].pop(incident.key, None)
            self._places.pop(incident.incident, None)
            self._inhibiting.over(incident, now)
        else:
            self._put(subject, incident)
        if change.kind == "opened":
            lately = [moment for moment in self._openings[incident.key] if moment > now - FLAPS_WITHIN]
            self._openings[incident.key] = [*lately, now]
        _INCIDENTS.write(self._context, [incident_row(incident)])
        if change.kind != "updated" or incident.changes <= UPDATES_KEPT or change.what:
            self._context.write(_CHANGE, [change_row(counted, now)])
        return counted

    def _put(self, subject: SubjectKey, incident: Incident) -> None:
        self._subjects[subject][incident.key] = incident
        self._places[incident.incident] = (subject, incident.key)
        self._inhibiting.put(incident)

    def clean(self, now: int) -> None:
        """Forget what was over long ago."""
        self._graph.forget(now)
        lately = {key: [at for at in opened if at > now - FLAPS_WITHIN] for key, opened in self._openings.items()}
        self._openings = defaultdict(list, {key: opened for key, opened in lately.items() if opened})
        before = [{"before": now - KEPT}]
        self._context.write(_DELETE_OLD_CHANGES, before)
        self._context.write(_DELETE_OLD, before)
