"""What is drawn of the runs: bars where there is room for them, columns with counts where there is not.

Each run is in exactly one bar or in the count of exactly one column, so the counts add up to the runs of the window. The
worst state colours a column, and a column says how many of its runs ended badly there, however many ended well.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowtell_dashboard.timeline.axis import Axis
from flowtell_dashboard.timeline.columns import Rows

STATES: Final = (
    "completed", "cached", "skipped", "scheduled", "pending", "unknown", "running", "waiting",
    "paused", "cancelling", "retrying", "late", "cancelled", "timed_out", "crashed", "failed",
)  # fmt: skip
"""From the best to the worst; a state's number is its place."""

FIRST_BAD: Final = STATES.index("timed_out")
"""This state and those after it are bad ends."""

COLUMN: Final = 2
"""Pixels that a column is wide."""

SLOTS: Final = 4
"""Runs at one time in one lane that still get a bar each."""

_WIDE: Final = 3.0
"""Pixels from which a run gets a bar of its own among others."""
_TOUCHING: Final = 1.0
"""Pixels between two runs that are needed to tell them apart."""
_TOGETHER: Final = 32
"""Most runs of one cluster that are laid out."""
_FEW: Final = 40
"""Runs of one lane of which even the shortest is a bar, where it stands alone."""


class Bars(NamedTuple):
    """`run` are places in the rows that were given; `slot` of `slots` is where in the lane's height a bar is."""

    run: NDArray[np.intp]
    lane: NDArray[np.uint16]
    slot: NDArray[np.uint8]
    slots: NDArray[np.uint8]
    left: NDArray[np.float32]
    right: NDArray[np.float32]


class Columns(NamedTuple):
    """`begun` runs begin in the column, `failed` end badly in it; `busy` are on in it, of which `bad` ended badly some time.

    `state` is the worst of those that did not, `bad_state` of those that did.
    """

    lane: NDArray[np.uint16]
    place: NDArray[np.uint16]
    begun: NDArray[np.uint32]
    failed: NDArray[np.uint32]
    busy: NDArray[np.uint32]
    bad: NDArray[np.uint32]
    state: NDArray[np.uint8]
    bad_state: NDArray[np.uint8]


class _Laid(NamedTuple):
    """Runs by lane and start, with their places in pixels."""

    order: NDArray[np.intp]
    lane: NDArray[np.int64]
    left: NDArray[np.float64]
    right: NDArray[np.float64]
    cluster: NDArray[np.int64]


def draw(rows: Rows, lane: NDArray[np.int32], lanes: int, axis: Axis) -> tuple[Bars, Columns]:
    """Bars and columns of runs that are given in the order of their start.

    Args:
        rows: the end of a run that is still on is now.
        lane: of each run, below `lanes`.
    """
    laid = _lay(lane, axis.place(rows.started), axis.place(rows.ended), axis.width)
    bars = _bars(laid, _have_bars(laid, lanes))
    left_over = np.ones(len(lane), bool)
    left_over[bars.run] = False
    return bars, _columns(laid, left_over[laid.order], rows.state[laid.order], lanes, axis.width)


def _lay(lane: NDArray[np.int32], left: NDArray[np.float64], right: NDArray[np.float64], width: float) -> _Laid:
    """Sort by lane, and find the clusters: runs of a lane that touch on the screen."""
    order = np.argsort(lane.astype(np.uint16), kind="stable")
    lanes, left, right = lane[order].astype(np.int64), left[order], right[order]
    base = lanes * (width + 10.0)
    reached = np.maximum.accumulate(right + base)
    begins = np.empty(len(order), bool)
    begins[:1] = True
    begins[1:] = (left + base)[1:] > reached[:-1] + _TOUCHING
    return _Laid(order, lanes, left, right, np.cumsum(begins) - 1)


