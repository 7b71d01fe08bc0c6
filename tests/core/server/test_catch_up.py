"""Reading commands that take turns over one home: each goes on from what the tables hold, not from what it remembers."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, select
from sqlalchemy.dialects.sqlite import insert

from flowtell import bus, config
from flowtell import events as e
from flowtell.ids import new_id
from flowtell.plugin import BasePlugin
from flowtell.runner import Runner
from flowtell.server import catch_up
from flowtell.server.ingest import Ingester
from flowtell.server.role import IngestRole, is_wanted, server_role
from flowtell.store import open_store

metadata = MetaData()
seen = Table("mine_seen", metadata, Column("flow", String, primary_key=True), Column("number", Integer))


class Adding(BasePlugin):
    """Adds to what its table has: an event that is handed over twice is seen twice."""

    tables = metadata
    fail = False

    def handle(self, events):
        statement = insert(seen)
        added = {"number": seen.c.number + statement.excluded.number}
        add = statement.on_conflict_do_update(index_elements=["flow"], set_=added)
        self.context.write(add, [{"flow": event.flow, "number": 1} for event in events])
        if Adding.fail:
            Adding.fail = False
            raise SystemExit(3)


@pytest.fixture
def commands(home, monkeypatch):
    """Two reading commands in the midst of their work, with one projection that adds."""
    monkeypatch.setattr(
        catch_up, "make_runners", lambda config, store, effects: ([Runner("mine", lambda settings: Adding(), store)], [])
    )
    made = [catch_up._CatchUp(config.load(), {}) for _ in range(2)]
    yield made
    for each in made:
        each.close()


def say(count):
    for _ in range(count):
        bus.emit(e.LogRecorded(id=new_id(), time=1, flow="f", message="x"))


def counted(home):
    store = open_store(f"sqlite:///{home}/flowtell.db", read_only=True)
    try:
        return [tuple(row) for row in store.read(select(seen))]
    finally:
        store.close()


def test_commands_that_take_turns_count_once(home, commands):
    """Whoever has the slice: nothing twice, nothing left behind."""
    for number in range(7):
        say(10)
        freshness = commands[number % 3 % 2].slice(time.monotonic() + 5)
        assert freshness.message == ""
        assert counted(home) == [("f", 10 * (number + 1))]


def test_a_command_sees_what_another_moved(home, commands):
    """One appended, the other finds nothing new in the journals: its projection is at the head all the same."""
    say(10)
    commands[0].slice(time.monotonic() + 5)
    say(10)
    commands[1].slice(time.monotonic() + 5)
    assert commands[0].slice(time.monotonic() + 5).behind_events == 0
    assert counted(home) == [("f", 20)]


def test_what_another_appended_and_did_not_project(home, commands):
    """It ran out of time after the log: the next one's projections go on from there."""
    say(10)
    commands[0].slice(time.monotonic() + 5)
    say(10)
    store = open_store(f"sqlite:///{home}/flowtell.db")
    ingester = Ingester(store, str(home), lambda: 1)
    ingester.step()
    ingester.close()
    store.close()
    assert commands[0].slice(time.monotonic() + 5).behind_events == 0
    assert counted(home) == [("f", 20)]


def test_a_projection_that_fails_does_not_end_the_command(home, commands):
    """Not even by sys.exit; in the next slice it is made anew, and counts once."""
    say(10)
    Adding.fail = True
    commands[0].slice(time.monotonic() + 5)
    commands[0].slice(time.monotonic() + 5)
    assert counted(home) == [("f", 10)]


def test_only_one_has_the_role(home, commands):
    """The other watches meanwhile, and says so."""
    say(10)
    role = catch_up.IngestRole(str(home))
    commands[0].slice(time.monotonic() + 5)
    assert role.take()
    assert commands[1].slice(time.monotonic() + 5).server
    role.release()
    assert not commands[1].slice(time.monotonic() + 5).server


@pytest.fixture
def role(home):
    """Somebody else moves the log."""
    taken = IngestRole(str(home))
    assert taken.take()
    yield taken
    taken.release()


def wait_for(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_server_that_waits_comes_before_reading_commands(home, role):
    """Each of them is quick, but one after the other would keep it out for ever."""
    started, stop = threading.Event(), threading.Event()

    def serve():
        with server_role(str(home), wait=20):
            started.set()
            stop.wait(20)

    server = threading.Thread(target=serve)
    server.start()
    wait_for(lambda: is_wanted(str(home)))
    role.release()
    assert catch_up.catch_up(config.load(), timeout=0.0).server or started.is_set()
    assert started.wait(10)
    assert not is_wanted(str(home))
    stop.set()
    server.join(10)


@pytest.mark.parametrize("made", [False, True], ids=["no file", "an empty file"])
def test_beside_one_that_is_still_making_the_store_it_says_what_is_missing(home, role, made):
    """It neither fails nor takes an empty database for an old one."""
    if made:
        (home / "flowtell.db").touch()
    say(3)
    freshness = catch_up.catch_up(config.load(), timeout=0.1)
    assert freshness.server
    assert freshness.behind_bytes > 0
