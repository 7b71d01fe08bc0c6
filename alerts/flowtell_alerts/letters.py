"""A letter: all that one channel is to be told of one thing, and what it knows. What becomes of it is decided here.

Pure: an event, a moment and what the channel wants give the letter anew. States: `waiting` to be sent, `sending` while
an attempt is under way, `muted` while something says that nobody is to be told, `joined` to a digest that tells of it,
`told` while there is nothing more to say, `dead` when it was given up, `over` when there will be nothing more to say.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from flowtell.decoders import decoder
from flowtell.events import (
    DeploymentDeclared,
    Event,
    IncidentAcknowledged,
    IncidentOpened,
    IncidentResolved,
    Receipt,
    decode,
    encode,
)
from flowtell.ids import derived_id
from flowtell_alerts.channels import Channel
from flowtell_alerts.message import IncidentEvent, Kind, clean, kind_of

HOUR: Final = 3_600_000_000
"""µs after which an incident that nobody was told of is history."""

State = Literal["waiting", "sending", "muted", "joined", "told", "dead", "over"]

LetterKey = tuple[str, str]
"""Topic and channel."""

_RANK: Final = {"opened": 0, "repeat": 1, "updated": 1, "acknowledged": 2, "resolved": 3}
"""What is still unsaid gives way to what weighs more."""

_SECOND: Final = 1_000_000


class Letter(Struct, frozen=True):
    """One row of the outbox; `flowtell_alerts.outbox` says what each column holds."""

    topic: str
    channel: str
    about: str
    state: State
    kind: Kind
    message: str
    line: bytes
    since: int
    queued: int
    next_attempt: int
    changed: int
    told: str = ""
    first: str = ""
    rule_kind: str = ""
    environment: str = ""
    subject: str = ""
    severity: str = ""
    acknowledged_by: str = ""
    attempts: int = 0
    claim: str = ""
    told_at: int = 0
    repeat_at: int = 0
    joined_at: int = 0
    version: str = ""
    version_before: str = ""
    digest: str = ""
    receipt: str = ""
    problem: str = ""

    @property
    def key(self) -> LetterKey:
        return self.topic, self.channel

    @property
    def event(self) -> Event:
        return decode(self.line)

    @property
    def says(self) -> Kind:
        """The kind of message that goes next: who knows nothing yet is told that it opened."""
        return self.kind if self.told or self.about in ("test", "change") else "opened"

    @property
    def message_id(self) -> str:
        """Id of that message: the same for each attempt."""
        return self.first if self.says == "opened" and self.first else self.message

    @property
    def before(self) -> Receipt | None:
        return decoder(Receipt)(self.receipt) if self.receipt else None

    def waits(self, now: int, kind: Kind | None = None, message: str = "") -> Letter:
        """To be sent at once."""
        return replace(
            self, state="waiting", kind=kind or self.kind, message=message or self.message, queued=now, attempts=0,
            next_attempt=now, claim="", changed=now, problem="",
        )  # fmt: skip

    def set_back(self, ahead: int) -> Letter:
        """Its moments by a clock that was so far ahead, in µs, put to this one's."""

        def moment(then: int) -> int:
            return then - ahead if then > 0 else then

        return replace(
            self, queued=moment(self.queued), next_attempt=moment(self.next_attempt), told_at=moment(self.told_at),
            repeat_at=moment(self.repeat_at), joined_at=moment(self.joined_at), changed=moment(self.changed),
        )  # fmt: skip

    def over(self, now: int) -> Letter:
        """With nothing more to say."""
        return replace(self, state="over", changed=now, line=b"", claim="", repeat_at=0)


def letter_about(event: IncidentEvent, channel: str, now: int, *, muted: str = "") -> Letter:
    """A new letter, to go at once unless it is muted."""
    since = event.since or event.time
    return Letter(
        topic=event.incident,
        channel=channel,
        about="incident",
        state="muted" if muted else "waiting",
        kind="opened",
        message=event.id,
        first=event.id,
        line=encode(event),
        since=since,
        queued=now,
        next_attempt=now,
        changed=now,
        rule_kind=clean(event.rule.kind if event.rule else ""),
        environment=clean(event.environment),
        subject=clean(event.subject.name if event.subject else event.flow or ""),
        severity=clean(event.severity),
        problem=clean(muted),
    )


# --- what an event makes of a letter ------------------------------------------------------------------------------


def answer_to(event: IncidentEvent, channel: Channel, letter: Letter | None, now: int, muted: str = "") -> Letter | None:
    """The letter as it is after `event`; None where nothing changes.

    Args:
        muted: why nobody is to be told, or empty.
    """
    if letter is None:
        begins = isinstance(event, IncidentOpened) and now - (event.since or event.time) <= HOUR
        return letter_about(event, channel.name, now, muted=muted) if begins else None
    if letter.state == "over" or isinstance(event, IncidentOpened):
        return None
    if isinstance(event, IncidentResolved):
        return _ended(event, letter, now)
    return _went_on(event, channel, letter, now, muted)


