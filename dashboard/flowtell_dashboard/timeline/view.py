"""The answer to one question: lanes with exact counts, and what is drawn in those that are on the screen."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowtell_dashboard.timeline import blocks
from flowtell_dashboard.timeline.axis import Axis
from flowtell_dashboard.timeline.columns import Rows
from flowtell_dashboard.timeline.index import Ahead, Index, mask_of_states
from flowtell_dashboard.timeline.kinds import Lane
from flowtell_dashboard.timeline.promises import Promise, promises
from flowtell_dashboard.timeline.question import Question

MARKS: Final = 2_000
"""Due times of runs to come that one view shows."""

_DIGITS: Final = frozenset("0123456789abcdef")
_FEWEST_DIGITS: Final = 4


class LaneSeen(NamedTuple):
    """One lane with the numbers of its runs in the window."""

    lane: Lane
    runs: int
    failed: int
    running: int


class Mark(NamedTuple):
    """A run that is to come: where on the picture, and whether it is late already."""

    lane: int
    place: float
    run: str
    late: bool


class Promised(NamedTuple):
    """A `deadline`, or when a run is `expected` to end: where on the picture."""

    lane: int
    place: float
    what: str
    at: int
    run: str


class View(NamedTuple):
    """What is drawn. `lanes` are those asked for, of `lanes_in_all`; `shown` runs pass the filters, of `of` in the window.

    `failed` is how many of those shown ended badly.
    """

    axis: Axis
    lanes: list[LaneSeen]
    lanes_in_all: int
    shown: int
    of: int
    failed: int
    ids: list[str]
    states: NDArray[np.uint8]
    bars: blocks.Bars
    columns: blocks.Columns
    marks: list[Mark]
    promises: list[Promised]
    newest: int
    """When the newest run of all began, in µs; 0 where there is none."""
    since: int | None


class _Placed(NamedTuple):
    """Runs with the lane of each; a run that is in several lanes is there several times."""

    rows: Rows
    lane: NDArray[np.int32]
    inside: NDArray[np.bool_]
    """Whether the run is in the window itself, not in its margin alone."""


def view(index: Index, question: Question, now: int) -> View:
    """Refreshes the index first. From any thread; one at a time."""
    with index.lock:
        index.refresh()
        begin, end = question.drawn
        rows = index.columns.rows.at(index.columns.overlapping(begin, end))
        inside = (rows.started < question.end) & ((rows.ended >= question.begin) | (rows.started >= question.begin))
        of = int(inside.sum())
        passing = _passing(index, question, rows)
        rows, inside = rows.at(passing), inside[passing]
        rows = rows._replace(ended=np.minimum(rows.ended, max(now, begin)))
        names, table = index.kinds.lanes(question.by)
        ahead = _ahead(index, question, begin, end)
        promised = promises(index, question, begin, end)
        bad = (rows.state >= blocks.FIRST_BAD) & inside
        placed = _place(rows, inside, table)
        lanes, order = _lanes(placed, names, question, {lane for _, each in ahead for lane in _lanes_of(each.kind, table)})
        axis = _axis(question, rows)
        return _drawn(
            question, axis, placed, lanes, order, shown=int(inside.sum()), of=of, failed=int(bad.sum()),
            marks=_marks(ahead, axis, order, table, question),
            promises=_promised(promised, axis, order, table, question), newest=index.columns.newest, since=index.since,
        )  # fmt: skip


def _passing(index: Index, question: Question, rows: Rows) -> NDArray[np.bool_]:
    passing = _of_kinds(index, question, rows)
    if question.text:
        passing = passing | (_of_kinds(index, question.without_text, rows) & _by_itself(index, question.text, rows))
    return passing & mask_of_states(question.state)[rows.state] if question.state else passing


def _of_kinds(index: Index, question: Question, rows: Rows) -> NDArray[np.bool_]:
    wanted = index.kinds.which(lambda kind: question.wants(kind, index.owners_of(kind)))
    return np.asarray(wanted[rows.kind])


def _by_itself(index: Index, text: str, rows: Rows) -> NDArray[np.bool_]:
    """Runs that have the text in their own name, or as the beginning of their id."""
    named = index.names.having(text, rows.lo)
    return named | _with_id(rows, text) if len(text) >= _FEWEST_DIGITS and _DIGITS.issuperset(text) else named


def _with_id(rows: Rows, digits: str) -> NDArray[np.bool_]:
    """Runs whose id begins with these digits."""
    least, most = int(digits[:16].ljust(16, "0"), 16), int(digits[:16].ljust(16, "f"), 16)
    return np.asarray((rows.hi >= np.uint64(least)) & (rows.hi <= np.uint64(most)))


def _place(rows: Rows, inside: NDArray[np.bool_], table: NDArray[np.int32]) -> _Placed:
    first = table[rows.kind, 0] if len(table) else np.zeros(0, np.int32)
    if table.shape[1] == 1:
        return _Placed(rows, first, inside)
    lane = table[rows.kind]
    at, _ = np.nonzero(lane >= 0)
    return _Placed(rows.at(at), lane[lane >= 0], inside[at])


def _lanes(
    placed: _Placed, names: list[Lane], question: Question, expected: set[int]
) -> tuple[list[LaneSeen], NDArray[np.int32]]:
    """Lanes in which there is something, in order: those with runs in the margin alone come last.

    Also of each lane that may be, which of these it is, or -1.
    """
    there = np.bincount(placed.lane, minlength=len(names))
    lane, state = placed.lane[placed.inside], placed.rows.state[placed.inside]
    runs = np.bincount(lane, minlength=len(names))
    failed = np.bincount(lane[state >= blocks.FIRST_BAD], minlength=len(names))
    running = np.bincount(lane[state == blocks.STATES.index("running")], minlength=len(names))
    found = [number for number in range(len(names)) if there[number] or number in expected]
    ranks = {
        "trouble": lambda number: (-failed[number], not runs[number], names[number]),
        "name": lambda number: (not runs[number], names[number]),
        "runs": lambda number: (-runs[number], names[number]),
    }
    found.sort(key=ranks[question.order])
    order = np.full(len(names), -1, np.int32)
    order[found] = np.arange(len(found))
    seen = [LaneSeen(names[n], int(runs[n]), int(failed[n]), int(running[n])) for n in found]
    return seen, order


def _axis(question: Question, rows: Rows) -> Axis:
    begin, end = question.drawn
    if question.fold:
        return Axis.folded(begin, end, question.drawn_width, rows.started, rows.ended)
    return Axis.even(begin, end, question.drawn_width)


def _drawn(
    question: Question, axis: Axis, placed: _Placed, lanes: list[LaneSeen], order: NDArray[np.int32], **numbers: Any
) -> View:
    """Only the lanes that are asked for."""
    first = min(question.first_lane, max(len(lanes) - 1, 0))
    shown = lanes[first : first + question.lanes]
    place = order[placed.lane] - first if len(placed.lane) else placed.lane
    on_screen = np.flatnonzero((place >= 0) & (place < len(shown)))
    rows = placed.rows.at(on_screen)
    bars, columns = blocks.draw(rows, place[on_screen], max(len(shown), 1), axis)
    barred = rows.at(bars.run)
    return View(
        axis=axis, lanes=shown, lanes_in_all=len(lanes), ids=barred.ids, states=barred.state, bars=bars, columns=columns,
        **numbers,
    )  # fmt: skip


# --- what is to come ----------------------------------------------------------------------------------------------


def _ahead(index: Index, question: Question, begin: int, end: int) -> list[tuple[str, Ahead]]:
    """Runs that are due in what is drawn and have not started."""
    kinds = index.kinds.all
    states = set(question.state)
    due = [
        (run, each)
        for run, each in index.ahead.items()
        if begin <= each.due < end
        and question.wants(kinds[each.kind], index.owners_of(kinds[each.kind]))
        and (not states or each.state in states)
    ]
    return sorted(due, key=lambda one: one[1].due)[:MARKS]


def _lanes_of(kind: int, table: NDArray[np.int32]) -> list[int]:
    return [int(lane) for lane in table[kind] if lane >= 0]


def _marks(
    ahead: list[tuple[str, Ahead]], axis: Axis, order: NDArray[np.int32], table: NDArray[np.int32], question: Question
) -> list[Mark]:
    places = axis.place(np.array([each.due for _, each in ahead], np.int64))
    return [
        Mark(int(order[lane]) - question.first_lane, float(place), run, each.state == "late")
        for (run, each), place in zip(ahead, places, strict=True)
        for lane in _lanes_of(each.kind, table)
        if 0 <= order[lane] - question.first_lane < question.lanes
    ]


def _promised(
    found: list[Promise], axis: Axis, order: NDArray[np.int32], table: NDArray[np.int32], question: Question
) -> list[Promised]:
    """In each lane once, also where the flow has runs of several kinds in it."""
    places = axis.place(np.array([each.at for each in found], np.int64))
    return [
        Promised(lane, float(place), each.what, each.at, each.run)
        for each, place in zip(found, places, strict=True)
        for lane in sorted(
            {int(order[lane]) - question.first_lane for kind in each.kinds for lane in _lanes_of(kind, table)}
        )
        if 0 <= lane < question.lanes
    ]
