"""When a deployment is due: cron lines and intervals as plain data, and the arithmetic on them. No clock, no state.

One arithmetic for whoever starts runs and whoever judges that one is late, so that the two never differ by an hour.

Where a zone's clock jumps, cron lines follow Debian's cron (cron(8), "daylight saving time"), as cronsim has it:

- A line of fixed times (neither its minute nor its hour begins with a star) is due once for each time of its day. A time
  that the clock skips is due at the first moment after the jump; one that comes twice is due the first time only.
- A line with a star in minute or hour follows the clock as it is: skipped times are not due, doubled ones are due twice.
- A line of six fields, the first being seconds, follows the clock too.

An interval counts seconds from its anchor and knows no zone: `every("24h")` drifts against the wall clock, cron does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from flowtell.errors import BadSchedule
from flowtell.events import Schedule
from flowtell.rules import seconds

if TYPE_CHECKING:
    from datetime import datetime, timedelta, tzinfo

Overlap = Literal["skip", "queue", "allow"]

OVERLAPS: Final[tuple[Overlap, ...]] = ("skip", "queue", "allow")
CATCH_UPS: Final = ("none", "latest", "all")
MISSED_AFTER: Final = 60_000_000
"""µs after which a due time that nobody has answered is missed, and falls under the catch-up policy."""

EARLY: Final = 60_000_000
"""µs that a start may be ahead of the due time that it answers, at most: the clock that began it may be fast."""
_EARLY_PART: Final = 10
"""The same as a part of the time between two due times, where that is short."""

_SHORTHANDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_SHORTEST: Final = 0.1
_DAY: Final = 86_400_000_000
_FARTHEST: Final = 50 * 366 * 86_400_000_000
"""How far into the past `previous_due` looks, in µs; as far as cronsim looks ahead."""


# --- saying one ---------------------------------------------------------------------------------------------------


def cron(
    expression: str,
    tz: str = "UTC",
    *,
    id: str = "",
    overlap: Overlap = "skip",
    catch_up: str = "latest",
    jitter: str | float = 0,
    grace: str | float | None = None,
    active: bool = True,
) -> Schedule:
    """Due when a cron line says so by the clock of the zone `tz`. See the module for days when that clock jumps.

    Args:
        expression: five fields (or six, seconds first), or one of @hourly, @daily, @weekly, @monthly, @yearly.
        id: tells the schedules of one deployment apart; default: the expression and zone.
        overlap: when the run before has not ended: `skip` this one, `queue` it, or `allow` both at once.
        catch_up: of due times that passed while nobody served: `none` is answered, the `latest`, or `all`; with a span,
            as in `all 7d`, only those that are no older.
        jitter: a run starts up to this long after it is due, each run by its id always the same.
        grace: how late a start may be before rules call it late; None leaves that to them.
        active: False keeps the schedule declared and starts nothing.

    Raises:
        BadSchedule: no such zone, expression or policy.
    """
    line = _SHORTHANDS.get(expression.strip().lower(), " ".join(expression.split()))
    return checked(
        Schedule(
            id=id or f"{line} {tz}",
            kind="cron",
            expression=line,
            tz=tz,
            jitter=_span("jitter", jitter),
            overlap=overlap,
            catch_up=catch_up,
            grace=None if grace is None else _span("grace", grace),
            active=active,
        )
    )


def every(
    interval: str | float | timedelta,
    *,
    anchor: datetime | int | None = None,
    id: str = "",
    overlap: Overlap = "skip",
    catch_up: str = "latest",
    jitter: str | float = 0,
    grace: str | float | None = None,
    active: bool = True,
) -> Schedule:
    """Due at the anchor and every `interval` before and after it, whatever clocks on walls do. The rest is as in `cron`.

    Args:
        interval: such as `"90s"` or `"1h 30m"`, a number of seconds or a timedelta; a tenth of a second at least.
        anchor: an aware datetime, or µs since the epoch; default: 1970-01-01 00:00 UTC, so that every start of the
            process has the same due times.

    Raises:
        BadSchedule: an interval, anchor or policy that cannot be.
    """
    length = interval.total_seconds() if hasattr(interval, "total_seconds") else _span("interval", interval)
    text = f"{length:.6f}".rstrip("0").rstrip(".") + "s"
    return checked(
        Schedule(
            id=id or f"every {text}",
            kind="every",
            expression=text,
            anchor=_moment(anchor),
            jitter=_span("jitter", jitter),
            overlap=overlap,
            catch_up=catch_up,
            grace=None if grace is None else _span("grace", grace),
            active=active,
        )
    )


def _span(name: str, value: str | float | timedelta) -> float:
    try:
        return seconds(value)  # type: ignore[arg-type]  # what is no span raises
    except (ValueError, TypeError) as error:
        raise BadSchedule(str(value), f"{name}: {error}") from None


def _moment(anchor: datetime | int | None) -> int | None:
    if anchor is None or isinstance(anchor, int):
        return anchor
    if anchor.tzinfo is None:
        raise BadSchedule(str(anchor), "an anchor needs a zone, as in datetime(2026, 1, 1, tzinfo=UTC)")
    return microseconds(anchor)


def checked(schedule: Schedule) -> Schedule:
    """The same schedule, if it can be evaluated.

    Raises:
        BadSchedule: its expression, zone or a policy cannot be used; the message says which.
    """
    if schedule.overlap not in ("", *OVERLAPS):
        raise BadSchedule(schedule.id, f"overlap {schedule.overlap!r} is none of {', '.join(OVERLAPS)}")
    catch_up_policy(schedule)
    if schedule.kind == "cron":
        next_due(schedule, 0)
    elif schedule.kind == "every":
        _step(schedule)
    else:
        raise BadSchedule(schedule.id, f"kind {schedule.kind!r} is neither cron nor every")
    return schedule


def catch_up_policy(schedule: Schedule) -> tuple[str, float | None]:
    """The policy's name, and the seconds that a missed due time may be old; None for any age.

    Raises:
        BadSchedule: it has another form.
    """
    name, _, window = (schedule.catch_up or "latest").partition(" ")
    if name not in CATCH_UPS:
        raise BadSchedule(schedule.id, f"catch_up {schedule.catch_up!r} begins with none of {', '.join(CATCH_UPS)}")
    return name, _span("catch_up", window) if window else None


# --- the arithmetic -----------------------------------------------------------------------------------------------


def next_due(schedule: Schedule, after: int) -> int | None:
    """The first due time after `after`, both in µs since the epoch; None where there is none, or for an unknown kind.

    Raises:
        BadSchedule: the expression or zone cannot be used.
    """
    return next(dues(schedule, after), None)


def previous_due(schedule: Schedule, at: int) -> int | None:
    """The last due time at or before `at`, within fifty years; None where there is none.

    Found by going forward from earlier and earlier, so that it never differs from `next_due`.
    """
    back = 120_000_000
    while back < 2 * _FARTHEST:
        found = None
        for found in dues(schedule, at - back, at):  # noqa: B007  # the last one is wanted
            pass
        if found is not None:
            return found
        back *= 2
    return None


def answered_due(schedules: Iterable[Schedule], at: int) -> int | None:
    """The due time that a run answers which something else began at `at`: the latest of those not after it.

    One that is ahead counts where it is nearer than a minute and than a tenth of the way from the one before. So a run that
    is hours late answers the time that it is late for, and never the next, which is still to come.
    """
    found = [due for schedule in schedules if schedule.active and (due := _answered(schedule, at)) is not None]
    return max(found, default=None)


def _answered(schedule: Schedule, at: int) -> int | None:
    before, ahead = previous_due(schedule, at), next_due(schedule, at)
    if ahead is None or ahead - at > EARLY:
        return before
    near = before is None or (ahead - at) * _EARLY_PART <= ahead - before
    return ahead if near else before


def dues(schedule: Schedule, after: int, until: int | None = None) -> Iterator[int]:
    """Every due time after `after` and, where it is given, not after `until`; in order, each once."""
    if schedule.kind == "every":
        found = _intervals(schedule, after)
    elif schedule.kind == "cron":
        found = _matches(schedule, after)
    else:
        return
    for due in found:
        if until is not None and due > until:
            return
        yield due


def start_of(schedule: Schedule, run: str, due: int) -> int:
    """When the run that answers `due` is to start: its jitter later, which its id alone decides."""
    return due + int(schedule.jitter * 1_000_000 * (int(run[-12:], 16) / 2**48))


def _step(schedule: Schedule) -> int:
    """An interval's length in µs. A source may give a bare number, of seconds."""
    text = schedule.expression
    length = _span("interval", float(text) if text.replace(".", "", 1).isdigit() else text)
    if length < _SHORTEST:
        raise BadSchedule(schedule.id, f"an interval is {_SHORTEST:g} s at least")
    return round(length * 1_000_000)


