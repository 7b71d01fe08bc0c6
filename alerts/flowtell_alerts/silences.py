"""Silences: of which incidents nobody is to be told for a while, who said so, and why.

A silence is made by an event and ends by its own clock, or earlier by another event. It changes no incident: what is silent
opens, is listed and resolves all the same. Both plugins fold the same events, each into a table of its own, so that each
knows exactly the silences that lie before an incident in the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace
from sqlalchemy import BigInteger, Column, MetaData, Row, String, Table, Text, bindparam, delete, select

from flowtell.events import Event, SilenceCreated, SilenceExpired
from flowtell.ids import new_id
from flowtell.plugin import Context
from flowtell_alerts._replacing import Replacing
from flowtell_alerts._selector import fits
from flowtell_alerts.errors import BadSilence

MATCHERS: Final = ("flow", "deployment", "environment", "tag", "owner", "rule", "severity", "subject")
"""What a silence may ask of an incident. Each holds one pattern, as in a shell; `!` in front turns it round."""

WANTS: Final = ("silence.created", "silence.expired")
"""The events that make and end silences."""

LONGEST: Final = 366 * 86_400_000_000
"""µs that a silence may last: what nobody looks at for longer is a rule to take away."""

KEPT: Final = 30 * 86_400_000_000
"""µs that a silence is shown after its end."""

_MAX_TEXT: Final = 500


class Silence(Struct, frozen=True, kw_only=True):
    """Incidents that fit every matcher are told to nobody from `since` until `until`. Moments are µs since the epoch."""

    silence: str
    matchers: dict[str, str]
    since: int
    until: int
    actor: str
    reason: str
    expired: int | None = None
    """When somebody ended it early."""
    expired_by: str = ""

    @property
    def over(self) -> int:
        """When it ends, or has ended."""
        return self.until if self.expired is None else min(self.until, self.expired)

    def holds(self, now: int) -> bool:
        return self.since <= now < self.over


def silencing(event: Any, silences: Iterable[Silence], now: int) -> Silence | None:
    """The silence that covers an incident at `now`; of several the one that lasts longest. Pure.

    Args:
        event: an event of the incident.
    """
    covering = (each for each in silences if each.holds(now) and covers(each.matchers, event))
    return max(covering, key=lambda each: (each.over, each.silence), default=None)


def covers(matchers: Mapping[str, str], event: Any) -> bool:
    """Whether every matcher fits. One that this version does not know fits nothing, and so do none at all.

    Args:
        event: an event of the incident.
    """
    known = all(key in MATCHERS for key in matchers)
    return bool(matchers) and known and all(fits(pattern, _values(event, key)) for key, pattern in matchers.items())


def _values(event: Any, key: str) -> Sequence[str]:
    """What a matcher is compared with. A rule goes by its kind and by the incident's key, a subject by kind and name too."""
    rule, subject = event.rule, event.subject
    values: Mapping[str, Sequence[str]] = {
        "flow": (event.flow,),
        "deployment": (event.deployment,),
        "environment": (event.environment,),
        "tag": event.tags,
        "owner": event.owners,
        "rule": (rule.kind if rule else "", event.key),
        "severity": (event.severity,),
        "subject": (subject.name, f"{subject.kind}:{subject.name}") if subject else (),
    }
    return [value for value in values[key] if value]


# --- said by people -----------------------------------------------------------------------------------------------


def new_silence(
    matchers: Mapping[str, str], *, until: int, actor: str, reason: str, now: int, since: int | None = None
) -> SilenceCreated:
    """The event that makes a silence.

    Raises:
        BadSilence: it lacks an end, a reason or matchers, is too long, or asks for what no incident has.
    """
    since = now if since is None else since
    unknown = next((key for key in matchers if key not in MATCHERS), None)
    if unknown is not None:
        close = get_close_matches(unknown, MATCHERS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(MATCHERS)}"
        raise BadSilence(f"no incident has a '{unknown[:40]}'; {hint}")
    if not matchers or not all(matchers.values()):
        raise BadSilence("it must say of which incidents, such as flow=nightly; flow=* for all")
    if not reason.strip():
        raise BadSilence("it must say why, for whoever wonders why nobody was told")
    if not max(since, now) < until <= since + LONGEST:
        raise BadSilence("it must end later than it begins and than now, and within a year")
    if any(len(pattern) > _MAX_TEXT for pattern in (*matchers.values(), reason, actor)):
        raise BadSilence(f"no pattern, reason or name may have more than {_MAX_TEXT} characters")
    return SilenceCreated(
        id=new_id(now), time=now, silence=new_id(now), matchers=dict(matchers), since=since, until=until, actor=actor,
        reason=reason.strip(),
    )  # fmt: skip


