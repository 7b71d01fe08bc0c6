"""Tasks of two runs are set beside their like, what differs most first."""

from __future__ import annotations

from flowtell.store.reading import TaskRun
from flowtell_dashboard.comparing.aligned import aligned
from flowtell_dashboard.comparing.page import Wanted, address, read_compare_page

SECOND = 1_000_000


def ran(task, begin, end, *, index=None, state="completed"):
    ended = None if end is None else end * SECOND
    own = f"{task}{begin}{index}"
    return TaskRun(
        run="r", id=own, flow="f", task=task, state=state, changed=1, map_index=index, started=begin * SECOND, ended=ended
    )


def test_what_differs_most_comes_first_and_each_has_its_like():
    """By name and call; the moments are of each run's own begin; what one of them did not call is alone."""
    here = [ran("extract", 0, 1), ran("step", 1, 2), ran("step", 2, 9), ran("new", 9, 10)]
    there = [ran("extract", 100, 101), ran("step", 101, 102), ran("step", 102, 103), ran("gone", 103, 106)]
    pairs = aligned(here, there, (0, 100 * SECOND), 200 * SECOND)
    assert [(pair.task, pair.call, pair.more) for pair in pairs] == [
        ("step", 2, 6.0),
        ("gone", 1, -3.0),
        ("new", 1, 1.0),
        ("extract", 1, 0.0),
        ("step", 1, 0.0),
    ]
    assert (pairs[0].here.begin, pairs[0].there.begin) == (2.0, 2.0)
    assert (pairs[1].here, pairs[2].there) == (None, None)


def test_a_mapped_task_is_one_from_its_first_to_its_last():
    here = [ran("load", 1, 3, index=0), ran("load", 2, 6, index=1, state="failed"), ran("load", 2, None, index=2)]
    (pair,) = aligned(here, [], (0, 0), 8 * SECOND)
    assert (pair.here.begin, pair.here.end, pair.here.runs, pair.here.state) == (1.0, 8.0, 3, "failed")


def test_a_run_is_compared_with_the_one_before(house, words):
    """Or with the one that the address names; each is told with its facts, parameters and tasks."""
    runs = [row.id for row in house.store.read(_in_time())]
    shown = read_compare_page(house.store.read, Wanted(runs[3]), house.clock())
    said = words(shown.body)
    assert ("run-3" in said, "run-2" in said) == (True, True)
    assert "run-5" in words(read_compare_page(house.store.read, Wanted(runs[3], runs[5]), house.clock()).body)
    assert "Tasks" in said
    assert Wanted.of(address(runs[3], runs[5]).partition("?")[2]) == Wanted(runs[3], runs[5])


def test_what_is_not_there_and_what_is_alone_say_so(house, words):
    assert "Run not found" in words(read_compare_page(house.store.read, Wanted("e" * 32), 1).head)
    assert "Run not found" in words(read_compare_page(house.store.read, Wanted(), 1).head)


def _in_time():
    from sqlalchemy import select

    from flowtell.store.tables import runs

    return select(runs.c.id).order_by(runs.c.started)
