"""Plugins at their worst, each on a real runner with a short deadline: the others go on, and the tables stay exact."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sqlite3
import sys
import threading
import time
from typing import Any, ClassVar

import pytest
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, String, Table, select, text, update
from sqlalchemy.dialects.sqlite import insert

from flowtell import events as e
from flowtell.ids import new_id
from flowtell.plugin import MAX_HOPS, BasePlugin, RetryLater
from flowtell.runner import MAX_ROWS
from flowtell.runner.flood import Flood
from flowtell.runner.own_values import changeable_fields
from flowtell.store.log import Line
from flowtell.store.tables import runs
from flowtell.testing import FakeClock

DEADLINE = 0.4


def counting(name: str) -> tuple[MetaData, Table]:
    metadata = MetaData()
    return metadata, Table(f"{name}_seen", metadata, Column("flow", String, primary_key=True), Column("number", Integer))


class Counting(BasePlugin):
    """Counts log lines by flow, by adding: what is done twice is seen, and so is what is left out."""

    wants = ("log.recorded",)
    tick_seconds = 0.05
    made: ClassVar[int] = 0

    def __init__(self, name: str) -> None:
        type(self).made += 1
        self.tables, self.table = counting(name)
        statement = insert(self.table)
        added = {"number": self.table.c.number + statement.excluded.number}
        self.add = statement.on_conflict_do_update(index_elements=["flow"], set_=added)

    def handle(self, events):
        self.context.write(self.add, [{"flow": event.flow, "number": 1} for event in events])


@pytest.fixture
def good(stage):
    """A plugin beside the hostile one, which must not notice."""
    return stage.run("good", lambda settings: Counting("good"))


def hostile(handle=None, **methods):
    """A counting plugin named `bad` with some of its methods replaced; `first` is its own `handle`."""

    def with_first(self, events):
        return handle(self, events, lambda some: Counting.handle(self, some))

    body: dict[str, Any] = dict(methods)
    if handle:
        body["handle"] = with_first
    kind = type("Hostile", (Counting,), body)
    return lambda settings: kind("bad")


def raising(error):
    def handle(self, events, go_on):
        if any(event.message == "poison" for event in events):
            raise error
        go_on(events)

    return handle


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        SystemExit(3),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        GeneratorExit(),
        MemoryError(),
        RecursionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_one_poison_event_alone_is_set_aside(stage, good, error):
    """Whatever it makes the plugin raise: everything else is counted once, and the other plugin sees all."""
    bad = stage.run("bad", hostile(raising(error)))
    stage.say(*["fine"] * 20, "poison", *["fine"] * 20)
    stage.at_the_tail(good, seconds=3)
    assert good.status().errors == 0
    stage.at_the_tail(bad)
    stage.say("fine")
    stage.at_the_tail(bad, good)
    assert stage.dead("bad") == ["poison"]
    assert stage.counted("bad") == {"f": 41}
    assert stage.counted("good") == {"f": 42}
    assert bad.status().dead_events == 1


def test_poison_twice_in_one_batch(stage):
    """Both are found, the rest is counted."""
    stage.say("poison", "fine", "fine", "poison", "fine")
    bad = stage.run("bad", hostile(raising(ValueError("no"))))
    stage.threads[-1]._pause = lambda state, seconds: time.sleep(seconds / 20)
    stage.at_the_tail(bad)
    assert stage.dead("bad") == ["poison", "poison"]
    assert stage.counted("bad") == {"f": 3}


def test_one_that_always_raises_is_broken(stage, good):
    """The breaker opens: it is not the events that are at fault, so the log is not set aside one by one."""
    bad = stage.run("bad", hostile(lambda self, events, go_on: 1 / 0))
    stage.threads[-1]._pause = lambda state, seconds: (setattr(bad, "state", state), time.sleep(seconds / 50))
    stage.say(*["fine"] * 500)
    stage.at_the_tail(good, seconds=3)
    stage.until(lambda: bad.state == "broken")
    stage.say("fine")
    stage.at_the_tail(good, seconds=2)
    assert len(stage.dead("bad")) <= 5
    assert good.status().lag_events == 0


def test_one_poison_event_that_hangs(stage, good):
    """It is given up, replaced, and the event set aside; the threads that hang commit nothing when they wake."""
    release = threading.Event()

    def handle(self, events, go_on):
        go_on(events)
        if any(event.message == "poison" for event in events):
            release.wait(30)

    bad = stage.run("bad", hostile(handle))
    stage.say("fine", "poison", "fine")
    stage.at_the_tail(good, seconds=DEADLINE)
    assert good.status().lag_events == 0
    stage.at_the_tail(bad)
    assert stage.dead("bad") == ["poison"]
    assert bad.status().timeouts == 3
    release.set()  # now they return, with a write set each
    stage.say("late")
    stage.at_the_tail(bad, good)
    time.sleep(0.2)
    assert stage.counted("bad") == {"f": 3}
    assert stage.counted("good") == {"f": 4}


def test_a_late_return_changes_nothing(stage):
    """Past its deadline with nothing to write: its cursor does not move, so what follows is not skipped."""
    slow = [True]
    seen: list[str] = []

    def handle(self, events, go_on):
        if slow:
            slow.clear()
            time.sleep(3 * DEADLINE)
            return
        seen.extend(event.message for event in events)
        go_on(events)

    bad = stage.run("bad", hostile(handle))
    messages = [str(number) for number in range(50)]
    stage.say(*messages)
    stage.at_the_tail(bad)
    time.sleep(3 * DEADLINE)
    stage.say("last")
    stage.at_the_tail(bad)
    assert seen == [*messages, "last"]
    assert stage.counted("bad") == {"f": 51}
    assert bad.status().timeouts == 1


def test_one_that_hangs_for_ever_is_stuck_and_told(stage, good):
    """After a few threads no more are lost to it; it goes on when they let go."""
    release = threading.Event()
    bad = stage.run("bad", hostile(lambda self, events, go_on: (release.wait(60), go_on(events))))
    stage.say(*["fine"] * 30)
    stage.until(lambda: bad.state == "stuck", 20)
    stage.say("fine")
    stage.at_the_tail(good, seconds=2)
    release.set()
    stage.at_the_tail(bad, seconds=20)
    assert stage.counted("bad")["f"] + len(stage.dead("bad")) == 31


def wrong_set(write):
    def handle(self, events, go_on):
        go_on(events)
        if any(event.message == "poison" for event in events):
            write(self)

    return handle


other = Table("good_seen", MetaData(), Column("flow", String), Column("number", Integer))
WRONG = {
    "another plugin's table": lambda self: self.context.write(update(other).values(number=0)),
    "a table of the core": lambda self: self.context.write(runs.delete()),
    "a constraint violated": lambda self: self.context.write(self.table.insert(), [{"flow": "f", "number": 1}] * 2),
    "a column that is not there": lambda self: self.context.write(self.table.insert(), [{"nothing": 1}]),
    "text": lambda self: self.context.write(text("DROP TABLE runs")),
    "a select": lambda self: self.context.write(select(self.table)),
    "nothing that can be executed": lambda self: self.context.write(object()),
    "a value no store takes": lambda self: self.context.write(self.table.insert(), [{"flow": object(), "number": 1}]),
    "a number beyond 64 bits": lambda self: self.context.write(self.table.insert(), [{"flow": "g", "number": 2**70}]),
    "rows that are uneven": lambda self: self.context.write(
        self.table.insert(), [{"flow": "g", "number": 1}, {"flow": "h"}]
    ),
    "too many rows": lambda self: self.context.write(self.add, [{"flow": "f", "number": 1}] * (MAX_ROWS + 1)),
    "an event that holds itself": lambda self: self.context.emit(circular(), cause=new_id()),
}


def circular() -> e.Event:
    value: dict[str, Any] = {}
    value["self"] = value
    return e.UserEvent(type="bad.circle", payload=value)


@pytest.mark.parametrize("write", WRONG.values(), ids=WRONG)
def test_a_bad_write_set_is_refused_whole(stage, good, write):
    """Nothing of it is written, its event is set aside, nobody's table changes."""
    bad = stage.run("bad", hostile(wrong_set(write)))
    stage.say("fine", "poison", "fine")
    stage.at_the_tail(good, bad)
    assert stage.dead("bad") == ["poison"]
    assert stage.counted("bad") == {"f": 2}
    assert stage.counted("good") == {"f": 3}


