"""`stale`: an asset is made anew in time. Judged by the materializations that moved it forward."""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from flowtell import events as e
from flowtell.decoders import decoder
from flowtell.events import Event, Schedule
from flowtell.ids import derived_id
from flowtell_alerts._coming import KEPT, Coming, Owed, line_of, owed_by, owed_within
from flowtell_alerts._kind import Facts, Item, Kind, moment, spelled
from flowtell_alerts._subject import ASSET, SubjectKey
from flowtell_alerts._verdict import Spell, Verdict

_TEN_YEARS: Final = 10 * 365 * 86_400.0
_MAX_TEXT: Final = 200
_MAX_NAME: Final = 500
_WILD: Final = re.compile(r"[*?\[]")
_DATED: Final = re.compile(r"\d{4}(?:-?\d\d)?")


class Stale(Struct, frozen=True, forbid_unknown_fields=True):
    """See `flowtell.rules.stale`."""

    asset: Annotated[str, Meta(max_length=2_000)] = ""
    within: Annotated[float, Meta(gt=0, le=_TEN_YEARS)] | None = None
    by: Annotated[str, Meta(max_length=200)] = ""
    tz: str = "UTC"
    cached: bool = False

    def __post_init__(self) -> None:
        if (self.within is None) == (not self.by):
            raise ValueError("it has either 'within' or 'by'")
        if self.by:
            line_of(self.by, self.tz)

    @property
    def line(self) -> Schedule:
        return line_of(self.by, self.tz)


class Reason(StrEnum):
    UNHEARD = "nothing is known of it"
    REMOVED = "it was removed"
    FRESH = "it was made in time"
    AWAITED = "it was never made, and is not due yet"
    STALE = "it was not made in time"
    NEVER_MADE = "it was never made"


# --- what is known ------------------------------------------------------------------------------------------------


class Attempt(Struct, frozen=True, order=True, array_like=True, gc=False):
    """The newest making that failed."""

    time: int
    event: str
    run: str = ""
    error: str = ""
    """Type of the exception."""


def _short(asset: str) -> str:
    """A name that a database takes as a key (PostgreSQL: 2,704 bytes of all its columns), and no other asset has."""
    if len(asset) <= _MAX_NAME:
        return asset
    digest = blake2b(asset.encode("utf-8", "replace"), digest_size=16).hexdigest()
    return f"{asset[: _MAX_NAME - len(digest) - 1]}…{digest}"


class _Stored(Struct, frozen=True, omit_defaults=True):
    heard: int | None
    made: list[Coming]
    cached: list[Coming] = []
    partition: str = ""
    failed: Attempt | None = None
    removed: int = 0


_decode: Final = decoder(_Stored)


class Makings(Facts):
    """When an asset was made, lately, and since when it has been known."""

    __slots__ = ("_changed", "cached", "failed", "heard", "made", "partition", "removed")
    name = "makings"
    about = ASSET
    wants = ("asset.declared", "asset.materialized", "asset.cached", "asset.failed", "asset.removed")
    heeds_backfill = False

    def __init__(self) -> None:
        self.heard: int | None = None
        self.made: list[Coming] = []
        self.cached: list[Coming] = []
        self.partition = ""
        """The newest that was made before those in `made`."""
        self.failed: Attempt | None = None
        self.removed = 0
        self._changed = False

    @classmethod
    def subjects(cls, event: Event, runs: SubjectKey) -> Iterable[SubjectKey]:
        asset = getattr(event, "asset", "")
        return (SubjectKey(ASSET, _short(asset), event.environment),) if asset else ()

    def named(self, since: int) -> None:
        self._hear(since)

    def take(self, event: Event, now: int, demands: Sequence[Any]) -> None:
        at = moment(event)
        self._hear(at)
        self._changed = True
        match event:
            case e.AssetMaterialized():
                self._make(Coming(at, event.id, event.run, event.partition[:_MAX_TEXT]))
            case e.AssetCached():
                self.cached = _newest(self.cached, Coming(at, event.id, event.run, event.partition[:_MAX_TEXT]))
            case e.AssetFailed():
                error = event.error.type[:_MAX_TEXT] if event.error else ""
                attempt = Attempt(at, event.id, event.run, error)
                self.failed = max(self.failed, attempt) if self.failed else attempt
            case e.AssetRemoved():
                self.removed = max(self.removed, at)
            case _:
                pass

    def _hear(self, at: int) -> None:
        if self.heard is None or at < self.heard:
            self.heard, self._changed = at, True

    def _make(self, coming: Coming) -> None:
        before = self.made
        self.made = _newest(before, coming)
        for dropped in set(before) - set(self.made):
            if not is_older(dropped.partition, self.partition):
                self.partition = dropped.partition

    def items(self) -> Iterator[Item]:
        if self._changed:
            self._changed = False
            stored = _Stored(self.heard, self.made, self.cached, self.partition, self.failed, self.removed)
            yield "", msgspec.json.encode(stored).decode()

    def load(self, item: str, data: str) -> None:
        stored = _decode(data)
        self.heard, self.made, self.cached = stored.heard, stored.made, stored.cached
        self.partition, self.failed, self.removed = stored.partition, stored.failed, stored.removed


