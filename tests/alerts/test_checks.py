"""What checks in, or runs under `flowtell exec --schedule`, is missed by a rule when it does not come."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from flowtell import config, rules
from flowtell.events import decode
from flowtell.schedules import cron, microseconds
from flowtell.server.check_ins import CheckIns
from flowtell.server.pings import read_ping

FLOWTELL = Path(sys.executable).with_name("flowtell")
CHECK = '[[checks]]\nflow = "backup"\ncron = "0 2 * * *"\ntz = "UTC"\ngrace = "15m"\n'


class Checked:
    """A server's check-ins, whose journal is read into the world's log."""

    def __init__(self, world, folder):
        self.world, self.home = world, folder / "home"
        (folder / "flowtell.toml").write_text(CHECK)
        loaded = config.load({"home": str(self.home), "environment": "test"}, environ={}, folder=str(folder))
        self.check_ins = CheckIns(loaded, world.harness.store, world.clock)
        self._read = 0

    def start(self):
        self.check_ins.start()
        self.ingest()

    def ping(self, what, flow="backup", **query):
        self.check_ins.take(read_ping(flow, what, query))
        self.ingest()

    def ingest(self):
        (journal,) = (self.home / "journals").glob("*.jsonl")
        lines = journal.read_bytes().splitlines()[1:]
        events = [decode(line) for line in lines[self._read :]]
        self._read = len(lines)
        self.world.harness.append([msgspec.structs.replace(event, source="ping", environment="test") for event in events])


@pytest.fixture
def checked(world, tmp_path):
    made = Checked(world, tmp_path)
    made.home.mkdir()
    yield made
    made.check_ins.close()


def at(text):
    from datetime import UTC, datetime

    return microseconds(datetime.fromisoformat(text).replace(tzinfo=UTC))


def goes(world, until):
    while world.clock() < at(until):
        world.passes(min(60.0, (at(until) - world.clock()) / 1e6))


@pytest.mark.parametrize("what", ["start", "success", "fail"])
def test_a_check_in_that_does_not_come_is_late_and_one_that_comes_resolves_it(world, checked, what):
    """Whatever it says: it has begun. It answers the time that it missed, and the next night is another one."""
    world.clock.now = at("2026-11-25 01:00")
    world.declares(rules.late(), flow="backup")
    checked.start()
    goes(world, "2026-11-25 02:15")
    assert not world.open
    world.passes(1)
    (incident,) = world.open
    assert (incident.due, incident.evidence["grace"]) == (at("2026-11-25 02:00"), 900)
    goes(world, "2026-11-25 14:30")
    checked.ping(what)
    world.passes(1)
    assert not world.open
    goes(world, "2026-11-26 02:05")
    checked.ping(what)
    goes(world, "2026-11-26 03:00")
    assert not world.open
    assert len(world.incidents) == 1


def test_a_check_in_in_time_is_nobodys_incident(world, checked):
    world.clock.now = at("2026-11-25 01:00")
    world.declares(rules.late(), flow="backup")
    checked.start()
    goes(world, "2026-11-25 01:59:30")
    checked.ping("start")  # the clock of that machine is half a minute fast
    goes(world, "2026-11-25 05:00")
    assert not world.incidents


def test_a_command_that_cron_does_not_start_is_late_after_its_schedule_was_told_once(world, home):
    """By the run before, or by hand: `flowtell exec --schedule` declares it, also where its own run has ended long ago."""
    words = ["exec", "--flow", "tar", "--schedule", "0 2 * * *", "--grace", "15m", "--", "true"]
    subprocess.run([FLOWTELL, *words], check=True, timeout=60)
    (journal,) = (home / "journals").glob("*.jsonl")
    events = [decode(line) for line in journal.read_bytes().splitlines()[1:]]
    world.clock.now = events[-1].time
    world.declares(rules.late(), flow="tar")
    world.harness.append([msgspec.structs.replace(event, source="exec", environment="test") for event in events])
    world.passes(1)
    from flowtell.schedules import next_due

    due = next_due(cron("0 2 * * *"), world.clock())
    while world.clock() < due + 900_000_000:
        world.passes(min(1800.0, (due + 900_000_000 - world.clock()) / 1e6))
    assert not world.open
    world.passes(1)
    (incident,) = world.open
    assert (incident.due, incident.subject.name) == (due, "tar/tar")