def early_end(silence: Silence, *, actor: str, now: int) -> SilenceExpired:
    """The event that ends a silence before its time."""
    return SilenceExpired(id=new_id(now), time=now, silence=silence.silence, actor=actor[:_MAX_TEXT])


# --- from events, and kept ----------------------------------------------------------------------------------------


def silence_table(name: str, metadata: MetaData) -> Table:
    """A plugin's own table of silences."""
    return Table(
        name,
        metadata,
        Column("silence", String, primary_key=True),
        Column("matchers", Text, nullable=False),  # JSON
        Column("since", BigInteger, nullable=False),
        Column("until", BigInteger, nullable=False),
        Column("actor", String, nullable=False),
        Column("reason", Text, nullable=False),
        Column("expired", BigInteger),
        Column("expired_by", String, nullable=False),
    )


class Silences:
    """All that hold or held a moment ago, in memory and in a table of `silence_table`. For the plugin's thread.

    A silence without an end, an author, a reason or matchers is none. The end of one may come before its beginning.
    """

    def __init__(self, context: Context, table: Table) -> None:
        self._context, self._table, self._rows = context, table, Replacing(table)
        self._known = {row.silence: silence_of(row) for row in context.read(select(table))}
        self._old = delete(table).where(table.c.until < bindparam("before"))

    def take(self, event: Event) -> bool:
        """Keep what the event says. Whether anything changed."""
        match event:
            case SilenceCreated():
                changed = self._created(event)
            case SilenceExpired():
                changed = self._expired(event)
            case _:
                return False
        if changed is not None:
            self._known[changed.silence] = changed
            self._rows.write(self._context, [silence_row(changed)])
        return changed is not None

    def _created(self, event: SilenceCreated) -> Silence | None:
        made = silence_made_by(event)
        before = self._known.get(event.silence)
        if made is None or (before is not None and before.matchers):
            return None
        return replace(made, expired=before.expired, expired_by=before.expired_by) if before else made

    def _expired(self, event: SilenceExpired) -> Silence | None:
        known = self._known.get(event.silence)
        if not event.silence or (known is not None and known.expired is not None):
            return None
        if known is None:  # its beginning is on its way
            known = Silence(silence=event.silence, matchers={}, since=0, until=event.time + KEPT, actor="", reason="")
        return replace(known, expired=event.time, expired_by=event.actor[:_MAX_TEXT])

    def holding(self, now: int) -> list[Silence]:
        """Those that hold at `now`."""
        return [each for each in self._known.values() if each.holds(now)]

    def forget(self, now: int) -> None:
        """Those that were over long ago."""
        before = now - KEPT
        self._known = {key: each for key, each in self._known.items() if each.until >= before}
        self._context.write(self._old, [{"before": before}])


def silence_made_by(event: SilenceCreated) -> Silence | None:
    """The silence; None where the event lacks what one must have."""
    since = event.since if event.since is not None else event.time
    if event.until is None or not since < event.until <= since + LONGEST:
        return None
    if not (event.silence and event.matchers and event.actor and event.reason):
        return None
    return Silence(
        silence=event.silence,
        matchers={key: pattern[:_MAX_TEXT] for key, pattern in event.matchers.items()},
        since=since,
        until=event.until,
        actor=event.actor[:_MAX_TEXT],
        reason=event.reason[:_MAX_TEXT],
    )


def silence_row(silence: Silence) -> dict[str, Any]:
    return {**asdict(silence), "matchers": msgspec.json.encode(silence.matchers, order="sorted").decode()}


def silence_of(row: Row[Any]) -> Silence:
    fields = {name: getattr(row, name) for name in Silence.__struct_fields__}
    return Silence(**{**fields, "matchers": msgspec.json.decode(row.matchers, type=dict[str, str])})
