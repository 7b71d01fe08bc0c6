"""The dates of a back-fill, as text that a flow's annotations convert: `2026-11-01`, or `2026-11-01T06:00:00`."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from flowtell.rules import seconds

MOST: Final = 100_000
"""Runs of one back-fill."""

_DAY: Final = timedelta(days=1)
_STEPS: Final = {"hour": timedelta(hours=1), "day": _DAY, "week": timedelta(days=7)}
_MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}


def dates(first: str, last: str, step: str = "day") -> list[str]:
    """From `first` to `last`, both included, `step` apart: hour, day, week, month, quarter, year, or a span such as 6h.

    A `last` without a time of day ends with that day. Months are counted from `first`: a 31st becomes the month's last day.

    Raises:
        ValueError: one is no date, they are the wrong way round, or there are more than `MOST`.
    """
    start, end = _moment("--from", first), _moment("--to", last)
    is_by_days = _is_day(first) and _is_day(last) and (step in _MONTHS or _stride(step) % _DAY == timedelta(0))
    if _is_day(last):
        end += _DAY - timedelta(microseconds=1)
    if (start.tzinfo is None) != (end.tzinfo is None):
        raise ValueError("give both --from and --to an offset from UTC, or neither")
    if end < start:
        raise ValueError(f"--to {last} is before --from {first}")
    return [moment.date().isoformat() if is_by_days else moment.isoformat() for moment in _moments(start, end, step)]


def _is_day(text: str) -> bool:
    return len(text) <= len("2026-11-01")


def _moment(option: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{option} {text} is no date; write 2026-11-01 or 2026-11-01T06:00") from None


def _moments(start: datetime, end: datetime, step: str) -> Iterator[datetime]:
    at = _nth(start, step)
    for number in range(MOST + 1):
        if (moment := at(number)) > end:
            return
        if number == MOST:
            raise ValueError(f"there are more than {MOST:,} of them; take a longer --step")
        yield moment


def _nth(start: datetime, step: str) -> Callable[[int], datetime]:
    if step in _MONTHS:
        return lambda number: _months_later(start, number * _MONTHS[step])
    stride = _stride(step)
    return lambda number: start + number * stride


def _stride(step: str) -> timedelta:
    if step in _STEPS:
        return _STEPS[step]
    try:
        stride = timedelta(seconds=seconds(step))
    except ValueError:
        stride = timedelta(0)
    if stride <= timedelta(0):
        raise ValueError(f"--step {step} is none of {', '.join((*_STEPS, *_MONTHS))}, and no span such as 6h")
    return stride


def _months_later(start: datetime, months: int) -> datetime:
    year, month = divmod(start.month - 1 + months, 12)
    year, month = start.year + year, month + 1
    return start.replace(year=year, month=month, day=min(start.day, monthrange(year, month)[1]))