def _have_bars(laid: _Laid, lanes: int) -> NDArray[np.bool_]:
    """Of each run, whether its cluster has room for bars."""
    if not len(laid.order):
        return np.zeros(0, bool)
    first = np.flatnonzero(np.diff(laid.cluster, prepend=-1))
    size = np.diff(first, append=len(laid.cluster))
    narrowest = np.minimum.reduceat(laid.right - laid.left, first)
    few = np.bincount(laid.lane, minlength=lanes)[laid.lane[first]] <= _FEW
    alone = (size == 1) & ((narrowest >= _WIDE) | few)
    apart = (size > 1) & (size <= _TOGETHER) & (narrowest >= _WIDE)
    return np.asarray((alone | apart)[laid.cluster])


def _bars(laid: _Laid, wanted: NDArray[np.bool_]) -> Bars:
    at = np.flatnonzero(wanted)
    slot, slots = _slots(laid, at)
    fits = slots <= SLOTS
    at, slot, slots = at[fits], slot[fits], slots[fits]
    return Bars(
        laid.order[at],
        laid.lane[at].astype(np.uint16),
        slot.astype(np.uint8),
        slots.astype(np.uint8),
        laid.left[at].astype(np.float32),
        laid.right[at].astype(np.float32),
    )


def _slots(laid: _Laid, at: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """In each cluster, the topmost slot that is free when a run begins; and how many slots its cluster takes."""
    slot, slots = np.zeros(len(at), np.int64), np.ones(len(at), np.int64)
    cluster = laid.cluster[at]
    first = np.flatnonzero(np.diff(cluster, prepend=-1))
    size = np.diff(first, append=len(cluster))
    for begin, count in zip(first[size > 1].tolist(), size[size > 1].tolist(), strict=True):
        inside = slice(begin, begin + count)
        chosen = _first_fit(laid.left[at[inside]].tolist(), laid.right[at[inside]].tolist())
        slot[inside], slots[inside] = chosen, max(chosen) + 1
    return slot, slots


def _first_fit(left: list[float], right: list[float]) -> list[int]:
    free_from: list[float] = []
    chosen = []
    for begin, end in zip(left, right, strict=True):
        slot = next((number for number, free in enumerate(free_from) if free <= begin), len(free_from))
        free_from[slot : slot + 1] = [end]
        chosen.append(slot)
    return chosen


def _columns(laid: _Laid, wanted: NDArray[np.bool_], state: NDArray[np.uint8], lanes: int, width: float) -> Columns:
    places = int(np.ceil(width / COLUMN)) or 1
    at = np.flatnonzero(wanted)
    lane, kind = laid.lane[at], state[at].astype(np.int64)
    begin, end = (np.minimum((edge[at] / COLUMN).astype(np.int64), places - 1) for edge in (laid.left, laid.right))
    started = _grid(kind, lane, begin, lanes, places)
    over = _grid(kind, lane, end, lanes, places)
    on = np.cumsum(started, axis=2)
    on[:, :, 1:] -= np.cumsum(over, axis=2)[:, :, :-1]
    bad = on[FIRST_BAD:].sum(axis=0)
    busy = on[:FIRST_BAD].sum(axis=0) + bad
    shown = np.nonzero(busy)
    return Columns(
        shown[0].astype(np.uint16),
        shown[1].astype(np.uint16),
        started.sum(axis=0)[shown].astype(np.uint32),
        over[FIRST_BAD:].sum(axis=0)[shown].astype(np.uint32),
        busy[shown].astype(np.uint32),
        bad[shown].astype(np.uint32),
        _worst(on[:FIRST_BAD])[shown].astype(np.uint8),
        (_worst(on[FIRST_BAD:]) + FIRST_BAD)[shown].astype(np.uint8),
    )


def _worst(on: NDArray[np.int64]) -> NDArray[np.intp]:
    """The number of the last state that there is any run of."""
    return np.asarray(len(on) - 1 - np.argmax(on[::-1] > 0, axis=0))


def _grid(
    kind: NDArray[np.int64], lane: NDArray[np.int64], place: NDArray[np.int64], lanes: int, places: int
) -> NDArray[np.int64]:
    """How many runs of each state there are at each place of each lane."""
    cell = (kind * lanes + lane) * places + place
    return np.bincount(cell, minlength=len(STATES) * lanes * places).reshape(len(STATES), lanes, places)
