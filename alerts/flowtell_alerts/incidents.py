"""An incident: one period in which a rule did not hold. One is open per key, or none.

It is firing from its opening, or pending as long as another incident explains it; acknowledged once somebody said that he
looks after it, resolved in the end. A rule that breaks and holds again and again is damped: the third incident within an
hour says that it flaps, and stays open until the rule has held for half an hour on end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Literal

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from flowtell.events import Event, IncidentAcknowledged, IncidentOpened, IncidentResolved, IncidentUpdated, RuleData, Subject
from flowtell.ids import new_id
from flowtell_alerts._kind import HOUR
from flowtell_alerts._known import Known
from flowtell_alerts._rules import Rule
from flowtell_alerts._subject import FLOW, SubjectKey, runs_of
from flowtell_alerts._verdict import RUNS_NAMED, Spell, Verdict
from flowtell_alerts.errors import IncidentOver
from flowtell_alerts.muting import FLAPPING_FACT

RULE_REMOVED = "rule removed"

FLAPS_AT: Final = 3
"""Incidents of one key within `FLAPS_WITHIN` that make it flap; the third one is told of as flapping."""

FLAPS_WITHIN: Final = HOUR
"""µs in which openings are counted."""

QUIET: Final = HOUR // 2
"""µs that a rule that flapped must hold on end before its incident is resolved."""

_MAX_TEXT: Final = 200

EXPLAINED_BY: Final = "explained_by"
"""Key of the evidence that names the incident which explains this one."""

State = Literal["pending", "firing", "acknowledged", "resolved"]

_APART: Final = "@"


class Incident(Struct, frozen=True, kw_only=True):
    """One period in which a rule did not hold. Moments are µs since the epoch."""

    incident: str
    key: str
    """Key of the rule and its subject, and of what tells its incidents apart, such as a due time: one of it is open."""
    flow: str
    environment: str
    deployment: str = ""
    """Whose runs it is about; empty for those of no deployment."""
    about: str = FLOW
    """Kind of its subject."""
    subject_name: str = ""
    due: int | None = None
    """The due time that it is about, where it is about one."""
    rule: RuleData
    runs: tuple[str, ...]
    """The newest of the runs at fault, at most 20."""
    severity: str
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    """The flow's and the deployment's."""
    since: int
    """When the rule ceased to hold."""
    opened: int
    """When that was found."""
    resolved: int | None = None
    """Since when it holds again; None while the incident is open."""
    reason: str
    evidence: dict[str, Any] = {}
    acknowledged: int | None = None
    """When somebody said first that he looks after it."""
    acknowledged_by: str = ""
    inhibited_by: str = ""
    """Id of the incident that explains this one and is told in its stead."""
    quiet_since: int | None = None
    """Since when the rule holds, of an incident that flaps and so stays open."""
    changes: int = 0
    """How many times it has changed, its opening included."""

    @property
    def rule_key(self) -> str:
        return self.key.partition(_APART)[0]

    @property
    def identity(self) -> str:
        """What tells it apart from others of its rule."""
        return self.key.partition(_APART)[2]

    @property
    def subject_key(self) -> SubjectKey:
        if self.about == FLOW:
            return runs_of(self.flow, self.environment, self.deployment)
        return SubjectKey(self.about, self.subject_name, self.environment)

    @property
    def subject(self) -> Subject:
        if self.about != FLOW:
            return Subject(kind=self.about, name=self.subject_name)
        if self.deployment:
            return Subject(kind="deployment", name=f"{self.flow}/{self.deployment}")
        return Subject(kind="flow", name=self.flow)

    @property
    def latest_run(self) -> str:
        return self.runs[-1] if self.runs else ""

    @property
    def state(self) -> State:
        if self.resolved is not None:
            return "resolved"
        if self.acknowledged is not None:
            return "acknowledged"
        return "pending" if self.inhibited_by else "firing"

    @property
    def flaps(self) -> bool:
        return FLAPPING_FACT in self.evidence

    @property
    def group(self) -> str:
        """What is told together where much happens at once: incidents of one kind of rule in one environment."""
        return f"{self.environment}/{self.rule.kind}"

    @property
    def again(self) -> int | None:
        """When it must be looked at though nothing happens."""
        return None if self.quiet_since is None else self.quiet_since + QUIET


def shown(incident: Incident) -> dict[str, Any]:
    """An incident as JSON has it: with its state and its subject."""
    return {**to_builtins(incident), "state": incident.state, "subject": to_builtins(incident.subject)}


ChangeKind = Literal["opened", "updated", "acknowledged", "resolved"]


class Change(Struct, frozen=True):
    """What happened to an incident, and the event that made it happen (an id)."""

    kind: ChangeKind
    incident: Incident
    cause: str
    what: str = ""
    """Of an update: what changed, where it is not that one more run is at fault."""
    actor: str = ""


NewId = Callable[[str, str], str]
"""The id of a new incident of a key and a cause: always the same, and never that of an earlier one."""


def key_of(rule: Rule, identity: str) -> str:
    """Key of those incidents of a rule that have this in common; of the rule itself where it has one at a time."""
    return f"{rule.key}{_APART}{identity}" if identity else rule.key


# --- by the verdict -----------------------------------------------------------------------------------------------


def follow(
    incident: Incident | None,
    rule: Rule,
    known: Known,
    verdict: Verdict,
    *,
    now: int,
    new_id: NewId,
    openings: Sequence[int] = (),
) -> Iterator[Change]:
    """What becomes of an open incident of `rule`, or of none, by what the verdict at `now` says of it apart.

    Args:
        openings: when earlier incidents of the key opened.
    """
    openings = list(openings)
    if incident is not None and incident.severity != rule.data.severity:
        incident = replace(incident, severity=rule.data.severity, rule=rule.data)
        yield Change("updated", incident, known.declaration or incident.incident, what=f"severity {incident.severity}")
    for spell in verdict.spells:
        if incident is None and not spell.opens:
            continue
        if incident is None:
            openings.append(now)
            incident = _damped(_opened(rule, known, spell, now, new_id), openings)
            yield Change("opened", incident, spell.cause)
        elif _grows(incident, spell):
            incident = _updated(incident, spell)
            yield Change("updated", incident, spell.cause, what="broken" if not spell.runs else "")
        if spell.until is not None and (
            change := _ending(incident, spell.end or verdict.reason, spell.until, spell.closed_by, now)
        ):
            incident = None if change.kind == "resolved" else change.incident
            yield change
    if incident is not None and verdict.known and verdict.holds:
        change = _ending(incident, verdict.reason, verdict.until or now, verdict.closed_by, now)
        if change is not None:
            yield change


def _grows(incident: Incident, spell: Spell) -> bool:
    """A run more is at fault, or what flaps is broken again; the run that answers a due time at last is not at fault."""
    if spell.due is not None and spell.until is not None:
        return False
    again = incident.quiet_since is not None and (spell.until or spell.since) > incident.quiet_since
    return again or any(run not in incident.runs for run in spell.runs)


def _ending(incident: Incident, reason: str, until: int, cause: str, now: int) -> Change | None:
    """Its end; of one that flaps only when the rule has held long enough, None until then."""
    if not incident.flaps:
        return resolved(incident, reason, until, cause)
    if incident.quiet_since is None:
        quiet = replace(incident, quiet_since=until, reason=f"{reason}, for now: {_flapping_text(incident)}")
        return Change("updated", quiet, cause or incident.incident, what=f"quiet {until}")
    if now - incident.quiet_since < QUIET:
        return None
    return resolved(incident, reason, incident.quiet_since, cause)


def resolved(incident: Incident, reason: str, until: int, cause: str) -> Change:
    """The incident's end. Its id stands in where no event is known to have caused it."""
    ended = replace(incident, resolved=max(until, incident.since), reason=str(reason), inhibited_by="", quiet_since=None)
    return Change("resolved", ended, cause or incident.incident)


