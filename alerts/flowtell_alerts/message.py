"""What a channel is given to say: one incident, or a digest of many, in texts of bounded length and without secrets.

Names, types and numbers go out; the message of an exception, a parameter or a result does not: it may hold a secret.
Encoded as JSON a message has at most 64 kB, whatever the incident holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from flowtell.events import (
    DeploymentDeclared,
    IncidentAcknowledged,
    IncidentOpened,
    IncidentResolved,
    IncidentUpdated,
    Receipt,
)
from flowtell_alerts._evidence import in_words

MAX_NAME: Final = 200
"""Characters of a name: flow, environment, owner, key."""

MAX_TEXT: Final = 500
"""Characters of the reason and of a link."""

MAX_LISTED: Final = 20
"""Runs and owners that are listed."""

Kind = Literal["opened", "updated", "acknowledged", "resolved", "repeat", "test", "changed"]
IncidentEvent = IncidentOpened | IncidentUpdated | IncidentAcknowledged | IncidentResolved


class Subject(Struct, frozen=True):
    kind: str
    name: str


class RuleShown(Struct, frozen=True):
    kind: str
    arguments: dict[str, float | str | bool | None]


class IncidentShown(Struct, frozen=True):
    """The incident as a channel's receiver reads it. Moments are µs since the epoch, ids 32 hex digits."""

    id: str
    key: str
    rule: RuleShown
    severity: str
    subject: Subject
    environment: str
    runs: list[str]
    since: int
    reason: str
    owners: list[str]
    runbook: str


class Guilty(Struct, frozen=True):
    """One subject of a digest."""

    name: str
    incidents: int
    open: int


class Digest(Struct, frozen=True):
    """Many incidents of one rule kind in one environment, told as one. The counts are exact when the message is made."""

    incidents: int
    open: int
    subjects: int
    guilty: list[Guilty]
    """The ten with the most open incidents; the others are `subjects` less these."""


class Link(Struct, frozen=True):
    title: str
    url: str


class Message(Struct, frozen=True):
    """One message. `id` is the same however often it is sent, `incident.id` the same for all about one thing."""

    id: str
    kind: Kind
    incident: IncidentShown
    """A digest and a test have one too, under an id of their own: a channel need not tell them apart."""
    url: str = ""
    """Page of the newest run, else of the incident, where the configuration says where the pages are."""
    links: list[Link] = []
    """All pages there are, that of the run among them."""
    facts: dict[str, str] = {}
    """The evidence in words: reference, due time, bound."""
    acknowledged_by: str = ""
    why: list[str] = []
    """What the log tells of the cause, the answer first: see `flowtell.why`."""
    digest: Digest | None = None
    before: Receipt | None = None
    """What the channel answered when it told of the same thing first: what to update, or where to go on."""

    @property
    def open(self) -> bool:
        return self.kind != "resolved"


class Pages(Struct, frozen=True):
    """Where people look: set once by the configuration."""

    base: str = ""
    """The server's own pages."""
    trace: str = ""
    """A trace, with `{trace}` in the place of its id."""


_KINDS: Final[dict[type, Kind]] = {
    IncidentOpened: "opened",
    IncidentUpdated: "updated",
    IncidentAcknowledged: "acknowledged",
    IncidentResolved: "resolved",
}


def kind_of(event: IncidentEvent) -> Kind:
    return _KINDS[type(event)]


