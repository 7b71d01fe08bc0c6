"""A text finds runs by their own name too, within the other filters; of more than are kept the newest."""

from __future__ import annotations

import numpy as np

from flowtell_dashboard.timeline.index import Index
from flowtell_dashboard.timeline.names import Names
from flowtell_dashboard.timeline.question import Question
from flowtell_dashboard.timeline.view import view

MINUTE = 60_000_000
NOW = 1_790_000_000_000_000


def found(index, **asked):
    """How many runs pass."""
    return view(index, Question(begin=NOW - 60 * MINUTE, end=NOW + 60 * MINUTE, **asked), NOW).shown


def test_a_run_is_found_by_its_name(store, put):
    """Whatever its case; the flow, the state and the others still hold."""
    put(
        {"name": "Quick-Fox"},
        {"name": "slow-fox", "flow": "other"},
        {"name": "hare"},
        {"name": "fox", "state": "failed"},
        {"name": None},
    )
    index = Index(store.read)
    assert (found(index, text="fox"), found(index, text="hare"), found(index, text="orders")) == (3, 1, 4)
    assert found(index, text="fox", flow="other") == 1
    assert found(index, text="fox", state=("failed",)) == 1
    assert (found(index, text="wolf"), found(index, text="fo%")) == (0, 0)


def test_a_run_that_comes_is_found_and_one_that_goes_is_not(store, put):
    index = Index(store.read)
    assert found(index, text="fox") == 0
    put({"id": "a" * 32, "name": "fox"})
    index.note(["a" * 32])
    assert found(index, text="fox") == 1
    with store.write() as transaction:
        transaction.connection.exec_driver_sql("DELETE FROM runs")
    index.note(["a" * 32])
    assert found(index, text="fox") == 0
    assert len(index.names) == 0


def test_of_too_many_the_newest_stay():
    """In whatever order they come, a quarter more at the most."""
    for order in (range(1000), reversed(range(1000))):
        names = Names(100)
        for number in order:
            names.add((number, number), f"run {number}")
            assert len(names) <= 125
        lo = np.arange(1000, dtype=np.uint64)
        assert names.having("run 999", lo).tolist() == [number == 999 for number in range(1000)]
        assert set(range(900, 1000)) <= set(np.flatnonzero(names.having("run", lo)).tolist())
