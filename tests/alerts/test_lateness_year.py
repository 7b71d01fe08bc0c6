"""A year of schedules in every zone, with clocks that are wrong: nobody is called late who is not, and nobody is missed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import pytest
from sqlalchemy import update
from tests.alerts.conftest import World
from tests.alerts.lateness_oracle import Story, Told, expected
from tests.core.schedules.oracle import due_times

from flowtell import events as e
from flowtell import rules
from flowtell.ids import derived_id
from flowtell.schedules import cron
from flowtell.store.tables import writers

S = 1_000_000
GRACE, WAY = 60.0, 0.4
OFFSETS = (0.0, 90.0, -90.0, -3600.0)
YEAR = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
LINES = ("30 2 * * *", "15 1 * * *", "0 0 * * 1", "45 23 1 * *", "0 */6 * * *", "20 3 * * *")


class Site:
    """One deployment in one zone, whose writer's clock is wrong by `offset` seconds."""

    def __init__(self, number: int, zone: str, offset: float, span: tuple[datetime, datetime]) -> None:
        self.lane = {"flow": "nightly", "deployment": f"d{number}"}
        self.writer, self.offset, self.zone = f"writer-{offset:g}", offset, zone
        self.line = LINES[number % len(LINES)]
        draw = random.Random(number)
        first = span[0] + timedelta(seconds=min(offset, 0.0))  # as the declaration says it, by the kinder clock
        dues = [due.timestamp() for due in due_times(self.line, ZoneInfo(zone), first, span[1]) if due > first]
        self.stories = [Story(due, self._start(due, draw)) for due in dues]

    def _start(self, due: float, draw: random.Random) -> float | None:
        """Mostly in time by its own clock, sometimes a moment before or after the grace ends, sometimes never."""
        fate = draw.random()
        if fate < 0.05:
            return None
        after = draw.choice((2.0, 59.0, 61.0, 300.0, 7200.0)) if fate < 0.2 else draw.uniform(0.0, 50.0)
        return due + after - self.offset

    def declared(self, at: float) -> e.Event:
        return _event(e.DeploymentDeclared, at, self, schedules=(cron(self.line, self.zone),))

    def starts(self) -> list[tuple[float, e.Event]]:
        """When the word of each start gets here, and the event with its wrong time."""
        return [
            (
                story.started + WAY,
                _event(e.FlowRunStarted, story.started + self.offset, self, run=f"{number}", due=story.due),
            )
            for number, story in enumerate(self.stories)
            if story.started is not None
        ]


def _event(kind, at: float, site: Site, run: str = "", due: float | None = None, **fields):
    name = f"{site.lane['deployment']}-{run}"
    identifier = derived_id(round(at * S), f"{kind.__name__}{name}")
    extra = {"run": name, "due": round(due * S)} if due is not None else {}
    return kind(id=identifier, time=round(at * S), environment="test", **site.lane, **extra, **fields)


def lives(world: World, sites: list[Site], span: tuple[datetime, datetime]) -> None:
    """The year goes by: each event when it gets here, and a look soon after each moment at which something may be told."""
    begin, end = span[0].timestamp(), span[1].timestamp()
    blind = e.RuleData(kind="blind", arguments={"off": True})
    world.clock.now = round(begin * S)
    world.appends(e.FlowDeclared, flow="nightly", rules=(rules.late(GRACE), blind))
    for site in sites:
        world.harness.append([site.declared(begin + site.offset)], writer=site.writer)
    _ship(world, sites)
    arrivals = sorted((moment, number, event) for number, site in enumerate(sites) for moment, event in site.starts())
    looks = {expiry for site in sites for story in site.stories for expiry in _looks(story, site)}
    moments = sorted(
        {round(moment, 3) for moment in looks} | {round(moment + wait, 3) for moment, *_ in arrivals for wait in (0, 3)}
    )
    place = 0
    for moment in [*(moment for moment in moments if moment < end), end]:
        world.clock.now = round(moment * S)
        while place < len(arrivals) and arrivals[place][0] <= moment + 0.0005:
            _, number, event = arrivals[place]
            world.harness.append([event], writer=sites[number].writer)
            place += 1
        _heard(world)
        world.passes(0)


