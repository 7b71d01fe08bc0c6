"""`failed`: runs end well. Judged by how they ended, in the order of time."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from flowtell.decoders import decoder
from flowtell.events import Event, FlowRunFinished, FlowRunRemoved
from flowtell_alerts._kind import BAD, GOOD, HOUR, Facts, Item, Kind, moment
from flowtell_alerts._verdict import RUNS_NAMED, Spell, Verdict

MAX_CONSECUTIVE: Final = 100
"""Bad ends in a row that are remembered of one subject, and so the most that a rule can ask for."""

_MAX_ENDS: Final = 2 * MAX_CONSECUTIVE
_MAX_TEXT: Final = 200


_Patterns = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...], Meta(max_length=50)]


class Failed(Struct, frozen=True, forbid_unknown_fields=True):
    """Runs end well: fewer than `consecutive` in a row end badly. See `flowtell.rules.failed`."""

    consecutive: Annotated[int, Meta(ge=1, le=MAX_CONSECUTIVE)] = 1
    every: bool = False
    only: _Patterns = ()
    ignore: _Patterns = ()
    recovery: Annotated[int, Meta(ge=1, le=MAX_CONSECUTIVE)] = 1

    def counts(self, end: End) -> bool:
        """Whether it says anything: a good end does, and a bad one of the kinds that are asked for."""
        if end.good:
            return True
        names = (end.error, end.state)
        return (not self.only or _fits(self.only, names)) and not _fits(self.ignore, names)


def _fits(patterns: Sequence[str], names: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names if name for pattern in patterns)


class Reason(StrEnum):
    NO_RUN = "no run has ended"
    ENDED_WELL = "the last run ended well"
    TOO_FEW = "fewer bad ends in a row than it takes"
    ENDED_BADLY = "runs ended badly"
    RECOVERING = "runs end well again, fewer in a row than it takes"


# --- what is known ------------------------------------------------------------------------------------------------


class End(Struct, frozen=True, order=True, array_like=True):
    """One run's end, good or bad. Ordered by time."""

    time: int
    run: str
    event: str
    state: str
    error: str = ""
    """Type of the exception; its message may hold secrets and stays out."""

    @property
    def good(self) -> bool:
        return self.state in GOOD


class _Stored(Struct, frozen=True, omit_defaults=True):
    ends: list[End]
    last_good: End | None
    settled: int = 0
    recovery: int = 1


_decode: Final = decoder(_Stored)


class Ends(Facts):
    """How runs ended, since the last good end whose past is settled."""

    __slots__ = ("_changed", "ends", "last_good", "recovery", "settled")
    name = "ends"
    wants = ("flow_run.finished", "flow_run.removed")
    heeds_backfill = False

    def __init__(self) -> None:
        self.ends: list[End] = []
        """In order of time, of which the good ones close what is before them."""
        self.last_good: End | None = None
        """The newest end whose past is settled: an end before it that comes late changes nothing."""
        self.settled = 0
        """Up to when ends were judged: of what was over by then nobody is told again."""
        self.recovery = 1
        """Good ends in a row that the most patient of the rules asks for."""
        self._changed = False

    def take(self, event: Event, now: int, demands: Sequence[Failed] = ()) -> None:
        self._changed = True
        self.recovery = max((demand.recovery for demand in demands), default=1)
        if isinstance(event, FlowRunRemoved):
            self.ends = [end for end in self.ends if end.run != event.run]
        elif isinstance(event, FlowRunFinished) and (event.state in GOOD or event.state in BAD):
            error = event.error.type[:_MAX_TEXT] if event.error else ""
            self._add(End(moment(event), event.run, event.id, event.state, error))

    def _add(self, end: End) -> None:
        if self.last_good is not None and end.time <= self.last_good.time:
            return
        if all(known.run != end.run for known in self.ends):
            insort(self.ends, end)
        if len(self.ends) > _MAX_ENDS:
            self.settle(end.time)
            del self.ends[:-_MAX_ENDS]

    def settle(self, until: int) -> None:
        """Forget bad ends that good ones closed."""
        newest = next((end.time for end in reversed(self.ends) if end.time <= until), 0)
        if newest > self.settled:
            self.settled, self._changed = newest, True
        closing = self._closing(until)
        if closing is not None:
            self.last_good = closing
            self.ends = [end for end in self.ends if end.time > closing.time]
            self._changed = True

    def _closing(self, until: int) -> End | None:
        """The newest end that closes whatever was before it, for the most patient of the rules."""
        good, closing = 0, None
        for end in reversed(self.ends):
            if end.time <= until:
                good = good + 1 if end.good else 0
                closing = end if good == 1 else closing
                if good == self.recovery:
                    return closing
        return None

    def items(self) -> Iterator[Item]:
        if self._changed:
            self._changed = False
            stored = _Stored(self.ends, self.last_good, self.settled, self.recovery)
            yield "", msgspec.json.encode(stored).decode()

    def load(self, item: str, data: str) -> None:
        stored = _decode(data)
        self.ends, self.last_good = stored.ends, stored.last_good
        self.settled, self.recovery = stored.settled, stored.recovery