def _opened(rule: Rule, known: Known, spell: Spell, now: int, new_id: NewId) -> Incident:
    key = key_of(rule, spell.identity)
    return Incident(
        incident=new_id(key, spell.cause),
        key=key,
        flow=rule.runs.name,
        environment=rule.subject.environment,
        deployment=rule.runs.deployment,
        about=rule.subject.kind,
        subject_name=rule.subject.name,
        due=spell.due,
        rule=rule.data,
        runs=spell.runs,
        severity=rule.data.severity,
        owners=known.owners,
        tags=known.tags,
        since=spell.since,
        opened=now,
        reason=spell.text,
        evidence=spell.evidence,
    )


def _updated(incident: Incident, spell: Spell) -> Incident:
    new_runs = [run for run in spell.runs if run not in incident.runs]
    runs = (*incident.runs, *new_runs)[-RUNS_NAMED:]
    own = {key: incident.evidence[key] for key in (FLAPPING_FACT, EXPLAINED_BY) if key in incident.evidence}
    return replace(incident, runs=runs, reason=spell.text, evidence={**spell.evidence, **own}, quiet_since=None)


# --- flapping -----------------------------------------------------------------------------------------------------


def _damped(incident: Incident, openings: Iterable[int]) -> Incident:
    """Marked as flapping where its key has opened too often."""
    lately = sum(moment > incident.opened - FLAPS_WITHIN for moment in openings)
    if lately < FLAPS_AT:
        return incident
    fact = {"opened": lately, "within": FLAPS_WITHIN / 1e6, "quiet": QUIET / 1e6}
    marked = replace(incident, evidence={**incident.evidence, FLAPPING_FACT: fact})
    return replace(marked, reason=f"{incident.reason}; {_flapping_text(marked)}")


