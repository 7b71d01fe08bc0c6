"""`budget`: of the runs that ended in a window, at least a share ended well. Judged by counts."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from flowtell.decoders import decoder
from flowtell.events import Event, FlowRunFinished
from flowtell.ids import derived_id
from flowtell_alerts._kind import BAD, GOOD, Facts, Item, Kind, moment, spelled
from flowtell_alerts._past import PastRun
from flowtell_alerts._tally import Piece, Tally
from flowtell_alerts._verdict import RUNS_NAMED, Spell, Verdict

_LONGEST: Final = 90 * 86_400.0


class Budget(Struct, frozen=True, forbid_unknown_fields=True):
    """See `flowtell.rules.budget`. Windows are in seconds."""

    success: Annotated[float, Meta(gt=0, lt=1)]
    windows: Annotated[tuple[Annotated[float, Meta(ge=300, le=_LONGEST)], ...], Meta(min_length=1, max_length=4)]
    min_runs: Annotated[int, Meta(ge=1)] = 20


class Reason(StrEnum):
    TOO_FEW = "too few runs in every window"
    KEPT = "enough runs ended well"
    SPENT = "the budget of bad ends is spent"


# --- what is known ------------------------------------------------------------------------------------------------


class BadEnd(Struct, frozen=True, order=True, array_like=True, gc=False):
    time: int
    run: str
    event: str


_pieces: Final = decoder(list[Piece])
_bad_ends: Final = decoder(list[BadEnd])
_BAD_ITEM: Final = "bad"


class Tallies(Facts):
    """Counts for every window that the subject's rules ask for, since they ask, and the newest bad ends."""

    __slots__ = ("_changed", "bad", "tallies")
    name = "tallies"
    wants = ("flow_run.finished",)
    on_demand = True
    heeds_backfill = False

    def __init__(self) -> None:
        self.tallies: dict[int, Tally] = {}
        """By the window's length in µs."""
        self.bad: list[BadEnd] = []
        self._changed: dict[str, bool] = {}
        """Rows that changed since `items` was asked last, and whether there is anything to keep."""

    def take(self, event: Event, now: int, demands: Sequence[Budget]) -> None:
        if not isinstance(event, FlowRunFinished) or event.state not in GOOD | BAD:
            return
        wanted = _windows(demands)
        for window in self.tallies.keys() - wanted:
            del self.tallies[window]
            self._changed[str(window)] = False
        for window in wanted:
            self.tallies.setdefault(window, Tally(window)).add(moment(event), good=event.state in GOOD)
            self._changed[str(window)] = True
        if wanted and event.state in BAD:
            self._note(BadEnd(moment(event), event.run, event.id))

    def lacks(self, demands: Sequence[Budget]) -> bool:
        return bool(_windows(demands) - self.tallies.keys())

    def recall(self, past: Sequence[PastRun], demands: Sequence[Budget]) -> None:
        counted = sorted((run for run in past if run.state in GOOD | BAD and not run.is_backfill), key=lambda run: run.ended)
        for window in _windows(demands) - self.tallies.keys():
            tally = self.tallies[window] = Tally(window)
            for run in counted:
                tally.add(run.ended, good=run.state in GOOD)
            self._changed[str(window)] = True
        if not self.bad:
            for run in counted:
                if run.state in BAD:
                    self._note(BadEnd(run.ended, run.run, derived_id(run.ended, "end", run.run)))

    def _note(self, end: BadEnd) -> None:
        insort(self.bad, end)
        del self.bad[:-RUNS_NAMED]
        self._changed[_BAD_ITEM] = True

    def items(self) -> Iterator[Item]:
        changed, self._changed = self._changed, {}
        for item, is_kept in changed.items():
            kept: Sequence[Any] = self.bad if item == _BAD_ITEM else self.tallies[int(item)].pieces if is_kept else ()
            yield item, msgspec.json.encode(kept).decode() if is_kept else None

    def load(self, item: str, data: str) -> None:
        if item == _BAD_ITEM:
            self.bad = _bad_ends(data)
        else:
            self.tallies[int(item)] = Tally(int(item), _pieces(data))


def _windows(demands: Sequence[Budget]) -> set[int]:
    return {round(window * 1e6) for demand in demands for window in demand.windows}


# --- the verdict --------------------------------------------------------------------------------------------------


class _Count(Struct, frozen=True):
    """What one window holds at one moment."""

    window: int
    good: int
    bad: int
    burn: float
    """Bad ends as a multiple of those that the budget allows: spent above 1."""
    enough: bool
    """Whether there are runs enough to tell."""

    @property
    def is_spent(self) -> bool:
        return self.enough and self.burn > 1


def judge(demand: Budget, facts: Tallies, now: int, watermark: int) -> Verdict:
    """A window is spent if it is now and was when the last bad end came: a good run that falls out of it spends nothing."""
    counts = [_count(demand, facts, window, now) for window in demand.windows]
    if not facts.bad or not any(count.enough for count in counts):
        return Verdict(Reason.KEPT if any(count.enough for count in counts) else Reason.TOO_FEW)
    newest = facts.bad[-1]
    spent = [count for count in counts if count.is_spent and _count_of(demand, facts, count.window, newest.time).is_spent]
    if not spent:
        return Verdict(Reason.KEPT)
    changes = [facts.tallies[count.window].changes_after(now) for count in spent]
    again = min((moment for moment in changes if moment is not None), default=None)
    return Verdict(Reason.SPENT, (_spell(demand, facts, spent, counts, now),), again=again)


def _count(demand: Budget, facts: Tallies, window: float, at: int) -> _Count:
    return _count_of(demand, facts, round(window * 1e6), at)


def _count_of(demand: Budget, facts: Tallies, window: int, at: int) -> _Count:
    good, bad = facts.tallies[window].at(at) if window in facts.tallies else (0, 0)
    runs = good + bad
    allowed = runs * (1 - demand.success)
    return _Count(window, good, bad, bad / allowed if allowed else 0.0, runs >= demand.min_runs)


def _spell(demand: Budget, facts: Tallies, spent: Sequence[_Count], counts: Sequence[_Count], now: int) -> Spell:
    newest, widest = facts.bad[-1], max(count.window for count in spent)
    return Spell(
        runs=tuple(end.run for end in facts.bad if end.time > now - widest),
        since=newest.time,
        cause=newest.event,
        text=_text(demand, max(spent, key=lambda count: count.burn)),
        evidence={
            "reference": "the window up to now",
            "success": demand.success,
            "min_runs": demand.min_runs,
            "windows": [_shown(count) for count in counts],
        },
    )


def _text(demand: Budget, count: _Count) -> str:
    runs, window = count.good + count.bad, spelled(count.window / 1e6)
    share = f"{count.good / runs:.4g} of them ended well where {demand.success:g} should"
    return f"{count.bad} of {runs} runs in {window} ended badly: {share}, {count.burn:.3g} times the budget"


def _shown(count: _Count) -> dict[str, Any]:
    return {
        "window": count.window / 1e6,
        "runs": count.good + count.bad,
        "bad": count.bad,
        "burn": round(count.burn, 3),
        "enough": count.enough,
    }


KIND: Final = Kind("budget", Budget, Tallies, judge)
