"""Counts of a window: right to a hundredth of it, whatever the order, in little memory."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flowtell_alerts._tally import STEPS, Tally

WINDOW = 100_000
STEP = WINDOW // STEPS
ends = st.lists(st.tuples(st.integers(0, 5 * WINDOW), st.booleans()), max_size=200)


@settings(deadline=None)
@given(ends, st.integers(0, 5 * WINDOW), st.randoms(use_true_random=False))
def test_counts_lie_between_those_of_the_window_and_of_one_a_hundredth_longer(given_, at, random_):
    """Good and bad alike."""
    shuffled = list(given_)
    random_.shuffle(shuffled)
    tally = Tally(WINDOW)
    for moment, good in shuffled:
        tally.add(moment, good=good)
    newest = max((moment for moment, _ in given_), default=0)
    at = max(at, newest)
    for kind, found in zip((True, False), tally.at(at), strict=True):
        inside = sum(good is kind and moment > at - WINDOW for moment, good in given_)
        wider = sum(good is kind and moment > at - WINDOW - STEP for moment, good in given_)
        assert inside <= found <= wider
    assert len(tally.pieces) <= STEPS + 2
    assert Tally(WINDOW, tally.pieces).at(at) == tally.at(at)


def test_counts_change_when_the_oldest_piece_leaves():
    """Not a moment before it says."""
    tally = Tally(WINDOW)
    tally.add(5, good=False)
    tally.add(STEP * 50, good=True)
    leaves = tally.changes_after(STEP * 60)
    assert tally.at(leaves - 1) == (1, 1)
    assert tally.at(leaves) == (1, 0)
    assert Tally(WINDOW).changes_after(0) is None


def test_the_window_of_an_earlier_moment_holds_no_later_runs():
    """Asked when the last bad end came."""
    tally = Tally(WINDOW)
    tally.add(STEP, good=False)
    tally.add(STEP * 9, good=True)
    assert tally.at(STEP * 2) == (0, 1)
