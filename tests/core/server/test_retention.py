"""What is too old goes, in slices; what is open, unread or not on disk stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from flowtell import bus, config
from flowtell import events as e
from flowtell.ids import derived_id, new_id
from flowtell.journal import open_journal
from flowtell.server import retention
from flowtell.server.ingest import Ingester
from flowtell.server.retention import prune
from flowtell.store import open_store
from flowtell.store.log import Line
from flowtell.store.tables import events, runs, task_runs, writers
from flowtell.testing import FakeClock

DAY = 86_400_000_000
NOW = FakeClock().now


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(home, request):
    url = f"sqlite:///{home}/flowtell.db" if request.param == "sqlite" else request.getfixturevalue("new_database")()
    made = open_store(url)
    yield made
    made.close()


def add(store, days_ago, *, ends=True, logs=1, writer="w"):
    """A run with one task run and some logs, received so many days ago."""
    at = NOW - int(days_ago * DAY)
    run, task_run = derived_id(at, "run", str(ends)), derived_id(at, "task", str(ends))
    mine = {"run": run, "flow": "f", "time": at}
    made = [e.FlowRunStarted(id=new_id(at), **mine), e.TaskRunStarted(id=new_id(at), task_run=task_run, task="t", **mine)]
    made += [e.LogRecorded(id=new_id(at), message="m", **mine) for _ in range(logs)]
    if ends:
        made += [
            e.TaskRunFinished(id=new_id(at), task_run=task_run, task="t", **mine),
            e.FlowRunFinished(id=new_id(at), **mine),
        ]
    with store.write() as transaction:
        who = store.log.writer(transaction, writer, "journal")
        store.log.append(transaction, who, [Line(e.decode(e.encode(one)), e.encode(one), 0) for one in made], at)
    return run


def count(store, table, where=None):
    statement = select(func.count()).select_from(table)
    return store.read(statement if where is None else statement.where(where))[0][0]


def test_each_kind_has_its_time(store):
    """Logs 14 days, events 30, runs a year."""
    old = [add(store, days) for days in (400, 366, 364, 31, 29, 15, 13, 1)]
    deleted = prune(store, config.load(environ={}, folder="/"), now=NOW)
    assert [row.id for row in store.read(select(runs).order_by(runs.c.started))] == old[2:]
    assert count(store, task_runs) == 6
    assert {row.run for row in store.read(select(events).where(events.c.type == "log.recorded"))} == set(old[6:])
    assert {row.run for row in store.read(select(events).where(events.c.type != "log.recorded"))} == set(old[4:])
    assert deleted["runs"] == deleted["task_runs"] == 2
    assert deleted["events"] == 4 * 4
    assert deleted["logs"] == 6


def test_an_open_run_is_never_deleted(store):
    """However old, nor its open task runs; its row outlives its events."""
    run = add(store, 4000, ends=False)
    add(store, 4000)
    prune(store, config.load(environ={}, folder="/"), now=NOW)
    assert [row.id for row in store.read(select(runs))] == [run]
    assert [row.run for row in store.read(select(task_runs))] == [run]
    assert count(store, events) == 0


def test_a_dry_run_deletes_nothing_and_counts_the_same(store):
    for days in (400, 40, 20, 1):
        add(store, days, logs=3)
    settings = config.load(environ={}, folder="/")
    before = count(store, events)
    promised = prune(store, settings, now=NOW, dry_run=True)
    assert count(store, events) == before
    done = prune(store, settings, now=NOW)
    # logs that fall with the old events are counted there when nothing was deleted before
    assert promised["events"] - promised["logs"] <= done["events"] <= promised["events"]
    assert {name: promised[name] for name in ("logs", "runs", "task_runs")} == {
        name: done[name] for name in ("logs", "runs", "task_runs")
    }


def test_it_goes_in_slices_between_which_others_write(store, monkeypatch):
    """No transaction deletes more than a slice; `go_on` is asked between, and what is left is left for next time."""
    monkeypatch.setattr(retention, "ROWS_A_SLICE", 10)
    add(store, 40, logs=55)
    slices = []
    write = store.write

    def watched():
        slices.append(1)
        return write()

    monkeypatch.setattr(store, "write", watched)
    settings = config.load(environ={}, folder="/")
    asked = iter([True] * 4 + [False] * 50)
    prune(store, settings, now=NOW, go_on=lambda: next(asked))
    left = count(store, events)
    assert 0 < left < 59
    prune(store, settings, now=NOW)
    assert count(store, events) == 0
    assert len(slices) >= 6


def test_places_and_writers_numbers_are_never_given_again(store):
    """After everything was pruned: a new writer is not taken for the old one, nor a new event for one that was read."""
    add(store, 400, writer="old")
    with store.write() as transaction:
        store.log.move_writer(transaction, store.log.writer(transaction, "old", "journal"), ended=NOW - 400 * DAY)
    head = store.log.head()
    assert [event.writer for event in store.log.read(0, 1)] == ["old"]
    prune(store, config.load(environ={}, folder="/"), now=NOW)
    assert count(store, writers) == 0
    add(store, 1, writer="new")
    first = store.log.read(0, 1)[0]
    assert (first.seq, first.writer) == (head + 1, "new")


# --- journals -----------------------------------------------------------------------------------------------------


@pytest.fixture
def ingester(store, home):
    made = Ingester(store, str(home), lambda: time.time_ns() // 1000)
    yield made
    made.close()


def run_steps(ingester):
    for _ in range(4):
        ingester.step()
        time.sleep(0.26)  # past the time between two probes


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)  # the other has no checkpoint of ours
def test_a_journal_goes_only_when_it_is_in_the_log_and_on_disk(store, ingester, home):
    """Not while its writer lives, not before a checkpoint went through, not while somebody holds it."""
    journal = open_journal(str(home))
    journal.write(e.encode(e.LogRecorded(id=new_id(), message="x")) + b"\n")
    run_steps(ingester)
    assert ingester.delete_ended() == 0
    assert Path(journal.path).exists()
    stray = os.dup(journal._fd)  # a child that holds the descriptor, and with it the lock
    journal.close()
    run_steps(ingester)
    assert ingester.delete_ended() == 0
    os.close(stray)
    run_steps(ingester)
    with store.reading() as reader:  # its snapshot stands in the checkpoint's way
        reader.execute(select(events)).all()
        with store.write() as transaction:
            transaction.connection.exec_driver_sql("UPDATE counters SET value = value")
            store.log.writer(transaction, "other", "journal")
        store.database.writing.raw_connection().driver_connection.execute("PRAGMA busy_timeout=50")
        assert ingester.delete_ended() == 0
    assert Path(journal.path).exists()
    assert ingester.delete_ended() == 1
    assert not Path(journal.path).exists()
    assert count(store, events) == 1


def test_what_comes_after_the_end_is_not_deleted_unread(store, ingester, home):
    """A stray holder of the descriptor writes once more: that is read first."""
    journal = open_journal(str(home))
    journal.write(e.encode(e.LogRecorded(id=new_id(), message="a")) + b"\n")
    stray = os.dup(journal._fd)
    journal.close()
    os.close(stray)
    late = os.open(journal.path, os.O_WRONLY | os.O_APPEND)
    run_steps(ingester)
    os.write(late, e.encode(e.LogRecorded(id=new_id(), message="b")) + b"\n")
    os.close(late)
    ingester.delete_ended()
    assert Path(journal.path).exists()
    run_steps(ingester)
    ingester.delete_ended()
    assert not Path(journal.path).exists()
    assert [event.message for event in store.log.read(0)] == ["a", "b"]


def test_a_server_that_starts_ends_only_the_dead(store, ingester, home):
    """Two journals with open runs: the one whose lock is held is left alone, probe after probe."""
    bus.emit(e.FlowRunStarted(id=new_id(), time=1, run="alive", flow="f"))
    dead = open_journal(str(home))
    dead.write(e.encode(e.FlowRunStarted(id=new_id(), time=1, run="dead", flow="f")) + b"\n")
    dead.close()
    run_steps(ingester)
    assert dict(tuple(row) for row in store.read(select(runs.c.id, runs.c.state))) == {"alive": "running", "dead": "crashed"}
    crash = store.log.read(0, types=["flow_run.finished"])
    assert [(event.run, event.state, event.error.type, event.writer) for event in crash] == [
        ("dead", "crashed", "Crashed", "ingest")
    ]
    again = Ingester(store, str(home), lambda: time.time_ns() // 1000)
    run_steps(again)
    again.close()
    assert len(store.log.read(0, types=["flow_run.finished"])) == 1


def test_what_the_ingester_writes_is_numbered_on(store, home):
    """`n` of its events counts on over restarts."""
    for number in range(3):
        journal = open_journal(str(home))
        journal.write(e.encode(e.FlowRunStarted(id=new_id(), time=1, run=f"r{number}", flow="f")) + b"\n")
        journal.close()
        one = Ingester(store, str(home), lambda: time.time_ns() // 1000)
        one.step()
        one.close()
    assert [event.n for event in store.log.read(0, types=["flow_run.finished"])] == [0, 1, 2]
