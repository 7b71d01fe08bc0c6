"""When a cron line is due, written apart from the code under test and from cronsim: by days and wall times, not by steps.

Reads the words of cron(8) on Debian: a line of fixed times is due once for each of its wall times, at the end of the gap
where the clock skips it and the first time where it comes twice; a line with a star in minute or hour whenever the wall
shows one of its times.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


def due_times(line: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Every due time in [start, end), in UTC. Fields: `*`, numbers, lists, ranges, steps."""
    minutes, hours, days, months, weekdays = line.split()
    starred = minutes.startswith("*") or hours.startswith("*")
    found: set[datetime] = set()
    day = start.astimezone(zone).date() - timedelta(days=2)
    while day <= end.astimezone(zone).date() + timedelta(days=2):
        if _is_day(day, days, months, weekdays):
            for hour in numbers(hours, 0, 23):
                for minute in numbers(minutes, 0, 59):
                    wall = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001  # what a wall shows
                    found.update(_as_shown(wall, zone) if starred else _once(wall, zone))
        day += timedelta(days=1)
    return sorted(moment for moment in found if start <= moment < end)


def _is_day(day: date, days: str, months: str, weekdays: str) -> bool:
    in_month = day.month in numbers(months, 1, 12)
    by_date = day.day in numbers(days, 1, 31)
    by_week = day.isoweekday() % 7 in {number % 7 for number in numbers(weekdays, 0, 7)}
    either = not days.startswith("*") and not weekdays.startswith("*")
    return in_month and (by_date or by_week if either else by_date and by_week)


def _as_shown(wall: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Each moment at which the wall shows this."""
    for fold in (0, 1):
        moment = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == wall:
            yield moment


def _once(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    shown = sorted(_as_shown(wall, zone))
    while not shown:
        wall += MINUTE
        shown = sorted(_as_shown(wall, zone))
    return shown[:1]


def numbers(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin = low if first == "*" else int(first)
        stop = high if first == "*" or (step and not last) else int(last or first)
        found.update(range(begin, stop + 1, int(step or 1)))
    return found