def _newest(known: list[Coming], coming: Coming) -> list[Coming]:
    if coming in known:
        return known
    comings = list(known)
    insort(comings, coming)
    return comings[-KEPT:]


def is_older(partition: str, than: str) -> bool:
    """Whether it names an earlier time. Only of those that begin with a date, written alike, that can be told."""
    both = _DATED.match(partition) and _DATED.match(than) and len(partition) == len(than)
    return bool(both) and partition < than


# --- the verdict --------------------------------------------------------------------------------------------------


def judge(demand: Stale, facts: Makings, now: int, watermark: int) -> Verdict:
    """By the time up to which the log is complete: what was made and not reported yet is not missing."""
    if facts.heard is None:
        return Verdict(Reason.UNHEARD)
    comings = _forward(demand, facts)
    last = comings[-1] if comings else None
    if facts.removed and (last is None or last.time < facts.removed):
        return Verdict(Reason.REMOVED, until=facts.removed)
    owed = _owed(demand, comings, facts.heard, watermark)
    if owed is None or not owed.missing:
        reason = Reason.FRESH if last else Reason.AWAITED
        return Verdict(
            reason,
            needs=owed.due + 1 if owed else None,
            closed_by=last.event if last else "",
            until=last.time if last else None,
        )
    spell = _spell(demand, facts, last, owed, watermark)
    return Verdict(Reason.STALE if last else Reason.NEVER_MADE, (spell,))


def _forward(demand: Stale, facts: Makings) -> list[Coming]:
    """Those that made it newer: not those of a partition that is older than one that was there already."""
    comings = sorted([*facts.made, *facts.cached])[-KEPT:] if demand.cached else facts.made
    newest, forward = facts.partition, []
    for coming in comings:
        if not is_older(coming.partition, newest):
            newest = coming.partition or newest
            forward.append(coming)
    return forward


def _owed(demand: Stale, comings: Sequence[Coming], heard: int, at: int) -> Owed | None:
    if demand.within is not None:
        return owed_within(comings[-1].time if comings else heard, int(demand.within * 1e6), at)
    return owed_by(demand.line, comings, heard, at)


def _spell(demand: Stale, facts: Makings, last: Coming | None, owed: Owed, watermark: int) -> Spell:
    failed = facts.failed if facts.failed and (last is None or facts.failed.time > last.time) else None
    cause = failed or last
    asked = {"within": demand.within} if demand.within is not None else {"by": demand.by, "zone": demand.tz}
    return Spell(
        runs=tuple(run for run in (failed.run if failed else "",) if run),
        since=owed.due,
        cause=cause.event if cause else derived_id(owed.due, "due"),
        text=_text(demand, last, failed),
        evidence={
            "reference": "when it was made last" if last else "when it was first heard of",
            "made": last.time if last else None,
            "heard": facts.heard,
            "partition": last.partition if last else "",
            "failed": failed.time if failed else None,
            "due": owed.due,
            "watermark": watermark,
            **asked,
        },
    )


def _text(demand: Stale, last: Coming | None, failed: Attempt | None) -> str:
    asked = f"in {spelled(demand.within)}" if demand.within is not None else f"by its time ({demand.by} {demand.tz})"
    said = f"not made {asked}" if last else f"never made, and not {asked}"
    return f"{said}; the last attempt failed{f' ({failed.error})' if failed.error else ''}" if failed else said


def _names(demand: Stale, runs: SubjectKey) -> Iterable[SubjectKey]:
    """An asset that a rule names without a pattern is missing even where nobody has ever told of it."""
    named = demand.asset if not _WILD.search(demand.asset) else ""
    return (SubjectKey(ASSET, _short(named), runs.environment),) if named else ()


def _fits(demand: Stale, subject: SubjectKey) -> bool:
    return not demand.asset or subject.name == _short(demand.asset) or fnmatchcase(subject.name, demand.asset)


KIND: Final = Kind("stale", Stale, Makings, judge, names=_names, fits=_fits, sees=True)