@pytest.mark.parametrize(("megabytes", "taken"), [(30, True), (100, False)], ids=["30 MB", "100 MB"])
def test_a_bulky_write_set_holds_nobody_up_for_long(stage, good, megabytes, taken):
    """The largest that is taken delays the log a little; one beyond the bound is refused before it begins."""
    metadata = MetaData()
    number = Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    table = Table("bad_bulk", metadata, number, Column("data", LargeBinary))
    blob = b"x" * 10_000

    class Bulky(BasePlugin):
        tables = metadata

        def handle(self, events):
            if any(event.message == "poison" for event in events):
                self.context.write(table.insert(), [{"data": blob}] * (megabytes * 100))

    bad = stage.run("bad", lambda settings: Bulky())
    stage.say("poison")
    slowest = 0.0
    for _ in range(10):
        began = time.monotonic()
        stage.say("fine")
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.02)
    stage.at_the_tail(good, bad)
    assert stage.dead("bad") == ([] if taken else ["poison"])
    assert len(stage.store.read(select(table.c.id))) == (megabytes * 100 if taken else 0)
    assert slowest < 5.0, slowest


def test_retry_later_brings_the_same_events_again(stage):
    """Nothing counts as failed, the plugin is not made anew."""
    asked = [0.01, 0.01, -5.0, 0.0]
    before = Counting.made

    def handle(self, events, go_on):
        if asked:
            raise RetryLater(asked.pop(), "the world is away")
        go_on(events)

    bad = stage.run("bad", hostile(handle))
    stage.say(*["fine"] * 10)
    stage.at_the_tail(bad)
    status = bad.status()
    assert (status.errors, status.dead_events) == (0, 0)
    assert stage.counted("bad") == {"f": 10}
    assert Counting.made - before <= 1


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 1e300], ids=str)
def test_retry_later_without_end_is_no_end(stage, seconds):
    """The thread lives and lets itself be stopped."""
    bad = stage.run("bad", hostile(lambda self, events, go_on: (_ for _ in ()).throw(RetryLater(seconds))))
    stage.say("fine")
    stage.until(lambda: bad.state == "retrying")
    time.sleep(0.2)
    assert stage.threads[-1]._thread.is_alive()
    began = time.monotonic()
    stage.threads[-1].stop(2)
    assert time.monotonic() - began < 1
    assert not stage.threads[-1]._thread.is_alive()


