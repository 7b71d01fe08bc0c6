"""An incident: one period in which a rule did not hold. One is open per key, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from flowtell.events import Event, IncidentOpened, IncidentResolved, IncidentUpdated, RuleData, Subject
from flowtell_alerts._facts import FlowFacts
from flowtell_alerts._rules import Rule
from flowtell_alerts._verdict import RUNS_NAMED, Spell, Verdict

RULE_REMOVED = "rule removed"


class Incident(Struct, frozen=True, kw_only=True):
    """One period in which a rule did not hold. Moments are µs since the epoch."""

    incident: str
    key: str
    """Key of the rule and its subject: the same for every incident of the two."""
    flow: str
    environment: str
    rule: RuleData
    runs: tuple[str, ...]
    """The newest of the runs at fault, at most 20."""
    severity: str
    owners: tuple[str, ...] = ()
    since: int
    """When the rule ceased to hold."""
    opened: int
    """When that was found."""
    resolved: int | None = None
    """Since when it holds again; None while the incident is open."""
    reason: str
    evidence: dict[str, Any] = {}

    @property
    def subject(self) -> Subject:
        return Subject(kind="flow", name=self.flow)

    @property
    def latest_run(self) -> str:
        return self.runs[-1] if self.runs else ""


class Change(Struct, frozen=True):
    """What happened to an incident, and the event that made it happen (an id)."""

    kind: Literal["opened", "updated", "resolved"]
    incident: Incident
    cause: str


NewId = Callable[[str, str], str]
"""The id of a new incident of a key and a cause: always the same, and never that of an earlier one."""


def follow(
    incident: Incident | None, rule: Rule, facts: FlowFacts, verdict: Verdict, *, now: int, new_id: NewId
) -> Iterator[Change]:
    """What becomes of the open incident of `rule`, or of none, by the verdict at `now`."""
    for spell in verdict.spells:
        if incident is None:
            incident = _opened(rule, facts, spell, now, new_id)
            yield Change("opened", incident, spell.cause)
        elif new_runs := [run for run in spell.runs if run not in incident.runs]:
            incident = _updated(incident, spell, new_runs)
            yield Change("updated", incident, spell.cause)
        if spell.until is not None:
            yield resolved(incident, verdict.reason, spell.until, spell.closed_by)
            incident = None
    if incident is not None and verdict.holds:
        yield resolved(incident, verdict.reason, verdict.until or now, verdict.closed_by)


def resolved(incident: Incident, reason: str, until: int, cause: str) -> Change:
    """The incident's end. Its id stands in where no event is known to have caused it."""
    ended = replace(incident, resolved=max(until, incident.since), reason=str(reason))
    return Change("resolved", ended, cause or incident.incident)


def _opened(rule: Rule, facts: FlowFacts, spell: Spell, now: int, new_id: NewId) -> Incident:
    return Incident(
        incident=new_id(rule.key, spell.cause),
        key=rule.key,
        flow=rule.flow,
        environment=rule.environment,
        rule=rule.data,
        runs=spell.runs,
        severity=rule.data.severity,
        owners=facts.owners,
        since=spell.since,
        opened=now,
        reason=spell.text,
        evidence=spell.evidence,
    )


def _updated(incident: Incident, spell: Spell, new_runs: list[str]) -> Incident:
    runs = (*incident.runs, *new_runs)[-RUNS_NAMED:]
    return replace(incident, runs=runs, reason=spell.text, evidence=spell.evidence)


# --- as events ----------------------------------------------------------------------------------------------------

_EVENTS: Final = {"opened": IncidentOpened, "updated": IncidentUpdated, "resolved": IncidentResolved}


def event_of(change: Change) -> Event:
    """What the log is told of it."""
    incident = change.incident
    return _EVENTS[change.kind](
        run=incident.latest_run,
        flow=incident.flow,
        environment=incident.environment,
        incident=incident.incident,
        key=incident.key,
        rule=incident.rule,
        subject=incident.subject,
        runs=incident.runs,
        severity=incident.severity,
        owners=incident.owners,
        since=incident.since,
        reason=incident.reason,
        evidence=incident.evidence,
    )


def name_of(change: Change) -> str:
    """What tells this change from another of the same cause: an incident opens and ends once, and grows by a run."""
    incident = change.incident
    return f"{incident.incident} {incident.latest_run}" if change.kind == "updated" else incident.incident
