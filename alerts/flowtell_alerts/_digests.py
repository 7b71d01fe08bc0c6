"""Storms: when many openings wait for a channel they are told as one digest for each rule kind and environment.

A digest is a letter of its own, with its own key: it opens, is brought up to date while incidents join and end, and is
resolved when all of them are. What it says is counted when it is sent, so it is exact then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from flowtell.decoders import decoder
from flowtell.ids import derived_id
from flowtell_alerts.channels import Channel
from flowtell_alerts.letters import Letter, LetterKey
from flowtell_alerts.message import Digest, Guilty, IncidentShown, Kind, RuleShown, Subject
from flowtell_alerts.outbox import Outbox

MANY: Final = 5
"""Openings that may wait for a channel; when there are more they become digests."""

JOINED_A_TICK: Final = 2_000

JOIN: Final = 300_000_000
"""µs without a new incident after which a digest takes in no more: what opens later is told by itself."""

NAMED: Final = 10

REFRESH: Final = 15_000_000
"""µs between two updates of a digest where one message is changed in place."""

REFRESH_ELSEWHERE: Final = 300_000_000
"""µs where each update is one more message; and only while the digest grows."""

_SEVERITIES: Final = ("info", "warning", "error", "critical")

_Group = tuple[str, str]


class Digests:
    """Belongs to the sender's thread, and writes through its outbox."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._changed: set[LetterKey] = {each.key for each in outbox.digests()}
        """Digests whose incidents changed since they were looked at."""

    def note(self, member: Letter) -> None:
        """An incident of a digest has changed."""
        self._changed.add((member.digest, member.channel))

    # --- taking in ------------------------------------------------------------------------------------------------

    def gather(self, channel: Channel, now: int) -> bool:
        """Let the openings that wait for the channel join a digest, where there are many or one is under way.

        Whether more are to join in the next call: then none of them is to be told by itself.
        """
        openings = self._outbox.openings(channel.name, JOINED_A_TICK)
        if channel.batch > 1 or not openings:
            return False
        under_way = {
            _group(each): each for each in self._outbox.digests(channel.name, now - JOIN) if each.kind != "resolved"
        }
        groups: dict[_Group, list[Letter]] = defaultdict(list)
        for opening in openings:
            groups[_group(opening)].append(opening)
        joined, left = 0, False
        for group, members in groups.items():
            digest = under_way.get(group)
            if digest is not None and self._outbox.is_touched(digest.key):
                left = True  # what was read of it is not what this call has written: they join in the next
                continue
            if digest is None and (len(openings) <= MANY or len(members) < 2):
                continue
            self._join(digest or _begun(channel, members, now), members, now)
            joined += len(members)
        return left or (joined > 0 and len(openings) == JOINED_A_TICK)

    def _join(self, digest: Letter, members: list[Letter], now: int) -> None:
        self._outbox.put(
            replace(each, state="joined", digest=digest.topic, line=b"", changed=now, problem="") for each in members
        )
        since = min(digest.since, *(each.since for each in members))
        severity = _worst([digest.severity, *(each.severity for each in members)])
        self._outbox.put([replace(digest, joined_at=now, since=since, severity=severity, changed=now)])
        self._changed.add(digest.key)

    # --- bringing up to date --------------------------------------------------------------------------------------

    def refresh(self, channels: dict[str, Channel], now: int) -> None:
        """Have the channels told of what changed, not more often than they like."""
        for key in list(self._changed):
            digest = self._outbox.one(key)
            if digest is None or self._outbox.is_touched(key) or digest.state == "sending":
                continue  # written in this call, or on its way: looked at in a later one
            self._changed.discard(key)
            channel = channels.get(digest.channel)
            if channel is not None and digest.kind != "resolved":
                self._outbox.put(self._refreshed(digest, channel, now))

    def _refreshed(self, digest: Letter, channel: Channel, now: int) -> Iterator[Letter]:
        """The letter as it is to be now, if it is to change."""
        incidents, is_open, _ = self._outbox.digest_counts(digest.topic)
        if not is_open:
            yield digest.waits(now, "resolved", _version(digest, now)) if digest.told else digest.over(now)
        elif digest.state == "told" and _is_news(incidents, is_open, last=_last(digest), in_place=channel.in_place):
            pause = REFRESH if channel.in_place else REFRESH_ELSEWHERE
            due = digest.waits(now, "updated", _version(digest, now))
            yield replace(due, next_attempt=max(now, digest.told_at + pause))

    # --- what it says ---------------------------------------------------------------------------------------------

    def content(self, digest: Letter) -> tuple[Kind, IncidentShown, Digest]:
        """Kind of message, the digest as an incident, and its counts, as of now."""
        incidents, is_open, subjects = self._outbox.digest_counts(digest.topic)
        guilty = [Guilty(*each) for each in self._outbox.digest_guilty(digest.topic, NAMED)]
        counted = Digest(incidents, is_open, subjects, guilty)
        kind: Kind = "resolved"
        if is_open:
            kind = "updated" if digest.says == "resolved" else digest.says
        return kind, _shown(digest, counted), counted