def test_one_that_hangs_while_it_opens(stage, good):
    """It is replaced; the other never waits."""
    hang = [True, True]
    bad = stage.run(
        "bad",
        hostile(
            open=lambda self, context: (BasePlugin.open(self, context), hang and hang.pop() and time.sleep(3 * DEADLINE))
        ),
    )
    stage.say("fine")
    stage.at_the_tail(good, seconds=2)
    stage.at_the_tail(bad)
    time.sleep(3 * DEADLINE)
    stage.say("fine")
    stage.at_the_tail(bad)
    assert stage.counted("bad") == {"f": 2}
    assert bad.status().timeouts == 2


def test_one_that_fails_to_open_loses_no_event(stage):
    """However often: no event is laid aside for what an event did not do."""
    fail = [True] * 6

    def refuse(self, context):
        BasePlugin.open(self, context)
        if fail:
            fail.pop()
            raise OSError("its database is away")

    stage.say(*["fine"] * 10)
    bad = stage.run("bad", hostile(open=refuse))
    stage.threads[-1]._pause = lambda state, seconds: setattr(bad, "state", state)  # without the waiting
    stage.at_the_tail(bad)
    assert stage.dead("bad") == []
    assert stage.counted("bad") == {"f": 10}


def test_a_tick_that_always_raises_costs_no_event(stage):
    """Its events are handled, none is set aside."""
    bad = stage.run("bad", hostile(tick=lambda self, now: 1 / 0))
    stage.threads[-1]._pause = lambda state, seconds: time.sleep(0.02)
    for number in range(40):
        stage.say(*["fine"] * 5, flow=f"f{number % 3}")
        time.sleep(0.01)
    stage.at_the_tail(bad, seconds=20)
    assert stage.dead("bad") == []
    assert sum(stage.counted("bad").values()) == 200
    assert bad.status().errors > 3


