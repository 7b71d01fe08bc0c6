"""PostgreSQL: old events go by dropping the tables of their days, and nothing newer goes with them."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import func, select, text

from flowtell import config
from flowtell import events as e
from flowtell.ids import new_id
from flowtell.server import old_days
from flowtell.server.retention import prune
from flowtell.store import open_store, partitions
from flowtell.store.log import Line
from flowtell.store.tables import events
from flowtell.testing import FakeClock

pytestmark = pytest.mark.postgres

DAY = 86_400_000_000
NOW = FakeClock().now // DAY * DAY + DAY // 2
"""Noon."""


@pytest.fixture
def url(new_database):
    return new_database()


@pytest.fixture
def store(url):
    made = open_store(url)
    yield made
    made.close()


def make_days(store, days):
    """The tables of the last `days` days, as housekeeping would have made them day by day."""
    for ago in range(days, -1, -1):
        store.keep_house(NOW - ago * DAY)


def add(store, dated, received=None, *, count=1, kind=e.MeasureRecorded):
    """Events with ids of `dated` days ago that the log received so many days ago. Returns their ids."""
    at, came = NOW - int(dated * DAY), NOW - int((dated if received is None else received) * DAY)
    extra = {"message": "m"} if kind is e.LogRecorded else {"name": "rows", "value": 1}
    made = [kind(id=new_id(at), time=at, **extra) for _ in range(count)]
    with store.write() as transaction:
        writer = store.log.writer(transaction, "w", "journal")
        store.log.append(transaction, writer, [Line(one, e.encode(one), 0) for one in made], came)
    return [one.id for one in made]


def ids(store):
    return {row.id for row in store.read(select(events.c.id))}


def tables(store):
    with store.reading() as connection:
        return partitions.days(connection)


def settings(**values):
    return config.load({f"retention.{name}": value for name, value in values.items()}, environ={}, folder="/")


def test_whole_days_go_and_nothing_newer(store):
    """Forty days of events: those of the last thirty stay, and what goes leaves no table."""
    make_days(store, 40)
    kept = {one for ago in range(30) for one in add(store, ago + 0.2, ago + 0.2, count=3)}
    gone = [one for ago in range(31, 41) for one in add(store, ago + 0.2, ago + 0.2, count=3)]
    # `received` grows with `seq` in a log of its own; here the oldest were appended last, so they are put in order
    _reorder(store)
    assert len(ids(store)) == len(kept) + len(gone)
    tried = prune(store, settings(), now=NOW, dry_run=True)
    assert len(ids(store)) == len(kept) + len(gone)
    counted = prune(store, settings(), now=NOW)
    assert ids(store) == kept
    assert counted["events"] == tried["events"] == len(gone)
    oldest = min(tables(store))
    assert partitions.ends(oldest) > NOW - 32 * DAY
    assert prune(store, settings(), now=NOW)["events"] == 0


def _reorder(store):
    """`seq` by `received`, as a log has it."""
    with store.write() as transaction:
        transaction.connection.execute(
            text(
                "UPDATE events SET seq = o.place FROM "
                "(SELECT id, row_number() OVER (ORDER BY received) AS place FROM events) o WHERE o.id = events.id"
            )
        )


def test_what_is_dated_in_the_past_but_came_today_stays_until_its_time(store):
    """Its day's table stays for it; what else lies there goes row by row, a day later than its time."""
    make_days(store, 40)
    old = add(store, 35.1, count=5)
    late = add(store, 35.2, 0.1, count=2)
    elsewhere = add(store, 4000, 0.1, count=2)
    prune(store, settings(), now=NOW)
    assert ids(store) == {*late, *elsewhere}
    assert not ids(store) & set(old)
    later = NOW + 31 * DAY
    store.keep_house(later)
    prune(store, settings(), now=later)
    assert ids(store) == set()
    assert all(partitions.ends(name) > later - 3 * DAY for name in tables(store))


def test_the_default_table_goes_row_by_row(store):
    """History that was imported, whose days have no tables."""
    old = add(store, 300, 40, count=2500)
    new = add(store, 300, 1, count=10)
    assert prune(store, settings(), now=NOW)["events"] == len(old)
    assert ids(store) == set(new)


def test_logs_go_before_the_other_events_of_their_day(store):
    make_days(store, 20)
    logs, others = add(store, 15, kind=e.LogRecorded, count=5), add(store, 15, count=5)
    young = add(store, 13, kind=e.LogRecorded, count=5)
    assert prune(store, settings(), now=NOW)["logs"] == len(logs)
    assert ids(store) == {*others, *young}


def test_today_is_never_dropped(store):
    """Nor what was made ahead: with a keeping time of nothing its rows go, and the tables go on being written."""
    make_days(store, 3)
    before = set(tables(store))
    add(store, 0.01, count=5)
    prune(store, settings(events_days=0.0), now=NOW)
    assert ids(store) == set()
    made_ahead = {name for name in before if partitions.ends(name) > NOW - partitions.BEHIND * DAY}
    assert made_ahead <= set(tables(store))
    assert add(store, 0) == list(ids(store))


def test_an_event_that_comes_between_look_and_drop_is_not_lost(store, monkeypatch):
    """The table is looked at again where nobody can append."""
    make_days(store, 40)
    add(store, 35, count=3)
    late = []
    drop_once = old_days._drop_once

    def delayed(*arguments):
        late.extend(add(store, 35, 0.1))
        return drop_once(*arguments)

    monkeypatch.setattr(old_days, "_drop_once", delayed)
    prune(store, settings(), now=NOW)
    assert set(late) <= ids(store)


def test_a_table_that_is_being_read_is_left_and_holds_nobody_up(store, url, monkeypatch):
    """Who reads goes on reading, who appends waits for the patience of one attempt at most; the next prune drops it."""
    make_days(store, 40)
    old = add(store, 35, count=3)
    monkeypatch.setattr(old_days, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(old_days, "_ATTEMPTS", 5)
    other = open_store(url)
    with other.reading() as reader:
        assert reader.execute(select(func.count()).select_from(events)).scalar() == 3
        done = threading.Event()
        pruning = threading.Thread(target=lambda: (prune(store, settings(), now=NOW), done.set()))
        pruning.start()
        waits = []
        while not done.is_set() or not waits:
            began = time.monotonic()
            add(other, 0)
            waits.append(time.monotonic() - began)
        pruning.join()
        assert reader.execute(select(func.count()).select_from(events)).scalar() == 3
    assert max(waits) < 2.0  # one patience and a loaded machine; without it: until the reader ends
    assert set(old) <= ids(store)
    prune(store, settings(), now=NOW)
    assert not set(old) & ids(store)
    other.close()
