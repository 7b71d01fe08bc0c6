"""What is owed of something that is to come again and again."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flowtell.schedules import cron, dues
from flowtell_alerts._coming import KEPT, Coming, owed_by, owed_within

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
DAILY = cron("0 7 * * *")


def came(*hours: float) -> list[Coming]:
    return [Coming(int(hour * HOUR), f"e{place}") for place, hour in enumerate(hours)]


def test_within_a_span_of_the_time_before():
    """Missing once the span is over, to the µs."""
    assert owed_within(5, 10, 15).missing is False
    assert owed_within(5, 10, 16) == owed_within(5, 10, 99)
    assert owed_within(5, 10, 16).due == 15


def test_by_a_time_of_each_day():
    """Came at six: nothing is owed until seven of the next day."""
    owed = owed_by(DAILY, came(6), 0, 8 * HOUR)
    assert (owed.missing, owed.due) == (False, DAY + 7 * HOUR)
    assert owed_by(DAILY, came(6), 0, DAY + 7 * HOUR).missing
    assert not owed_by(DAILY, came(6, 30), 0, DAY + 8 * HOUR).missing


def test_what_comes_late_answers_what_it_missed_and_nothing_else():
    """At eight for seven: for the next day's seven nothing has come yet."""
    late = came(6, 24 + 8)
    assert not owed_by(DAILY, late, 0, DAY + 9 * HOUR).missing
    owed = owed_by(DAILY, late, 0, 2 * DAY + 7 * HOUR)
    assert (owed.missing, owed.due) == (True, 2 * DAY + 7 * HOUR)


def test_one_coming_pays_the_debt_of_many_days():
    """It was away for a week, and is back."""
    owed = owed_by(DAILY, came(6), 0, 8 * DAY)
    assert (owed.missing, owed.due) == (True, DAY + 7 * HOUR)
    assert not owed_by(DAILY, came(6, 8 * 24), 0, 8 * DAY + HOUR).missing


def test_what_never_came_is_owed_from_the_first_due_time_after_the_rule():
    """Stated at ten: not for seven of that morning."""
    assert not owed_by(DAILY, [], 10 * HOUR, DAY + 6 * HOUR).missing
    owed = owed_by(DAILY, [], 10 * HOUR, DAY + 7 * HOUR)
    assert (owed.missing, owed.due) == (True, DAY + 7 * HOUR)


def test_a_clock_that_jumps_moves_the_due_time_with_it():
    """Seven in Berlin is six o'clock UTC in winter and five in summer."""
    line = cron("0 7 * * *", "Europe/Berlin")
    march = 1_774_656_000_000_000  # 2026-03-28 00:00 UTC; the clock jumps on the 29th
    paid = [Coming(march + 4 * HOUR, "e")]
    assert owed_by(line, paid, 0, march + 12 * HOUR).due == march + DAY + 5 * HOUR


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 20 * 24 * 60), min_size=1, max_size=KEPT, unique=True),
    st.integers(0, 21 * 24 * 60),
    st.sampled_from(["0 7 * * *", "30 */6 * * *", "0 12 * * 1-5", "*/7 * * * *"]),
)
def test_by_times_against_an_oracle(minutes, later, expression):
    """Due times and comings walked through one by one, with a purse that holds one coming at most."""
    line = cron(expression)
    times = [minute * MINUTE + 1 for minute in sorted(minutes)]
    at = times[-1] + later * MINUTE
    steps = sorted([(due, "due") for due in dues(line, times[0], at)] + [(time, "came") for time in times])
    purse, debt = False, None
    for time, what in steps:
        if what == "came" and debt is not None:
            debt = None
        elif what == "came":
            purse = True
        elif purse:
            purse = False
        elif debt is None:
            debt = time
    owed = owed_by(line, [Coming(time, str(time)) for time in times], 0, at)
    assert owed.missing is (debt is not None)
    assert owed.due == (debt if debt is not None else next(dues(line, at)))