def _ended(event: IncidentResolved, letter: Letter, now: int) -> Letter:
    """Who was told that it began is told that it is over, and nobody else."""
    if letter.state == "joined" or (not letter.told and letter.state != "sending"):
        return replace(letter, kind="resolved").over(now)
    ended = replace(letter, kind="resolved", message=event.id, line=encode(event), repeat_at=0)
    return replace(ended, changed=now) if letter.state == "sending" else ended.waits(now)


def _went_on(event: IncidentEvent, channel: Channel, letter: Letter, now: int, muted: str) -> Letter | None:
    kind = kind_of(event)
    acknowledged = letter.acknowledged_by
    if isinstance(event, IncidentAcknowledged):
        acknowledged = clean(event.actor or "somebody", 100)
    if letter.state == "joined":
        return replace(letter, acknowledged_by=acknowledged, changed=now)
    newer = replace(letter, acknowledged_by=acknowledged, changed=now)
    if not isinstance(event, IncidentAcknowledged):
        newer = replace(newer, line=encode(event), severity=clean(event.severity))
    elif not channel.refresh_seconds:
        newer = replace(newer, repeat_at=0)
    if kind not in channel.tells or (muted and kind == "updated"):
        return newer
    outranks = _RANK[kind] >= _RANK[letter.kind] or letter.state == "told"
    if outranks:
        newer = replace(newer, kind=kind, message=event.id)
    said = letter.state == "told" or (letter.state == "dead" and letter.told)
    return newer.waits(now) if said else newer


def change_to(event: DeploymentDeclared, channel: Channel, letter: Letter | None, now: int) -> Letter | None:
    """The letter about a deployment's versions as it is after `event`; None where nothing changes.

    The first version that is seen is noted and not told: nobody changed anything.
    """
    if "changed" not in channel.tells or not event.version or (letter is not None and letter.version == event.version):
        return None
    subject = clean(f"{event.flow}/{event.deployment}")
    if letter is None:
        return Letter(
            topic=change_topic(event), channel=channel.name, about="change", state="told", kind="changed", message=event.id,
            line=b"", since=event.time, queued=now, next_attempt=now, changed=now, version=event.version,
            environment=clean(event.environment), subject=subject, severity="info",
        )  # fmt: skip
    before = letter.version if letter.state == "told" else letter.version_before
    newer = replace(letter, version=event.version, version_before=before, line=encode(event), message=event.id, changed=now)
    return newer if letter.state == "sending" or now - event.time > HOUR else newer.waits(now)


def change_topic(event: DeploymentDeclared) -> str:
    """One for each deployment, however often it changes."""
    return derived_id(0, "change", event.flow, event.deployment, event.environment)


# --- what an attempt makes of a letter ----------------------------------------------------------------------------


def sent(letter: Letter, said: Kind, receipt: Receipt, channel: Channel, now: int, *, version: str) -> Letter:
    """The channel has taken a message of kind `said`.

    Args:
        letter: as it is now; an event may have changed it during the attempt.
        version: what `letter.message` was when the attempt began.
    """
    known = letter.receipt if letter.told and letter.receipt else msgspec.json.encode(receipt).decode()
    told = replace(
        letter, state="told", told=said, told_at=now, receipt=known, claim="", attempts=0, problem="", changed=now,
        repeat_at=next_time(letter, channel, now),
    )  # fmt: skip
    if said in ("resolved", "test"):
        return told.over(now)
    news = letter.message != version and letter.kind in channel.tells
    owed = letter.kind == "acknowledged" and said == "opened" and letter.kind in channel.tells
    return told.waits(now) if letter.kind == "resolved" or news or owed else told


def next_time(letter: Letter, channel: Channel, now: int) -> int:
    """When it is to be said again; 0 for never."""
    if channel.refresh_seconds:
        return now + int(channel.refresh_seconds * _SECOND)
    remind = channel.repeat_seconds > 0 and not letter.acknowledged_by and letter.about in ("incident", "digest")
    return now + int(channel.repeat_seconds * _SECOND) if remind else 0


def put_off(letter: Letter, until: int, problem: str, now: int) -> Letter:
    """The attempt failed; another one follows."""
    if not letter.told and letter.kind == "resolved":
        return letter.over(now)
    return replace(letter, state="waiting", claim="", next_attempt=until, problem=clean(problem, 500), changed=now)


def given_up(letter: Letter, problem: str, now: int) -> Letter:
    """No further attempt. What people were not told, and need not be told any more, is no dead letter."""
    if letter.about == "test" or (not letter.told and letter.kind == "resolved"):
        return replace(letter, problem=clean(problem, 500)).over(now)
    return replace(letter, state="dead", claim="", problem=clean(problem, 500), changed=now, repeat_at=0)


__all__ = ["HOUR", "Letter", "LetterKey", "State", "answer_to", "given_up", "letter_about", "next_time", "put_off", "sent"]
