"""Schedules as data, and their arithmetic: against an oracle written apart, and against another library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import due_times

from flowtell.errors import BadSchedule
from flowtell.events import Schedule
from flowtell.schedules import answered_due, cron, dues, every, microseconds, next_due, previous_due, start_of

LINES = (
    *("30 2 * * *", "0 0 * * *", "15,45 1-3 * * *", "0 12 1 * 1", "59 23 31 12 *"),  # of fixed times
    *("*/20 * * * *", "0 * * * *", "10 */2 * * *"),
)
YEAR = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
RECENT = datetime(2000, 1, 1, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC)

moments = st.integers(microseconds(RECENT[0]), microseconds(RECENT[1]))
zones = st.sampled_from(sorted(available_timezones()))


def at(text: str, zone: str = "UTC") -> int:
    return microseconds(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


def told(found: list[int], zone: str = "UTC") -> list[str]:
    return [datetime.fromtimestamp(due / 1e6, ZoneInfo(zone)).strftime("%d %H:%M%z") for due in found]


def between(schedule: Schedule, start: datetime, end: datetime) -> list[int]:
    """Due times in [start, end)."""
    return list(dues(schedule, microseconds(start) - 1, microseconds(end) - 1))


# --- where clocks jump --------------------------------------------------------------------------------------------


def test_a_time_that_the_clock_skips_is_due_right_after_the_jump():
    """Berlin goes from 02:00 to 03:00 on 29 March 2026: the run of 02:30 is due at 03:00, and is not left out."""
    found = list(islice(dues(cron("30 2 * * *", "Europe/Berlin"), at("2026-03-28 00:00")), 3))
    assert told(found, "Europe/Berlin") == ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"]


def test_a_time_that_comes_twice_is_due_the_first_time_only():
    """Berlin goes from 03:00 back to 02:00 on 25 October 2026."""
    found = list(islice(dues(cron("30 2 * * *", "Europe/Berlin"), at("2026-10-24 00:00")), 3))
    assert told(found, "Europe/Berlin") == ["24 02:30+0200", "25 02:30+0200", "26 02:30+0100"]


def test_asked_between_the_two_passages_a_time_is_not_due_again():
    """The library alone, begun at the second 02:10, would give the first 02:30, which is past."""
    between_passages = at("2026-10-25 01:10")
    assert told([next_due(cron("30 2 * * *", "Europe/Berlin"), between_passages)], "Europe/Berlin") == ["26 02:30+0100"]


def test_a_line_with_a_star_follows_the_clock_through_both_jumps():
    """Every hour stays every hour: 23 of them on the short day, 25 on the long one."""
    hourly = cron("0 * * * *", "Europe/Berlin")
    for day, hours in (("2026-03-29", 23), ("2026-10-25", 25)):
        start = at(f"{day} 00:00", "Europe/Berlin")
        assert len(list(dues(hourly, start - 1, start + hours * 3_600_000_000 - 1))) == hours
        assert all(later - earlier == 3_600_000_000 for earlier, later in pairwise(islice(dues(hourly, start), 30)))


def test_a_jump_of_half_an_hour_hides_no_time():
    """Lord Howe goes from 02:00 back to 01:30. cronsim alone goes from 00:10 to 04:10."""
    found = list(islice(dues(cron("10 */2 * * *", "Australia/Lord_Howe"), at("2026-04-04 13:00")), 3))
    assert told(found, "Australia/Lord_Howe") == ["05 00:10+1100", "05 02:10+1030", "05 04:10+1030"]


def test_an_interval_is_as_long_on_every_day():
    """A day's interval is 24 hours, also where the day has 23."""
    daily = every("24h", anchor=datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/Berlin")))
    found = list(islice(dues(daily, at("2026-03-28 00:00")), 3))
    assert told(found, "Europe/Berlin") == ["28 12:00+0100", "29 13:00+0200", "30 13:00+0200"]


@pytest.fixture(scope="module")
def kinds_of_zones():
    """One zone of each kind: those whose clocks agree at every half hour of the year are of one."""
    half_hours = [YEAR[0] + timedelta(minutes=30) * number for number in range(-96, 365 * 48 + 96)]
    kinds = {}
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        kinds.setdefault(tuple(moment.astimezone(zone).utcoffset() for moment in half_hours), name)
    return list(kinds.values())


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES)
def test_a_year_in_every_zone_is_as_the_oracle_says(line, kinds_of_zones):
    """No due time more, none less, in any zone that there is."""
    assert len(kinds_of_zones) > 50
    wrong = {}
    for name in kinds_of_zones:
        expected = [microseconds(moment) for moment in due_times(line, ZoneInfo(name), *YEAR)]
        found = between(cron(line, name), *YEAR)
        if found != expected:
            wrong[name] = told(sorted(set(found) ^ set(expected)), name)
    assert wrong == {}