def _intervals(schedule: Schedule, after: int) -> Iterator[int]:
    step, anchor = _step(schedule), schedule.anchor or 0
    due = anchor + ((after - anchor) // step + 1) * step
    while True:
        yield due
        due += step


def _matches(schedule: Schedule, after: int) -> Iterator[int]:
    from cronsim import CronSimError

    find = _fixed_times if _is_fixed(schedule.expression) else _times_shown
    try:
        yield from find(schedule.expression, _zone(schedule), after)
    except CronSimError as error:
        raise BadSchedule(schedule.id, f"{str(error).lower()} in cron expression '{schedule.expression}'") from None


def _is_fixed(expression: str) -> bool:
    parts = expression.split()
    return len(parts) == 5 and not parts[0].startswith("*") and not parts[1].startswith("*")


def _fixed_times(expression: str, zone: tzinfo, after: int) -> Iterator[int]:
    """What cronsim finds, less what it finds twice: begun inside a doubled hour, it gives times of the first passage."""
    from cronsim import CronSim

    for moment in CronSim(expression, _at(after).astimezone(zone)):
        due = microseconds(moment)
        if due > after:
            yield due
            after = due


def _times_shown(expression: str, zone: tzinfo, after: int) -> Iterator[int]:
    """Every moment at which the clock on the wall shows one of the line's times.

    cronsim looks from one jump of the clock to the next, as if there were none: across one of half an hour (Lord Howe)
    it goes on by whole hours and steps over times.
    """
    from datetime import timedelta

    from cronsim import CronSim

    for offset, start, end in _stretches(zone, after + 1):
        wall = _at(start - 1).replace(tzinfo=None) + timedelta(microseconds=offset)
        for moment in CronSim(expression, wall):
            due = microseconds(moment.replace(tzinfo=_at(0).tzinfo)) - offset
            if end is not None and due >= end:
                break
            yield due


def _stretches(zone: tzinfo, start: int) -> Iterator[tuple[int, int, int | None]]:
    """Pieces of time from `start` on, in each of which the zone's offset from UTC stays: offset, start, end, all in µs.

    They grow from a day to a year, as most who ask want the next due time and the zone says nothing of its next jump.
    """
    if zone is _at(0).tzinfo:
        yield 0, start, None
        return
    farthest, days = start + _FARTHEST, 1
    while start < farthest:
        offset = _offset(zone, start)
        end = _end_of_offset(zone, offset, start, days)
        yield offset, start, end
        start, days = end, min(2 * days, 366)


def _end_of_offset(zone: tzinfo, offset: int, start: int, days: int) -> int:
    """When another offset begins, but no later than so many days from `start`. Looked for day by day, then halved."""
    for day in range(days):
        same, other = start + day * _DAY, start + (day + 1) * _DAY
        if _offset(zone, other) != offset:
            break
    else:
        return start + days * _DAY
    while other - same > 1:
        middle = (same + other) // 2
        same, other = (middle, other) if _offset(zone, middle) == offset else (same, middle)
    return other


def _offset(zone: tzinfo, moment: int) -> int:
    from datetime import timedelta

    offset = _at(moment).astimezone(zone).utcoffset()
    assert offset is not None
    return offset // timedelta(microseconds=1)


def _at(moment: int) -> datetime:
    """To the whole second below: what cronsim looks at, and no zone jumps inside one."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(moment // 1_000_000, UTC)


def microseconds(moment: datetime) -> int:
    """µs since the epoch of an aware datetime, without a float between."""
    from datetime import UTC, datetime, timedelta

    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _zone(schedule: Schedule) -> tzinfo:
    try:
        return _zone_named(schedule.tz or "UTC")
    except (ValueError, OSError) as error:
        raise BadSchedule(schedule.id, f"there is no time zone '{schedule.tz}'") from error
    except KeyError as error:
        raise BadSchedule(schedule.id, _unknown(schedule.tz)) from error


@lru_cache(maxsize=1000)
def _zone_named(name: str) -> tzinfo:
    from datetime import UTC

    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # ZoneInfoNotFoundError is a KeyError

    return ZoneInfo(name)


def _unknown(name: str) -> str:
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    close = get_close_matches(name, available_timezones(), n=1)
    hint = f"; did you mean '{close[0]}'?" if close else "; write it like Europe/Berlin"
    return f"there is no time zone '{name}'{hint}"


__all__ = [
    "CATCH_UPS",
    "EARLY",
    "MISSED_AFTER",
    "OVERLAPS",
    "answered_due",
    "catch_up_policy",
    "checked",
    "cron",
    "dues",
    "every",
    "microseconds",
    "next_due",
    "previous_due",
    "start_of",
]