def test_a_tick_that_hangs(stage, good):
    """Given up like any call; events are handled by the next one."""
    hang = [True]
    bad = stage.run("bad", hostile(tick=lambda self, now: hang and hang.pop() and time.sleep(3 * DEADLINE)))
    stage.say(*["fine"] * 5)
    stage.until(lambda: bad.timeouts == 1)
    stage.say(*["fine"] * 5)
    stage.at_the_tail(bad, good)
    assert stage.counted("bad") == {"f": 10}


def test_one_that_hangs_while_it_closes(stage, good):
    """On the way to its successor, and at the end: neither takes longer than its time."""
    fail = [True]

    def handle(self, events, go_on):
        if fail:
            fail.pop()
            raise ValueError("once")
        go_on(events)

    bad = stage.run("bad", hostile(handle, close=lambda self, timeout: time.sleep(5 * DEADLINE)))
    stage.say(*["fine"] * 5)
    stage.at_the_tail(bad)
    assert stage.counted("bad") == {"f": 5}
    began = time.monotonic()
    stage.threads[-1].stop(0.5)
    assert time.monotonic() - began < 1


def test_one_that_writes_into_events_changes_its_own_day_only(stage, good):
    """Events are frozen."""

    def handle(self, events, go_on):
        events[0].message = "changed"

    bad = stage.run("bad", hostile(handle))
    stage.say("fine")
    stage.until(lambda: bad.status().errors > 0)
    stage.at_the_tail(good)
    assert stage.store.log.read(0)[0].message == "fine"
    assert stage.counted("good") == {"f": 1}


def test_one_that_writes_into_values_changes_its_own_copy(stage, good):
    """A mapping inside a frozen event can be written into; an outsider gets one of its own, others see what was said."""
    seen: list[Any] = []

    class Reader(BasePlugin):
        wants = ("bad.said",)

        def handle(self, events):
            seen.extend(event.payload for event in events)

    class Writer(Reader):
        def handle(self, events):
            for event in events:
                event.payload["deep"]["list"].append("changed")
                event.payload["new"] = "changed"

    writer = stage.run("writer", lambda settings: Writer(), shared=False)
    said = {"deep": {"list": [1]}}
    with stage.store.write() as transaction:
        who = stage.store.log.writer(transaction, "w", "journal")
        new = [e.UserEvent(id=new_id(), time=FakeClock().now, type="bad.said", payload=said) for _ in range(20)]
        lines = [Line(e.decode(e.encode(event)), e.encode(event), n) for n, event in enumerate(new)]
        stage.store.log.append(transaction, who, lines, FakeClock().now)
    stage.at_the_tail(writer, good)
    reader = stage.run("reader", lambda settings: Reader())
    stage.at_the_tail(reader)
    assert writer.status().errors == 0
    assert seen == [said] * 20
    assert stage.store.window.after(0, 100)[0].payload == said


def test_most_events_hold_nothing_to_write_into():
    """So that giving an outsider its own values costs nothing for them."""
    assert changeable_fields(e.TaskRunFinished) == changeable_fields(e.LogRecorded) == ()
    assert changeable_fields(e.FlowRunStarted) == ("parameters",)
    assert changeable_fields(e.FlowDeclared) == ("parameters_schema", "rules")
    assert changeable_fields(e.UserEvent) == ("resource", "payload", "related", "extra")


