"""What is to be by when: deadlines that flows state, and ends that were predicted of runs that go on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from flowtell.errors import BadSchedule
from flowtell.events import RuleData, Schedule
from flowtell.rules.statement import due_line
from flowtell.schedules import dues
from flowtell_dashboard.timeline.question import Question

if TYPE_CHECKING:
    from flowtell_dashboard.timeline.index import Index

MOST: Final = 4_000
"""In a view of more deadlines than these none is drawn: they would be a hatching, and would cost more than the picture."""

_DAY: Final = 86_400_000_000


class Deadline(NamedTuple):
    """A time of day in a zone, as a cron line."""

    line: str
    zone: str


class Promise(NamedTuple):
    """`at` in µs; of the runs of some kinds, and of one run where that is named."""

    what: str
    at: int
    kinds: Collection[int]
    run: str = ""


def deadlines_of(rules: Iterable[RuleData]) -> tuple[Deadline, ...]:
    """Those among a flow's rules. One that makes no sense, of a later release, is passed over."""
    return tuple(found for rule in rules if rule.kind == "deadline" and (found := _deadline(rule)) is not None)


def _deadline(rule: RuleData) -> Deadline | None:
    said = {name: str(rule.arguments.get(name, "")) for name in ("at", "tz", "days")}
    try:
        return Deadline(due_line("at", said["at"], said["tz"], said["days"] or "*"), said["tz"])
    except ValueError:
        return None


def promises(index: Index, question: Question, begin: int, end: int) -> list[Promise]:
    """Of what passes the filters. Called with the index's lock held."""
    found = [*_deadlines(index, question, begin, end), *_expected(index, question, begin, end)]
    return sorted(found, key=lambda promise: promise.at)


def _deadlines(index: Index, question: Question, begin: int, end: int) -> Iterator[Promise]:
    """None where only runs in some states are looked at: a deadline has none."""
    if question.state or not index.deadlines:
        return
    kinds: dict[tuple[str, str], list[int]] = {}
    for number, kind in enumerate(index.kinds.all):
        flow = kind.flow, kind.environment
        if flow in index.deadlines and question.wants(kind, index.owners_of(kind)):
            kinds.setdefault(flow, []).append(number)
    if sum(len(index.deadlines[flow]) for flow in kinds) * (end - begin) > MOST * _DAY:
        return
    for flow, mine in kinds.items():
        for deadline in index.deadlines[flow]:
            yield from (Promise("deadline", at, mine) for at in moments(deadline, begin, end))


def moments(deadline: Deadline, begin: int, end: int) -> Iterator[int]:
    """When it is, from `begin` and before `end`."""
    for day in range(begin // _DAY, (end - 1) // _DAY + 1):
        yield from (at for at in _of_day(deadline, day) if begin <= at < end)


@lru_cache(maxsize=20_000)
def _of_day(deadline: Deadline, day: int) -> tuple[int, ...]:
    """In a day of UTC: views ask for the same ones over and over."""
    schedule = Schedule(id="", kind="cron", expression=deadline.line, tz=deadline.zone)
    try:
        return tuple(dues(schedule, day * _DAY - 1, (day + 1) * _DAY - 1))
    except BadSchedule:
        return ()


def _expected(index: Index, question: Question, begin: int, end: int) -> Iterator[Promise]:
    for run, at in index.expected.items():
        number = index.kind_of_open(run)
        if number is None or not begin <= at < end:
            continue
        kind = index.kinds.all[number]
        if question.wants(kind, index.owners_of(kind)):
            yield Promise("expected", at, (number,), run)