def message_of(
    event: IncidentEvent,
    pages: Pages | str = "",
    *,
    id: str = "",
    kind: Kind | None = None,
    acknowledged_by: str = "",
    why: Iterable[str] = (),
    before: Receipt | None = None,
) -> Message:
    """The message about an incident's event; of the event's own kind and id unless others are given."""
    pages = Pages(pages) if isinstance(pages, str) else pages
    links = _links(event, pages)
    return Message(
        id=clean(id or event.id),
        kind=kind or kind_of(event),
        incident=_shown(event),
        url=links[0].url if pages.base else "",
        links=links,
        facts=_facts(event.evidence, event.rule.kind if event.rule else ""),
        acknowledged_by=clean(acknowledged_by, MAX_NAME // 2),
        why=list(why),
        before=before,
    )


def digest_message(
    id: str, kind: Kind, incident: IncidentShown, digest: Digest, *, pages: Pages, before: Receipt | None
) -> Message:
    """One message for all the incidents of a digest."""
    base = pages.base.rstrip("/")
    links = [Link("Incidents", f"{base}/alerts")] if base else []
    return Message(id, kind, incident, links[0].url if links else "", links, digest=digest, before=before)


def message_of_test(id: str, channel: str, actor: str, now: int, pages: Pages) -> Message:
    """A message that says that it can be read."""
    reason = f"This is a test of the channel '{clean(channel)}'. Nothing is wrong."
    links = [Link("Server", pages.base)] if pages.base else []
    shown = IncidentShown(
        id, "test", RuleShown("test", {}), "info", Subject("channel", clean(channel)), "", [], now, reason, [], ""
    )
    return Message(id, "test", shown, pages.base, links, facts={"asked for by": clean(actor)} if actor else {})


def message_of_change(topic: str, id: str, event: DeploymentDeclared, before: str, *, pages: Pages) -> Message:
    """A deployment has another version than before. Nothing is wrong."""
    name = clean(f"{event.flow}/{event.deployment}")
    reason = f"version {clean(event.version)} of {name} is deployed, after {clean(before)}"
    links = [Link("Server", pages.base)] if pages.base else []
    subject, owners = Subject("deployment", name), _listed(event.owners)
    environment, at = clean(event.environment), event.time
    shown = IncidentShown(topic, "change", RuleShown("", {}), "info", subject, environment, [], at, reason, owners, "")
    return Message(id, "changed", shown, pages.base, links, facts={"version": clean(event.version), "before": clean(before)})


# --- parts ----------------------------------------------------------------------------------------------------------


def _shown(event: IncidentEvent) -> IncidentShown:
    rule, subject = event.rule, event.subject
    return IncidentShown(
        id=clean(event.incident),
        key=clean(event.key),
        rule=RuleShown(clean(rule.kind), _arguments(rule.arguments)) if rule else RuleShown("", {}),
        severity=clean(event.severity),
        subject=Subject(clean(subject.kind), clean(subject.name)) if subject else Subject("", ""),
        environment=clean(event.environment),
        runs=_listed(event.runs),
        since=event.since or event.time,
        reason=clean(event.reason, MAX_TEXT),
        owners=_listed(event.owners),
        runbook=clean(rule.runbook, MAX_TEXT) if rule else "",
    )


def _links(event: IncidentEvent, pages: Pages) -> list[Link]:
    """Run, incident, trace and runbook, each only where there is one."""
    base, runbook = pages.base.rstrip("/"), event.rule.runbook if event.rule else ""
    found = [
        ("Run", f"{base}/runs/{event.run}" if base and event.run else ""),
        ("Incident", f"{base}/incidents/{event.incident}" if base else ""),
        ("Trace", pages.trace.replace("{trace}", event.root_run or event.run or "") if event.run else ""),
        ("Runbook", runbook if runbook.startswith(("https://", "http://")) else ""),
    ]
    return [Link(title, clean(url, MAX_TEXT)) for title, url in found if url]


def _listed(names: Iterable[str]) -> list[str]:
    return [clean(name, MAX_NAME // 2) for name in tuple(names)[-MAX_LISTED:]]


def _arguments(arguments: dict[str, Any]) -> dict[str, float | str | bool | None]:
    simple = {name: value for name, value in arguments.items() if isinstance(value, float | int | str | bool | None)}
    return {clean(name): clean(value) if isinstance(value, str) else value for name, value in list(simple.items())[:10]}


def _facts(evidence: Mapping[str, Any], rule_kind: str) -> dict[str, str]:
    return {clean(name, 50): clean(word) for name, word in in_words(evidence, rule_kind).items()}


def clean(text: str, limit: int = MAX_NAME) -> str:
    """One line of printable characters, cut with a mark: no name can steer a terminal or fill a page."""
    cut = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return cut if cut.isprintable() else "".join(char if char.isprintable() else " " for char in cut)