def test_one_that_forks(stage, good):
    """The fork that comes back from `handle` ends there: it commits nothing, and counts nothing twice."""
    forked: list[int] = []

    def handle(self, events, go_on):
        go_on(events)
        forked.append(os.fork())

    bad = stage.run("bad", hostile(handle))
    stage.say(*["fine"] * 20)
    stage.at_the_tail(bad, good)
    stage.say("fine")
    stage.at_the_tail(bad, good)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in forked] == [0] * len(forked)
    assert stage.counted("bad") == stage.counted("good") == {"f": 21}


def test_one_that_leaks_threads(stage, good):
    """Hundreds of threads that sleep: everybody goes on."""
    release = threading.Event()

    def handle(self, events, go_on):
        go_on(events)
        for _ in range(100):
            threading.Thread(target=release.wait, args=(60,), daemon=True).start()

    bad = stage.run("bad", hostile(handle))
    for _ in range(5):
        stage.say(*["fine"] * 10)
        stage.at_the_tail(good, seconds=3)
    stage.at_the_tail(bad, good)
    release.set()
    assert stage.counted("bad") == stage.counted("good") == {"f": 50}


def test_one_that_raises_when_it_is_dropped(stage, good, monkeypatch):
    """What `__del__` raises is nobody's."""
    heard: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda said: heard.append(said.exc_type))
    ended: list[bool] = []

    def dropped(self):
        if not ended:
            raise ValueError("not even now")

    def handle(self, events, go_on):
        raising(ValueError("a new one, as a traceback keeps the plugin"))(self, events, go_on)

    bad = stage.run("bad", hostile(handle, __del__=dropped))
    stage.say("fine", "poison", "fine")
    stage.at_the_tail(bad, good)
    gc.collect()
    ended.append(True)
    assert ValueError in heard
    assert stage.dead("bad") == ["poison"]
    assert stage.counted("good") == {"f": 3}


BULK = {
    "a value": lambda self, cause: self.context.write(self.table.insert().values(flow="x" * 100_000_000, number=1)),
    "rows of a statement": lambda self, cause: self.context.write(
        self.table.insert().values([{"flow": f"{n}{'x' * 10_000_000}", "number": 1} for n in range(10)])
    ),
    "events": lambda self, cause: [
        self.context.emit(e.UserEvent(type="bad.much", payload={"x": "x" * 1_000_000}), cause=cause, name=str(n))
        for n in range(40)
    ],
}


@pytest.mark.parametrize("offer", BULK.values(), ids=BULK)
def test_a_bulky_write_set_is_refused_wherever_its_bulk_is(stage, good, offer):
    """Not only in rows that are handed over beside the statement."""

    def handle(self, events, go_on):
        go_on(events)
        if any(event.message == "poison" for event in events):
            offer(self, events[0])

    bad = stage.run("bad", hostile(handle))
    stage.say("fine", "poison", "fine")
    stage.at_the_tail(good, seconds=5)
    stage.at_the_tail(bad, seconds=30)
    assert stage.dead("bad") == ["poison"]
    assert "more than 32 MiB" in bad.last_error
    assert stage.counted("bad") == {"f": 2}


def test_a_flood_in_the_log_is_bounded(stage, good, caplog):
    """Of ten thousand warnings, two hundred in ten seconds reach the server's log."""
    caplog.set_level(logging.WARNING)

    def handle(self, events, go_on):
        for number in range(10_000):
            self.context.logger.warning("flood %d", number)
        go_on(events)

    logging.getLogger("flowtell.plugin.bad").filters.clear()
    stage.say(*["fine"] * 10)
    bad = stage.run("bad", hostile(handle))
    stage.at_the_tail(bad, good)
    assert len([record for record in caplog.records if "flood" in record.getMessage()]) == 200


def test_the_first_line_after_a_flood_says_what_is_missing():
    """With the clock moved by hand."""
    now = [0.0]
    flood = Flood(records=3, seconds=10.0, clock=lambda: now[0])
    lines = []
    for number in range(8):
        record = logging.makeLogRecord({"msg": "line %d", "args": (number,)})
        if number == 6:
            now[0] = 11.0
        if flood.filter(record):
            lines.append(record.getMessage())
    assert lines == ["line 0", "line 1", "line 2", "line 6 (3 records before this one were left out)", "line 7"]


