"""Which due times are answered and whether a run may start: decisions over plain data."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowtell.engine.serving.policy import MOST_CAUGHT_UP, MOST_WAITING, Due, fate, room, to_answer
from flowtell.schedules import every

MINUTE = 60_000_000
HOUR = 60 * MINUTE
NOW = 1_000_000 * HOUR


def answered(catch_up: str, away: int, step: str = "10m") -> list[int]:
    """How many minutes ago the due times were that are answered after an absence."""
    return [(NOW - due.due) // MINUTE for due in to_answer(every(step, catch_up=catch_up), NOW - away, NOW)]


def test_a_due_time_is_answered_once_it_has_come():
    """Not before, and on time when somebody looked within a minute."""
    schedule = every("1h")
    assert to_answer(schedule, NOW - 1, NOW - 1) == []
    assert to_answer(schedule, NOW - 1, NOW) == [Due(NOW, missed=False)]
    assert to_answer(schedule, NOW - 1, NOW + MINUTE - 1) == [Due(NOW, missed=False)]
    assert to_answer(schedule, NOW - 1, NOW + MINUTE + 1) == [Due(NOW, missed=True)]
    assert to_answer(schedule, NOW, NOW + MINUTE) == []


def test_catch_up_none_answers_only_what_is_due_now():
    """An absence of an hour is passed over."""
    assert answered("none", 35 * MINUTE) == [0]


def test_catch_up_latest_answers_one_of_those_missed():
    """The newest; the one that is due now is not missed."""
    assert answered("latest", 35 * MINUTE) == [10, 0]
    assert answered("latest 5m", 35 * MINUTE) == [0]


def test_catch_up_all_answers_every_one_within_its_span():
    """Oldest first."""
    assert answered("all", 35 * MINUTE) == [30, 20, 10, 0]
    assert answered("all 25m", 35 * MINUTE) == [20, 10, 0]


def test_a_year_of_absence_starts_no_more_than_the_bound():
    """The newest thousand of half a million."""
    found = to_answer(every("1m", catch_up="all"), NOW - 365 * 24 * HOUR, NOW)
    assert len([due for due in found if due.missed]) == MOST_CAUGHT_UP


@given(st.sampled_from(["none", "latest", "all", "all 3h"]), st.lists(st.integers(1, 4 * HOUR), max_size=30))
def test_however_often_one_looks_nothing_is_answered_twice(catch_up, waits):
    """Each look begins where the last answer stood."""
    schedule, since, now = every("7m", catch_up=catch_up), NOW, NOW
    seen = []
    for wait in waits:
        now += wait
        found = [due.due for due in to_answer(schedule, since, now)]
        since = max([since, *found])
        seen += found
    assert seen == sorted(set(seen))
    assert all(NOW < due <= now for due in seen)


def test_overlap_decides_what_becomes_of_a_due_time_while_a_run_is_open():
    """Missed ones that are caught up wait for one another; what is beyond the bound is skipped."""
    busy = {"missed": False, "open_runs": 1, "waiting": 0, "room": 1}
    assert fate("skip", **busy) == "skip_overlap"
    assert fate("queue", **busy) == "take"
    assert fate("skip", **{**busy, "missed": True}) == "take"
    assert fate("skip", **{**busy, "room": 2}) == "take"
    assert fate("queue", **{**busy, "waiting": MOST_WAITING}) == "skip_full"


def test_one_run_at_a_time_unless_a_limit_or_a_schedule_says_otherwise():
    """A limit goes before a schedule's policy."""
    assert room([every("1h")], None) == 1
    assert room([every("1h", overlap="allow")], None) == float("inf")
    assert room([every("1h", overlap="allow")], 3) == 3