def _looks(story: Story, site: Site) -> list[float]:
    """At the last moment at which nothing may be told, and soon after."""
    ends = [story.due + GRACE, story.due + GRACE - site.offset]
    return [moment for end in ends for moment in (end, end + 2.5)]


def _ship(world: World, sites: list[Site]) -> None:
    for offset in {site.offset for site in sites if site.offset}:
        facts = {"shipper": "agent", "machine": f"far{offset:g}", "skew": WAY - offset}
        with world.harness.store.write() as transaction:
            where = writers.c.name == f"writer-{offset:g}"
            transaction.connection.execute(update(writers).where(where).values(**facts))


def _heard(world: World) -> None:
    with world.harness.store.write() as transaction:
        where = writers.c.shipper.is_not(None)
        transaction.connection.execute(update(writers).where(where).values(last_sign=world.clock()))


def told(world: World) -> dict[str, list[Told]]:
    found: dict[str, list[Told]] = {}
    for incident in world.incidents:
        one = Told(incident.due / S, incident.opened / S, incident.resolved is not None)
        found.setdefault(incident.deployment, []).append(one)
    return found


def check(folder: Path, sites: list[Site], span: tuple[datetime, datetime]) -> int:
    """Every incident is one of the oracle's and no earlier than it may be, and each of the oracle's is there."""
    world = World(folder)
    try:
        lives(world, sites, span)
        incidents = told(world)
        count = 0
        for site in sites:
            wanted = expected(site.stories, grace=GRACE, offset=site.offset, way=WAY, end=world.clock() / S)
            got = sorted(incidents.get(site.lane["deployment"], []))
            assert [one.due for one in got] == [one.due for one in sorted(wanted)], (site.zone, site.line, site.offset)
            for one, other in zip(got, sorted(wanted), strict=True):
                assert one.earliest >= other.earliest, (site.zone, site.line, site.offset)
            count += len(got)
        return count
    finally:
        world.harness.close()


def test_a_month_around_the_changes_of_the_clock(tmp_path):
    """The zones whose clocks do the oddest things, each with every wrong clock."""
    span = datetime(2026, 3, 20, tzinfo=UTC), datetime(2026, 4, 12, tzinfo=UTC)
    zones = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu")
    pairs = [(zone, offset) for zone in zones for offset in OFFSETS]
    sites = [Site(number, zone, offset, span) for number, (zone, offset) in enumerate(pairs)]
    assert check(tmp_path, sites, span) > 20


def changes(name: str, span: tuple[datetime, datetime]) -> tuple[tuple[datetime, timedelta], ...]:
    """A zone's offset when the span begins, and each minute from which it has another: all that a schedule knows of it."""
    zone, found = ZoneInfo(name), []
    day, end = span[0] - timedelta(days=2), span[1] + timedelta(days=2)
    before: timedelta | None = None
    while day < end:
        step = (
            timedelta(days=1)
            if _offset(day, zone) == _offset(day + timedelta(days=1), zone) == before
            else timedelta(minutes=1)
        )
        for moment in (day,) if step.days else (day + timedelta(minutes=n) for n in range(1440)):
            if _offset(moment, zone) != before:
                before = _offset(moment, zone)
                found.append((moment, before))
        day += timedelta(days=1)
    return tuple(found)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_year_in_every_zone(tmp_path, rounds):
    """All of zoneinfo, each with one of the clocks; a slice of it in CI.

    Zones whose offsets are the same all year are one zone by other names: to schedules, to the oracle and to the clocks
    alike. One of each is lived through.
    """
    classes: dict[object, str] = {}
    for name in sorted(available_timezones()):
        classes.setdefault(changes(name, YEAR), name)
    chosen = sorted(classes.values())[:: rounds(full=1, ci=12)]
    total = 0
    for first in range(0, len(chosen), 20):
        some = [
            Site(number, zone, OFFSETS[number % len(OFFSETS)], YEAR)
            for number, zone in enumerate(chosen[first : first + 20], first)
        ]
        folder = tmp_path / str(first)
        folder.mkdir()
        total += check(folder, some, YEAR)
        print(f"{first + len(some)} of {len(chosen)} kinds of zones, {total} late, as the oracle says")
    assert total > len(chosen)