def told(digest: Letter, counted: Digest) -> Letter:
    """The letter with what its channel knows of the digest."""
    return replace(digest, line=msgspec.json.encode(counted))


def _last(digest: Letter) -> Digest:
    """What the channel was told last."""
    return decoder(Digest)(digest.line) if digest.line else Digest(0, 0, 0, [])


def _is_news(incidents: int, is_open: int, *, last: Digest, in_place: bool) -> bool:
    return incidents > last.incidents or (in_place and is_open != last.open)


def _begun(channel: Channel, members: list[Letter], now: int) -> Letter:
    first = members[0]
    topic = derived_id(now, "digest", channel.name, first.rule_kind, first.environment, first.topic)
    return Letter(
        topic=topic, channel=channel.name, about="digest", state="waiting", kind="opened", message=topic, first=topic,
        line=b"", since=first.since, queued=min(each.queued for each in members), next_attempt=now, changed=now,
        rule_kind=first.rule_kind, environment=first.environment, subject=f"rule '{first.rule_kind}'", joined_at=now,
    )  # fmt: skip


def _version(digest: Letter, now: int) -> str:
    """Another id for each update, so that no receiver takes it for the one before."""
    return derived_id(now, digest.topic, digest.channel, str(digest.told_at))


def _group(letter: Letter) -> _Group:
    return letter.rule_kind, letter.environment


def _worst(severities: Iterable[str]) -> str:
    return max(severities, key=lambda each: _SEVERITIES.index(each) if each in _SEVERITIES else -1)


def _shown(digest: Letter, counted: Digest) -> IncidentShown:
    arguments: dict[str, Any] = {}
    return IncidentShown(
        id=digest.topic,
        key=f"digest-{digest.rule_kind}",
        rule=RuleShown(digest.rule_kind, arguments),
        severity=digest.severity,
        subject=Subject("digest", f"{counted.subjects:,} flows"),
        environment=digest.environment,
        runs=[],
        since=digest.since,
        reason=sentence(digest.rule_kind, counted),
        owners=[],
        runbook="",
    )


def sentence(rule_kind: str, counted: Digest) -> str:
    """Such as `12 incidents of rule 'failed', 10 open: nightly (3), hourly (1) and 8 more`."""
    named = ", ".join(f"{each.name[:60]} ({each.incidents})" for each in counted.guilty[:5])
    left = counted.subjects - min(len(counted.guilty), 5)
    state = f"{counted.open:,} open" if counted.open else "all resolved"
    return f"{counted.incidents:,} incidents of rule '{rule_kind}', {state}: {named}{f' and {left:,} more' if left else ''}"


__all__ = ["JOIN", "MANY", "NAMED", "REFRESH", "REFRESH_ELSEWHERE", "Digests", "sentence", "told"]