fields = st.tuples(
    st.sampled_from(["0", "30", "*/15", "5-50/9", "1,59", "*"]),
    st.sampled_from(["*", "0", "1", "2", "3", "1-3", "*/5", "0,23", "22-23"]),
    st.sampled_from(["*", "1", "*/2", "25-31", "29"]),
    st.sampled_from(["*", "3,10", "1-12/3"]),
    st.sampled_from(["*", "0", "7", "1-5", "6"]),
)


@given(fields, zones, moments)
@settings(max_examples=150, deadline=None)
def test_any_line_in_any_zone_and_decade_is_as_the_oracle_says(parts, zone, moment):
    """Also where a zone changed its rules, skipped a day, or jumps by half an hour."""
    line = " ".join(parts)
    start = datetime.fromtimestamp(moment // 1_000_000, UTC)
    end = start + timedelta(days=12)
    expected = [microseconds(due) for due in due_times(line, ZoneInfo(zone), start, end)]
    assert between(cron(line, zone), start, end) == expected


@given(st.sampled_from(LINES), moments)
@settings(max_examples=100, deadline=None)
def test_in_utc_another_library_finds_the_same(line, moment):
    """croniter, where no clock jumps: in autumn it and cronsim differ by design."""
    from croniter import croniter

    start = datetime.fromtimestamp(moment // 1_000_000, UTC)
    other = croniter(line, start)
    assert list(islice(dues(cron(line), microseconds(start)), 5)) == [
        microseconds(other.get_next(datetime)) for _ in range(5)
    ]


# --- the two directions -------------------------------------------------------------------------------------------


@given(st.sampled_from([*LINES, "every"]), zones, moments)
@settings(max_examples=150, deadline=None)
def test_the_previous_due_time_is_the_one_before_the_next(line, zone, moment):
    """No due time lies between them, and a due time is its own previous one."""
    schedule = every("7m 3s", anchor=moment // 3) if line == "every" else cron(line, zone)
    before, after = previous_due(schedule, moment), next_due(schedule, moment)
    assert before <= moment < after
    assert next_due(schedule, before) == after
    assert next_due(schedule, before - 1) == before == previous_due(schedule, before)


def test_a_day_that_never_comes_is_refused_and_a_leap_day_is_found():
    """29 February is due every fourth year."""
    with pytest.raises(BadSchedule, match="day-of-month"):
        cron("0 0 30 2 *")
    leap = cron("0 0 29 2 *")
    assert next_due(leap, at("2026-01-01 00:00")) == at("2028-02-29 00:00")
    assert previous_due(leap, at("2026-01-01 00:00")) == at("2024-02-29 00:00")


def test_a_kind_of_tomorrow_has_no_due_times():
    """A source may declare what this version cannot evaluate: Prefect has recurrence rules."""
    strange = Schedule(id="x", kind="rrule", expression="FREQ=DAILY")
    assert next_due(strange, 0) is None
    assert previous_due(strange, 0) is None


def test_an_interval_in_bare_seconds_is_understood():
    """As the Prefect bridge hands it on."""
    assert next_due(Schedule(id="x", kind="every", expression="3600.0"), 0) == 3_600_000_000


# --- saying one ---------------------------------------------------------------------------------------------------


def test_a_schedule_is_plain_data_with_an_id_that_stays():
    """Two processes that say the same have the same schedule."""
    one, other = cron("0  2 * * *", "Europe/Berlin", jitter="5m"), cron("0 2 * * *", "Europe/Berlin", jitter=300)
    assert one == other
    assert (one.id, one.kind, one.jitter) == ("0 2 * * * Europe/Berlin", "cron", 300.0)
    assert every(timedelta(minutes=15)) == every("15m") == every(900)


def test_shorthands_are_written_out():
    """What reads the declaration needs to know five fields only."""
    assert cron("@daily").expression == "0 0 * * *"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: cron("0 25 * * *"), "bad hour in cron expression '0 25 \\* \\* \\*'"),
        (lambda: cron("daily"), "wrong number of fields"),
        (lambda: cron("0 2 * * *", "Europe/Berlim"), "no time zone 'Europe/Berlim'; did you mean 'Europe/Berlin'"),
        (lambda: cron("0 2 * * *", "../../etc/passwd"), "no time zone"),
        (lambda: cron("0 2 * * *", overlap="wait"), "overlap 'wait' is none of skip, queue, allow"),
        (lambda: cron("0 2 * * *", catch_up="some"), "catch_up 'some'"),
        (lambda: cron("0 2 * * *", catch_up="all week"), "catch_up: 'week' is no span"),
        (lambda: cron("0 2 * * *", jitter="soon"), "jitter: 'soon' is no span"),
        (lambda: every("10ms"), "0.1 s at least"),
        (lambda: every("1h", anchor=datetime(2026, 1, 1)), "an anchor needs a zone"),  # noqa: DTZ001  # the point
    ],
)
def test_what_cannot_be_evaluated_is_refused_where_it_is_written(make, words):
    """Not at two in the morning."""
    with pytest.raises(BadSchedule, match=words) as refused:
        make()
    assert refused.value.code == "FT2301"


