"""Which dates a range has."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtell.engine.backfill.dates import dates


@pytest.mark.parametrize(
    ("first", "last", "step", "found"),
    [
        ("2026-11-01", "2026-11-03", "day", ["2026-11-01", "2026-11-02", "2026-11-03"]),
        ("2026-11-01", "2026-11-01", "day", ["2026-11-01"]),
        ("2026-11-01", "2026-11-20", "week", ["2026-11-01", "2026-11-08", "2026-11-15"]),
        ("2026-11-01", "2026-11-20", "10d", ["2026-11-01", "2026-11-11"]),
        ("2026-01-31", "2026-04-30", "month", ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]),
        ("2024-02-29", "2026-03-01", "year", ["2024-02-29", "2025-02-28", "2026-02-28"]),
        ("2026-11-01", "2026-11-01", "12h", ["2026-11-01T00:00:00", "2026-11-01T12:00:00"]),
        ("2026-11-01T22:00", "2026-11-02", "hour", [f"2026-11-01T{hour}:00:00" for hour in (22, 23)]
         + [f"2026-11-02T{hour:02}:00:00" for hour in range(24)]),
        ("2026-11-01T06:00+01:00", "2026-11-02T06:00+01:00", "day",
         ["2026-11-01T06:00:00+01:00", "2026-11-02T06:00:00+01:00"]),
    ],
)  # fmt: skip
def test_both_ends_are_in_it(first: str, last: str, step: str, found: list[str]) -> None:
    """Days where both ends are days and the step is of days, else moments; a month's 31st is its last day."""
    assert dates(first, last, step) == found


@pytest.mark.parametrize(
    ("first", "last", "step", "said"),
    [
        ("monday", "2026-11-03", "day", "--from monday is no date"),
        ("2026-11-03", "2026-11-31", "day", "--to 2026-11-31 is no date"),
        ("2026-11-03", "2026-11-01", "day", "--to 2026-11-01 is before --from 2026-11-03"),
        ("2026-11-01", "2026-11-03", "fortnight", "--step fortnight is none of hour, day"),
        ("2026-11-01", "2026-11-03", "0s", "--step 0s is none of"),
        ("2026-11-01T00:00+00:00", "2026-11-03", "day", "offset from UTC"),
        ("2010-01-01", "2026-11-03", "hour", "more than 100,000"),
    ],
)
def test_what_is_no_range_is_refused(first: str, last: str, step: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        dates(first, last, step)


@given(st.dates(date(1999, 1, 1), date(2040, 1, 1)), st.integers(0, 400))
def test_every_day_is_there_once(first: date, days: int) -> None:
    last = first + timedelta(days)
    assert dates(first.isoformat(), last.isoformat()) == [(first + timedelta(n)).isoformat() for n in range(days + 1)]
