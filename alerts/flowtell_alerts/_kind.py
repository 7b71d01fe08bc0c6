"""What a kind of rule is: what it asks, which events it wants to know of, how it is judged. The frame knows no more.

To add one: a file in `kinds` with a demand (the arguments, checked), facts (a fold of events) and a pure `judge`, and its
`Kind` in the table of `kinds/__init__.py`. Facts that exist already may serve several kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final

from msgspec import Struct

from flowtell.events import Event
from flowtell_alerts._subject import FLOW, SubjectKey
from flowtell_alerts._verdict import Verdict

HOUR: Final = 3_600_000_000
"""What was over more than this many µs before it is looked at is history, and opens no incident."""

GOOD: Final = frozenset({"completed", "cached"})
BAD: Final = frozenset({"failed", "timed_out", "crashed"})

BACKFILL: Final = "backfill"
"""Cause of a run that makes up for old due times."""

Item = tuple[str, str | None]
"""One row of stored facts: its name among them, and its JSON; None where it is to be deleted."""


class Facts:
    """What is known of one subject for one or several kinds. Belongs to the evaluator's thread.

    A pure fold: the same events in any order give the same facts, and taking one twice changes nothing.
    """

    __slots__ = ()

    name: ClassVar[str]
    """Of its rows in `alerts_facts`."""
    about: ClassVar[str] = FLOW
    """Kind of the subjects that it is known of."""
    wants: ClassVar[tuple[str, ...]]
    """Types of the events that it takes."""
    of_named_only: ClassVar[bool] = False
    """Whether nothing is known of a subject that no rule names: there may be any number of them."""
    on_demand: ClassVar[bool] = False
    """Whether nothing is known of a subject for which no rule asks: it is learned from when one does."""
    heeds_backfill: ClassVar[bool] = True
    """Whether it takes events of runs that a back-fill has started."""

    @classmethod
    def subjects(cls, event: Event, runs: SubjectKey) -> Iterable[SubjectKey]:
        """Of whom the event says something. `runs` are those that it belongs to, with an empty name for none."""
        return (runs,) if runs.name else ()

    def take(self, event: Event, now: int, demands: Sequence[Any]) -> None:
        """Fold an event. `demands` are those of the subject's rules that are judged by these facts."""
        raise NotImplementedError

    def named(self, since: int) -> None:
        """A rule has named the subject, before any event told of it perhaps. `since` is when it was stated, in µs."""

    def lacks(self, demands: Sequence[Any]) -> bool:
        """Whether one of these asks for what was not kept so far, and could be recalled."""
        return False

    def recall(self, past: Sequence[Any], demands: Sequence[Any]) -> None:
        """Take in runs that had ended before anybody asked (`_past.PastRun`)."""

    def settle(self, until: int) -> None:
        """Forget what was over by `until` and told, or is history."""

    def open_runs(self) -> Iterable[str]:
        """Runs that are known to have begun and not to have ended: their later events need not name their deployment."""
        return ()

    def backfills(self) -> Iterable[str]:
        """Those of the open runs that a back-fill has started."""
        return ()

    def items(self) -> Iterator[Item]:
        """The rows that changed since this was asked last."""
        raise NotImplementedError

    def load(self, item: str, data: str) -> None:
        """Take in a row as `items` gave it."""
        raise NotImplementedError


def _names_none(demand: Any, runs: SubjectKey) -> Iterable[SubjectKey]:
    return ()


def _fits_all(demand: Any, subject: SubjectKey) -> bool:
    return True


class Kind(Struct, frozen=True):
    """One kind of rule."""

    name: str
    demand: type[Struct]
    """Its arguments, checked by their types."""
    facts: type[Facts]
    judge: Callable[[Any, Any, int, int], Verdict]
    """The verdict by demand, facts, the moment and the watermark, both in µs. Pure."""
    names: Callable[[Any, SubjectKey], Iterable[SubjectKey]] = _names_none
    """Subjects that a rule held by these runs is about though no event told of them, such as one that does not come."""
    of_deployments: bool = False
    """Whether something is owed: of a flow that has deployments by each of them, and not by its runs of none."""
    sees: bool = False
    """Whether it tells of absences: then it is told of once whoever reports such runs is not heard of any more."""
    fits: Callable[[Any, SubjectKey], bool] = _fits_all
    """Whether a rule of those who told of a subject is about it, such as by a pattern of names."""


def moment(event: Event) -> int:
    """When it happened by its writer's clock, but no later than the log took it: a clock that runs ahead cannot
    silence a rule for a year.
    """
    return min(event.time, event.received) if event.received else event.time


def spelled(seconds: float) -> str:
    """Such as `90 s`, `30 min` or `1.5 h`."""
    for name, size in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * size or seconds == size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.3g} s"