# --- the verdict --------------------------------------------------------------------------------------------------


class Streak(Struct, frozen=True):
    """Bad ends that count, in a row; once they are enough, with all that came before it was over."""

    bad: tuple[End, ...]
    closing: End | None
    """The good end with which it was over; None while it lasts."""
    good: int = 0
    """Good ends since the last bad one, fewer than it takes."""


def judge(demand: Failed, facts: Ends, now: int, watermark: int) -> Verdict:
    """A spell that was over an hour before, or was told of, is not told of."""
    streaks = list(_streaks(demand, facts.ends))
    settled = max(facts.settled, now - HOUR)
    told = [each for each in streaks if len(each.bad) >= demand.consecutive]
    told = [each for each in told if each.closing is None or each.closing.time > settled]
    latest = streaks[-1] if streaks and streaks[-1].closing is None else None
    good = _last_good(facts)
    return Verdict(
        _reason(latest, demand, good),
        tuple(spell for streak in told for spell in _spells(streak, demand)),
        closed_by=good.event if good else "",
        until=good.time if good else None,
    )


def _streaks(demand: Failed, ends: Sequence[End]) -> Iterator[Streak]:
    """In order. A good end breaks a row; a row that was long enough is over only with as many of them as it takes."""
    bad: list[End] = []
    good = 0
    for end in filter(demand.counts, ends):
        if not end.good:
            bad.append(end)
            good = 0
        elif bad:
            good += 1
            if len(bad) < demand.consecutive or good >= demand.recovery:
                yield Streak(tuple(bad), end)
                bad, good = [], 0
    if bad:
        yield Streak(tuple(bad), None, good)


def _last_good(facts: Ends) -> End | None:
    return next((end for end in reversed(facts.ends) if end.good), facts.last_good)


def _reason(latest: Streak | None, demand: Failed, good: End | None) -> Reason:
    if latest is None:
        return Reason.ENDED_WELL if good else Reason.NO_RUN
    if len(latest.bad) < demand.consecutive:
        return Reason.TOO_FEW
    return Reason.RECOVERING if latest.good else Reason.ENDED_BADLY


def _spells(streak: Streak, demand: Failed) -> Iterator[Spell]:
    if not demand.every:
        yield _spell(streak, streak.bad, demand)
        return
    for end in streak.bad:
        yield _spell(streak, (end,), demand, apart=end.run)


def _spell(streak: Streak, bad: Sequence[End], demand: Failed, apart: str = "") -> Spell:
    decisive, closing = bad[demand.consecutive - 1], streak.closing
    return Spell(
        runs=tuple(end.run for end in bad[-RUNS_NAMED:]),
        since=decisive.time,
        cause=decisive.event,
        until=closing.time if closing else None,
        closed_by=closing.event if closing else "",
        text=_text(bad, demand.recovery),
        evidence={"count": len(bad), "states": dict(Counter(end.state for end in bad)), "error": bad[-1].error},
        apart=apart,
    )


def _text(bad: Sequence[End], recovery: int) -> str:
    last = bad[-1]
    how = last.state.replace("_", " ") + (f" ({last.error})" if last.error and last.state != "crashed" else "")
    row = "in a row " if recovery == 1 else ""
    return f"the last run {how}" if len(bad) == 1 else f"{len(bad)} runs {row}ended badly, the last {how}"


KIND: Final = Kind("failed", Failed, Ends, judge)
