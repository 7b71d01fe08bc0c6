"""What is PostgreSQL's own: partitions, statements over arrays, text that it cannot hold, URLs that name nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import BigInteger, Column, MetaData, String, Table, bindparam, select, text

from flowtell import events as e
from flowtell.errors import StoreUnreachable, UnsupportedStore
from flowtell.ids import new_id
from flowtell.store import open_store
from flowtell.store.set_statements import Copied, OverArrays
from flowtell.store.tables import events, runs
from flowtell.testing.histories import example_history
from flowtell.testing.log_contract import append

pytestmark = pytest.mark.postgres

DAY = 86_400_000_000
NOW = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp() * 1e6)


@pytest.fixture
def store(new_database):
    made = open_store(new_database())
    yield made
    made.close()


# --- the log in days ----------------------------------------------------------------------------------------------


def tables(store):
    """How many events lie in which table of the log."""
    with store.reading() as connection:
        return dict(
            tuple(row)
            for row in connection.execute(text("SELECT tableoid::regclass::text, count(*) FROM events GROUP BY 1"))
        )


def test_events_lie_in_the_table_of_their_day(store):
    """By the time in the id; what is dated elsewhere lies in the default table, and is read like the others."""
    store.keep_house(NOW)
    moments = [NOW - 300 * DAY, NOW - DAY, NOW, NOW + DAY, NOW + 300 * DAY]
    append(store, [e.LogRecorded(id=new_id(moment), time=moment, message="m") for moment in moments])
    assert tables(store) == {"events_other": 2, "events_20261123": 1, "events_20261124": 1, "events_20261125": 1}
    assert [event.time for event in store.log.read(0)] == moments


def test_a_day_made_later_takes_in_what_came_before_it(store):
    """A writer whose clock was ahead: its events move from the default table into their day's, in their places."""
    store.keep_house(NOW)
    later = NOW + 6 * DAY
    append(store, [e.LogRecorded(id=new_id(moment), time=moment, message="m") for moment in (later, NOW, later)])
    store.keep_house(NOW + 5 * DAY)
    assert tables(store) == {"events_20261124": 1, "events_20261130": 2}
    assert [event.seq for event in store.log.read(0)] == [1, 2, 3]


def test_an_id_is_refused_in_whatever_table(store):
    """One unique key over all days."""
    store.keep_house(NOW)
    event = e.LogRecorded(id=new_id(NOW), time=NOW, message="m")
    for _ in range(2):
        append(store, [event])
    assert len(store.log.read(0)) == 1


def test_houses_kept_by_two_servers_at_once_do_not_clash(store, new_database):
    """Both make the same days; one finds them there."""
    other = open_store(store.url.render_as_string(hide_password=False))
    assert [one.keep_house(NOW) for one in (store, other, store)] == [None] * 3
    other.close()


# --- many rows, one statement -------------------------------------------------------------------------------------

metadata = MetaData()
things = Table(
    "mine_things", metadata, Column("id", String, primary_key=True), Column("n", BigInteger), Column("words", String)
)
insert = things.insert()
update = things.update().where(things.c.id == bindparam("key"))
delete = things.delete().where(things.c.id == bindparam("key"), things.c.n >= 0)


def run(store, statement, rows):
    with store.write() as transaction:
        prepared = store.prepared.get(statement, rows[0], transaction.connection)
        prepared.execute(transaction.connection, rows)
        return prepared


def test_statements_over_arrays_do_what_they_do_row_by_row(store):
    """Inserts, updates of which the last of one key counts, deletes; with quotes, newlines, NULL and backslashes."""
    store.create_tables(metadata)
    odd = "a'\"\n\t\\N{},NULL ü"
    rows = [{"id": f"k{at}", "n": at, "words": odd} for at in range(50)] + [{"id": "none", "n": None, "words": None}]
    assert isinstance(run(store, insert, rows), Copied)
    changes = [{"key": f"k{at % 10}", "n": 100 + at, "words": None if at == 19 else odd * 2} for at in range(20)]
    assert isinstance(run(store, update, [*changes, {"key": "unknown", "n": 1, "words": ""}]), OverArrays)
    assert isinstance(run(store, delete, [{"key": f"k{at}"} for at in range(20, 50)] + [{"key": "none"}]), OverArrays)
    found = {row.id: (row.n, row.words) for row in store.read(select(things))}
    assert found.keys() == {f"k{at}" for at in range(20)} | {"none"}
    assert found["k3"] == (113, odd * 2)
    assert found["k9"] == (119, None)
    assert found["k15"] == (15, odd)


def test_what_computes_runs_row_by_row(store):
    """An update that adds to what is there adds once a row, also where rows have one key."""
    store.create_tables(metadata)
    run(store, insert, [{"id": "a", "n": 1, "words": ""}])
    adding = things.update().where(things.c.id == bindparam("key")).values(n=things.c.n + bindparam("more"))
    assert not isinstance(run(store, adding, [{"key": "a", "more": 10}] * 3), OverArrays)
    assert store.read(select(things.c.n))[0][0] == 31


# --- text -----------------------------------------------------------------------------------------------------------


def test_a_zero_character_costs_no_event(store):
    """U+0000 becomes U+FFFD wherever it stands; the two characters backslash and u0000 stay what they are."""
    name = 'a\0b\\u0000"\\\0'
    append(store, [e.FlowRunStarted(id=new_id(), run=new_id(), flow=name, name="x\0", time=1, parameters={"p": "\0"})])
    (event,) = store.log.read(0)
    assert event.flow == name.replace("\0", "\ufffd")
    assert event.parameters == {"p": "\ufffd"}
    assert store.read(select(runs.c.name))[0][0] == "x\ufffd"


def test_ids_are_ordered_by_their_bytes(store):
    """The test's databases sort by a language; a page of runs goes on where the last one ended all the same."""
    assert store.read(select(events.c.id).limit(1)) == []
    append(store, example_history(runs=3))
    ids = [row.id for row in store.read(select(runs.c.id).order_by(runs.c.id))]
    assert ids == sorted(ids)
    with store.reading() as connection:
        collation = "SELECT collation_name FROM information_schema.columns WHERE table_name = 'runs' AND column_name = 'id'"
        assert connection.execute(text(collation)).scalar() == "C"


# --- URLs -----------------------------------------------------------------------------------------------------------


def test_a_database_that_is_not_there_is_named_without_its_password(postgres_server):
    url = f"{postgres_server.replace('://root@', '://root:hunter2@').rpartition('/')[0]}/no_such_database"
    with pytest.raises(StoreUnreachable, match="no_such_database") as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgress://x/y", "flowtell.db", "", "postgresql//x", "oracle://x/y"])
def test_a_mistyped_url_is_told(url):
    with pytest.raises(UnsupportedStore, match="postgresql://USER@HOST/DATABASE"):
        open_store(url)


def test_two_that_open_an_empty_database_make_it_once(new_database):
    """Several servers start at the same moment."""
    import threading

    url = new_database()
    problems: list[Exception] = []

    def start() -> None:
        try:
            open_store(url).close()
        except Exception as error:  # noqa: BLE001
            problems.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
