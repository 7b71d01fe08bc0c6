"""What pages, commands and other plugins ask of the alerts: incidents, and rules with their last verdict.

Each function takes a `read` that runs one SELECT, such as `Store.read` or a plugin's `context.read`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Column, Row, Select, Table, false, select

from flowtell.decoders import decoder
from flowtell.events import RuleData
from flowtell.store.tables import cursors
from flowtell_alerts import tables
from flowtell_alerts._declarations import Declared
from flowtell_alerts._rows import incident_of
from flowtell_alerts.errors import IncidentNotFound, SilenceNotFound
from flowtell_alerts.incidents import Incident
from flowtell_alerts.silences import Silence, silence_of

Read = Callable[[Select[Any]], Sequence[Row[Any]]]


class RuleStatus(Struct, frozen=True):
    """A rule that holds for some runs, and what was found when it was judged last."""

    key: str
    flow: str
    environment: str
    rule: RuleData
    verdict: str
    """A named reason, such as `the last run ended well`; empty until it was judged."""
    holds: bool | None
    """None where it was not judged yet, or is not understood."""
    changed: int | None
    """When the verdict became this one, in µs since the epoch."""
    deployment: str = ""
    """Whose runs it is about; empty for those of no deployment."""
    place: str = ""
    """Who states it: `tag`, `file` or `code`; `default` for one that others need and nobody states."""
    origin: str = ""
    """The tag, or file and line; empty where a flow's code did not say."""
    about: str = "flow"
    """Kind of its subject: `flow`, `asset`, `event` or `source`."""
    subject_name: str = ""


class Happened(Struct, frozen=True):
    """One change of an incident: a line of its history."""

    n: int
    """From 1. A number that is missing is of a run more at fault, of which only so many are kept."""
    kind: str
    """`opened`, `updated`, `acknowledged` or `resolved`."""
    at: int
    """When it was found, in µs since the epoch."""
    severity: str
    run: str
    inhibited_by: str
    actor: str
    reason: str


class FileRule(Struct, frozen=True):
    """A rule of a configuration file, as it is declared."""

    rule: RuleData
    origin: str


def incidents(
    read: Read,
    *,
    open_only: bool = False,
    flow: str = "",
    environment: str = "",
    kind: str = "",
    severity: str = "",
    limit: int = 100,
) -> list[Incident]:
    """Up to `limit` incidents, the newest first.

    Args:
        kind: only those of rules of this kind.
    """
    known = tables.incidents.c
    wanted = select(tables.incidents).order_by(known.opened.desc(), known.incident.desc())
    if open_only:
        wanted = wanted.where(known.resolved.is_(None))
    for column, value in ((known.flow, flow), (known.environment, environment), (known.severity, severity)):
        wanted = wanted.where(column == value) if value else wanted
    if kind:  # a key begins with the rule's kind
        wanted = wanted.where(known.key >= f"{kind}-", known.key < f"{kind}.")
    return [incident_of(row) for row in _rows(read, wanted.limit(limit))]


def get_incident(read: Read, id: str) -> Incident:
    """The incident by its id, the beginning of one, or the eight digits that tables show.

    Raises:
        IncidentNotFound: none has it, or several do.
    """
    found = _by_id(read, tables.incidents, tables.incidents.c.incident, id)
    if len(found) != 1:
        raise IncidentNotFound(id, several=bool(found))
    return incident_of(found[0])


def get_silence(read: Read, id: str, now: int) -> Silence:
    """The silence that holds now or later, by its id as `get_incident` takes one.

    Raises:
        SilenceNotFound: none has it, or several do.
    """
    rows = _by_id(read, tables.silences, tables.silences.c.silence, id)
    found = [silence for silence in map(silence_of, rows) if silence.matchers and now < silence.over]
    if len(found) != 1:
        raise SilenceNotFound(id, several=bool(found))
    return found[0]


def _by_id(read: Read, table: Table, column: Column[Any], id: str) -> Sequence[Row[Any]]:
    """Two rows at most. Of an id only the digits after the sixteenth are random from the first."""
    if not 0 < len(id) <= 32 or not set(id) <= set("0123456789abcdef"):
        return ()
    short = column.like(f"{'_' * 16}{id}%") if len(id) <= 16 else false()
    return _rows(read, select(table).where(column.like(f"{id}%") | short).limit(2))


def history(read: Read, incident: str) -> list[Happened]:
    """What happened to the incident of this id, in order."""
    wanted = select(tables.changes).where(tables.changes.c.incident == incident).order_by(tables.changes.c.n)
    names = Happened.__struct_fields__
    return [Happened(**{name: getattr(row, name) for name in names}) for row in _rows(read, wanted)]


def silences(read: Read, *, now: int | None = None, limit: int = 1000) -> list[Silence]:
    """Up to `limit` silences, those that end last first.

    Args:
        now: only those that hold then or later; None for those that are over too.
    """
    table = tables.silences
    wanted = select(table).where(table.c.matchers != "{}").order_by(table.c.until.desc(), table.c.silence)
    if now is not None:
        wanted = wanted.where(table.c.until > now, table.c.expired.is_(None))
    return [silence_of(row) for row in _rows(read, wanted.limit(limit))]


def rules(read: Read, *, flow: str = "", limit: int = 1000) -> list[RuleStatus]:
    """Up to `limit` rules by flow."""
    wanted = select(tables.rules).order_by(tables.rules.c.flow, tables.rules.c.environment, tables.rules.c.deployment)
    wanted = wanted.order_by(tables.rules.c.key)
    if flow:
        wanted = wanted.where(tables.rules.c.flow == flow)
    return [_status(row) for row in _rows(read, wanted.limit(limit))]


def file_rules(read: Read, *, limit: int = 1000) -> list[FileRule]:
    """Up to `limit` rules that configuration files state now, whether or not there are runs that they are about."""
    words = select(tables.declarations).where(tables.declarations.c.kind == "rule").limit(limit)
    declared = [decoder(Declared)(row.data) for row in _rows(read, words)]
    return [FileRule(word.rules[0], word.origin) for word in declared if not word.removed]


def _rows(read: Read, wanted: Select[Any]) -> Sequence[Row[Any]]:
    """None where the plugin has never committed anything: its tables may not be there, as where it is switched off."""
    has_run = read(select(cursors.c.plugin).where(cursors.c.plugin == "alerts"))
    return read(wanted) if has_run else ()


def _status(row: Row[Any]) -> RuleStatus:
    return RuleStatus(
        key=row.key,
        flow=row.flow,
        environment=row.environment,
        rule=decoder(RuleData)(row.rule),
        verdict=row.verdict,
        holds=None if row.holds is None else bool(row.holds),
        changed=row.changed,
        deployment=row.deployment,
        place=row.place,
        origin=row.origin,
        about=row.about,
        subject_name=row.subject_name,
    )


__all__ = [
    "FileRule",
    "Happened",
    "Incident",
    "Read",
    "RuleStatus",
    "Silence",
    "file_rules",
    "get_incident",
    "get_silence",
    "history",
    "incidents",
    "rules",
    "silences",
]