@given(st.integers(0, 2**128 - 1), st.floats(0, 3600))
def test_jitter_is_the_run_s_own_and_within_its_bound(number, jitter):
    """The same run starts at the same moment whoever reckons it."""
    run, schedule = f"{number:032x}", every("1h", jitter=jitter)
    start = start_of(schedule, run, 1_000_000)
    assert 1_000_000 <= start <= 1_000_000 + jitter * 1_000_000
    assert start == start_of(schedule, run, 1_000_000)


def test_jitter_spreads_runs_over_the_whole_of_its_span():
    """A thousand deployments due at midnight do not start at once."""
    from flowtell.ids import derived_id

    schedule = every("24h", jitter=100)
    tenths = {(start_of(schedule, derived_id(0, str(number)), 0)) // 10_000_000 for number in range(1000)}
    assert tenths == set(range(10))


# --- which due time is answered -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "due"),
    [
        ("02:00:00", "02:00"),
        ("02:00:07", "02:00"),
        ("01:59:30", "02:00"),
        ("01:58:30", "-02:00"),
        ("16:00:00", "02:00"),
    ],
    ids=["on time", "a little late", "a fast clock", "by hand, early", "by hand, nearer to the next"],
)
def test_a_run_that_something_else_began_answers_the_time_before_it(at, due):
    """Also where the next one is nearer: answered ahead, nobody would miss it tomorrow."""
    daily = cron("0 2 * * *")
    day = 20_000 * 86_400_000_000
    wanted = day + 7_200_000_000 - (86_400_000_000 if due.startswith("-") else 0)
    hours, minutes, seconds = map(int, at.split(":"))
    assert answered_due([daily], day + (hours * 3600 + minutes * 60 + seconds) * 1_000_000) == wanted


def test_what_counts_as_early_shrinks_with_the_interval():
    often = every("20s")
    assert answered_due([often], 100_000_000 - 1_000_000) == 100_000_000
    assert answered_due([often], 100_000_000 - 5_000_000) == 80_000_000


def test_of_several_schedules_the_latest_due_time_is_answered_and_switched_off_ones_are_not():
    noon, two = cron("0 12 * * *"), cron("0 2 * * *")
    at = 20_000 * 86_400_000_000 + 13 * 3_600_000_000
    assert answered_due([two, noon], at) == at - 3_600_000_000
    assert answered_due([two, cron("0 12 * * *", active=False)], at) == at - 11 * 3_600_000_000
    assert answered_due([], at) is None