def test_one_that_floods_its_log(stage, good):
    """A hundred thousand lines: the other's lag stays small."""

    def handle(self, events, go_on):
        for number in range(100_000):
            self.context.logger.debug("line %d", number)
        go_on(events)

    stage.run("bad", hostile(handle))
    stage.say(*["fine"] * 10)
    stage.at_the_tail(good, seconds=2)


@pytest.mark.parametrize("by_id", [False, True], ids=["cause given", "cause by id"])
def test_plugins_that_answer_each_other_end(stage, by_id):
    """After a bounded way, which is counted."""

    class Echo(BasePlugin):
        def __init__(self, hears: str, says: str) -> None:
            self.wants, self.says = (hears, "log.recorded"), says

        def handle(self, events):
            for event in events:
                self.context.emit(e.UserEvent(type=self.says), cause=event.id if by_id else event)

    echo = stage.run("echo", lambda settings: Echo("ping.said", "pong.said"))
    answer = stage.run("answer", lambda settings: Echo("pong.said", "ping.said"))
    stage.say("start")
    stage.until(lambda: echo.counters.get("dropped", 0) + answer.counters.get("dropped", 0) == 2)
    stage.at_the_tail(echo, answer)
    said = stage.store.log.read(0, 1_000, ["ping.said", "pong.said"])
    assert max(event.hops for event in said) == MAX_HOPS
    # a cause given by its id counts as far as the farthest event handed over with it
    assert len(said) <= 2 * MAX_HOPS if by_id else len(said) == 2 * MAX_HOPS


def test_an_emitted_value_runs_no_code_inside_the_transaction(stage, good):
    """A value whose `repr` hangs is described before, on the plugin's own time."""
    slow = threading.Event()

    class Slow:
        def __repr__(self) -> str:
            slow.wait(10)
            return "slow"

    def handle(self, events, go_on):
        go_on(events)
        if any(event.message == "poison" for event in events):
            self.context.emit(e.UserEvent(type="bad.slow", payload={"value": Slow()}), cause=events[0])

    bad = stage.run("bad", hostile(handle))
    stage.say("fine", "poison", "fine")
    began = time.monotonic()
    for _ in range(10):
        stage.say("fine")
    stage.at_the_tail(good, seconds=2)
    assert time.monotonic() - began < 2
    stage.at_the_tail(bad)
    slow.set()
    assert stage.dead("bad") == ["poison"]
    assert stage.counted("bad") == {"f": 12}


def test_a_locked_store_lays_nothing_aside(stage, good, tmp_path):
    """Somebody holds the database for longer than we wait for it: when it is free everything is counted once."""
    bad = stage.run("bad", hostile())
    stage.say(*["fine"] * 10)
    stage.at_the_tail(bad, good)
    holder = sqlite3.connect(tmp_path / "flowtell.db", isolation_level=None, check_same_thread=False)
    stage.store.database.writing.raw_connection().driver_connection.execute("PRAGMA busy_timeout=50")
    stage.say(*["fine"] * 10)
    try:
        holder.execute("BEGIN IMMEDIATE")
        time.sleep(2.0)
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    stage.at_the_tail(bad, good, seconds=20)
    assert stage.counted("bad") == stage.counted("good") == {"f": 20}
    assert stage.dead("bad") == []


def test_tables_that_are_somebody_elses_are_refused(stage):
    """By prefix, and the core's own even where the prefix fits."""
    for name, table in (("bad", "good_seen"), ("task", "task_runs"), ("dead", "dead_events")):
        metadata = MetaData()
        Table(table, metadata, Column("flow", String))
        kind = type("Thief", (BasePlugin,), {"tables": metadata, "handle": lambda self, events: None})
        runner = stage.run(name, lambda settings, kind=kind: kind())
        stage.until(lambda runner=runner: "BadWriteSet" in runner.last_error)
