"""Places on the picture keep the order of moments, folded or not."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flowtell_dashboard.timeline.axis import FOLDED, Axis

HOUR = 3_600_000_000


def test_idle_hours_shrink_to_a_fold_and_busy_ones_grow() -> None:
    """Two runs of an hour, a day apart: each gets nearly half of the picture."""
    started, ended = np.array([0, 24 * HOUR]), np.array([HOUR, 25 * HOUR])
    axis = Axis.folded(0, 25 * HOUR, 1000, started, ended)
    left, right = axis.place(started), axis.place(ended)
    assert axis.is_folded
    assert (right - left > 400).all()
    assert FOLDED - 1 < left[1] - right[0] < 100


def test_without_gaps_nothing_is_folded() -> None:
    """The axis is even then."""
    assert not Axis.folded(0, HOUR, 1000, np.array([0]), np.array([HOUR])).is_folded


def test_a_window_without_runs_is_not_folded_away() -> None:
    """There is nothing that could be shown larger."""
    nothing = np.zeros(0, np.int64)
    assert not Axis.folded(0, HOUR, 1000, nothing, nothing).is_folded


@given(
    spans=st.lists(st.tuples(st.integers(-HOUR, 40 * HOUR), st.integers(0, 3 * HOUR)), max_size=30),
    moments=st.lists(st.integers(-HOUR, 41 * HOUR), min_size=2, max_size=20),
    width=st.integers(50, 3000),
)
def test_a_later_moment_is_never_further_left(spans: list[tuple[int, int]], moments: list[int], width: int) -> None:
    """And every place is on the picture."""
    spans.sort()
    started = np.array([begin for begin, _ in spans], np.int64)
    ended = np.array([begin + length for begin, length in spans], np.int64)
    for axis in (Axis.even(0, 40 * HOUR, width), Axis.folded(0, 40 * HOUR, width, started, ended)):
        places = axis.place(np.array(sorted(moments), np.int64))
        assert (np.diff(places) >= -1e-9).all()
        assert ((places >= -1e-6) & (places <= width + 1e-6)).all()