def _flapping_text(incident: Incident) -> str:
    opened = incident.evidence[FLAPPING_FACT]["opened"]
    return f"it flaps ({opened} incidents within an hour) and stays open until the rule has held for 30 min"


# --- by other incidents -------------------------------------------------------------------------------------------


def explained(incident: Incident, cause: Incident | None) -> Incident:
    """The incident with what explains it, or with nothing that does any longer."""
    evidence = {key: value for key, value in incident.evidence.items() if key != EXPLAINED_BY}
    if cause is None:
        return replace(incident, inhibited_by="", evidence=evidence)
    named = {"incident": cause.incident, "rule": cause.rule.kind, "subject": cause.subject.name, "since": cause.since}
    return replace(incident, inhibited_by=cause.incident, evidence={**evidence, EXPLAINED_BY: named})


# --- by people ----------------------------------------------------------------------------------------------------


def acknowledged_by(incident: Incident, event: IncidentAcknowledged, at: int) -> Change | None:
    """The incident looked after; None where it is over or was acknowledged before by the same person."""
    actor = event.actor[:_MAX_TEXT] or "somebody"
    if incident.resolved is not None or incident.acknowledged_by == actor:
        return None
    return Change("acknowledged", replace(incident, acknowledged=at, acknowledged_by=actor), event.id, actor=actor)


def acknowledgement(incident: Incident, *, actor: str, now: int) -> IncidentAcknowledged:
    """The event by which `actor` says that he looks after the incident.

    Raises:
        IncidentOver: it is resolved.
    """
    if incident.resolved is not None:
        raise IncidentOver(incident.incident)
    told = incident_event("acknowledged", incident, id=new_id(now), time=now, actor=actor[:_MAX_TEXT])
    assert isinstance(told, IncidentAcknowledged)
    return told


# --- as events ----------------------------------------------------------------------------------------------------

_EVENTS: Final = {
    "opened": IncidentOpened,
    "updated": IncidentUpdated,
    "acknowledged": IncidentAcknowledged,
    "resolved": IncidentResolved,
}


def event_of(change: Change) -> Event:
    """What the log is told of it."""
    return incident_event(change.kind, change.incident, actor=change.actor)


def incident_event(kind: ChangeKind, incident: Incident, **facts: Any) -> Event:
    """An event about the incident as it is; `facts` are further fields of the event."""
    return _EVENTS[kind](
        run=incident.latest_run,
        flow=incident.flow,
        environment=incident.environment,
        deployment=incident.deployment,
        due=incident.due,
        incident=incident.incident,
        key=incident.key,
        rule=incident.rule,
        subject=incident.subject,
        runs=incident.runs,
        severity=incident.severity,
        owners=incident.owners,
        tags=incident.tags,
        since=incident.since,
        reason=incident.reason,
        evidence=incident.evidence,
        inhibited_by=incident.inhibited_by,
        group=incident.group,
        **facts,
    )


def name_of(change: Change) -> str:
    """What tells this change from another of the same cause: an incident opens and ends once, and grows by a run."""
    incident = change.incident
    if change.kind != "updated":
        return incident.incident
    return " ".join(part for part in (incident.incident, incident.latest_run, change.what) if part)
