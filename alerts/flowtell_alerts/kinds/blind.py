"""`blind`: whoever reports runs was heard of a moment ago. Judged by when that was, by the server's own clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from flowtell.decoders import decoder
from flowtell.events import Event, SourceDown, SourceProgress
from flowtell.ids import derived_id
from flowtell_alerts._kind import Facts, Item, Kind, spelled
from flowtell_alerts._subject import SOURCE, SubjectKey
from flowtell_alerts._verdict import Spell, Verdict
from flowtell_alerts._wall import shown

_TEN_YEARS: Final = 10 * 365 * 86_400.0
_MAX_TEXT: Final = 200


class Blind(Struct, frozen=True, forbid_unknown_fields=True):
    """Whoever reports was heard of within `after` seconds."""

    after: Annotated[float, Meta(ge=1, le=_TEN_YEARS)] = 300.0


class Reason(StrEnum):
    SEEN = "it was heard of in time"
    BLIND = "nothing was heard of it"
    WATCHED_TOO_SHORTLY = "this server has not listened long enough to tell"


# --- what is known ------------------------------------------------------------------------------------------------


class _Stored(Struct, frozen=True, omit_defaults=True):
    complete_until: int | None = None
    seen: int = 0
    error: str = ""
    event: str = ""


class Progress(Facts):
    """How far a source has come. Of machines that ship their journals nothing is kept: their writers' rows tell it."""

    __slots__ = ("_changed", "complete_until", "error", "event", "listening_since", "seen")
    name = "progress"
    about = SOURCE
    wants = ("source.progress", "source.up", "source.down")

    def __init__(self) -> None:
        self.complete_until: int | None = None
        """By the source's clock: nothing from before is missing. None where it never said so."""
        self.seen = 0
        """When the log took the word that moved it, by the server's clock."""
        self.error = ""
        """Why it is down, in the words of the exception's type."""
        self.event = ""
        self.listening_since = 0
        """Since when this server has listened without a gap. Not kept."""
        self._changed = False

    @classmethod
    def subjects(cls, event: Event, runs: SubjectKey) -> Iterable[SubjectKey]:
        return (SubjectKey(SOURCE, event.source, event.environment),) if event.source else ()

    def take(self, event: Event, now: int, demands: Sequence[Any] = ()) -> None:
        at = event.received or event.time
        if isinstance(event, SourceDown):
            self.error = (event.error.type if event.error else "down")[:_MAX_TEXT]
        elif at >= self.seen:
            self.error = ""
        until = event.complete_until if isinstance(event, SourceProgress) else None
        if until is not None and (self.complete_until is None or until > self.complete_until):
            self.complete_until, self.seen, self.event = until, at, event.id
        self._changed = True

    def items(self) -> Iterator[Item]:
        if self._changed:
            self._changed = False
            stored = _Stored(self.complete_until, self.seen, self.error, self.event)
            yield "", msgspec.json.encode(stored).decode()

    def load(self, item: str, data: str) -> None:
        stored = decoder(_Stored)(data)
        self.complete_until, self.seen = stored.complete_until, stored.seen
        self.error, self.event = stored.error, stored.event


# --- the verdict --------------------------------------------------------------------------------------------------


def judge(demand: Blind, facts: Progress, now: int, watermark: int) -> Verdict:
    """`watermark` is when the subject was heard of, by the server's clock. Time in which this server did not listen counts
    for nobody's silence, nor does it resolve anything.
    """
    after = int(demand.after * 1e6)
    if now - watermark <= after:
        return Verdict(Reason.SEEN, again=watermark + after + 1, until=watermark)
    if now - facts.listening_since <= after:
        return Verdict(Reason.WATCHED_TOO_SHORTLY, again=facts.listening_since + after + 1, known=False)
    return Verdict(Reason.BLIND, (_spell(facts, watermark, after),), needs=watermark + 1)


def _spell(facts: Progress, seen: int, after: int) -> Spell:
    why = f"; it is down ({facts.error})" if facts.error else ""
    return Spell(
        since=seen + after,
        cause=facts.event or derived_id(seen, "blind", str(seen)),
        text=f"nothing was heard for {spelled(after / 1e6)} since {shown(seen)}{why}: what is late meanwhile is unknown",
        evidence={"reference": "last word", "seen": seen, "bound": after / 1e6, "complete_until": facts.complete_until},
    )


KIND: Final = Kind("blind", Blind, Progress, judge)
