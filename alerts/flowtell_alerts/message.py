"""What a channel is given to say: one incident, opened or resolved, in texts of bounded length and without secrets.

Names, types and numbers go out; the message of an exception, a parameter or a result does not: it may hold a secret.
Encoded as JSON a message has at most 16 kB, whatever the incident holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

from msgspec import Struct

from flowtell.events import IncidentOpened, IncidentResolved

MAX_NAME: Final = 200
"""Characters of a name: flow, environment, owner, key."""

MAX_TEXT: Final = 500
"""Characters of the reason and of a link."""

MAX_LISTED: Final = 20
"""Runs and owners that are listed."""

Kind = Literal["opened", "resolved"]


class Subject(Struct, frozen=True):
    kind: str
    name: str


class RuleShown(Struct, frozen=True):
    kind: str
    arguments: dict[str, float | str | bool | None]


class IncidentShown(Struct, frozen=True):
    """The incident as the webhook's receiver reads it. Moments are µs since the epoch, ids 32 hex digits."""

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


class Message(Struct, frozen=True):
    """One message about an incident. `id` is the same however often it is sent."""

    id: str
    kind: Kind
    incident: IncidentShown
    url: str = ""
    """Page of the newest run, where the configuration says where the pages are."""


def message_of(event: IncidentOpened | IncidentResolved, base_url: str = "") -> Message:
    """The message about an incident's event."""
    return Message(
        id=clean(event.id),
        kind="opened" if isinstance(event, IncidentOpened) else "resolved",
        incident=_shown(event),
        url=clean(f"{base_url.rstrip('/')}/runs/{event.run}", MAX_TEXT) if base_url and event.run else "",
    )


def _shown(event: IncidentOpened | IncidentResolved) -> IncidentShown:
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


def _listed(names: Iterable[str]) -> list[str]:
    return [clean(name, MAX_NAME // 2) for name in tuple(names)[-MAX_LISTED:]]


def _arguments(arguments: dict[str, Any]) -> dict[str, float | str | bool | None]:
    simple = {name: value for name, value in arguments.items() if isinstance(value, float | int | str | bool | None)}
    return {clean(name): clean(value) if isinstance(value, str) else value for name, value in list(simple.items())[:10]}


def clean(text: str, limit: int = MAX_NAME) -> str:
    """One line of printable characters, cut with a mark: no name can steer a terminal or fill a page."""
    cut = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return cut if cut.isprintable() else "".join(char if char.isprintable() else " " for char in cut)
