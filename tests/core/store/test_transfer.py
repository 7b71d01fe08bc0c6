"""A whole store goes into a file and out again, and from one kind of database to the other: nothing lost, nothing added."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    inspect,
    select,
    text,
)

from flowtell import config
from flowtell import events as e
from flowtell.errors import (
    BadExport,
    ColumnNotMovable,
    StoreMissing,
    StoreNotEmpty,
    StoreTooNew,
    StoreTooOld,
    TransferMismatch,
)
from flowtell.ids import new_id
from flowtell.journal import open_journal
from flowtell.server.catch_up import catch_up
from flowtell.server.plugin_tables import plugin_tables
from flowtell.store import open_store, partitions
from flowtell.store.line import Line
from flowtell.store.tables import SCHEMA_VERSION, counters, cursors, events, metadata, tokens, writers
from flowtell.store.transfer import ExportFile, load, loading, open_source, snapshot_of, write_export
from flowtell.testing.histories import example_history

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture
def new_store(tmp_path, request):
    """Makes an empty store of a kind; closed with the test."""
    made = []

    def make(kind):
        url = f"sqlite:///{tmp_path}/{len(made)}.db" if kind == "sqlite" else request.getfixturevalue("new_database")()
        made.append(open_store(url))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def fill(home, monkeypatch):
    """Fills a store as a server would: a journal, ingested, with every projection over it; and a token."""

    def filled(store, runs=40):
        journal = open_journal(str(home), environment="test")
        journal.write(b"".join(e.encode(event) + b"\n" for event in example_history(runs=runs)))
        journal.write(b"no event\n")
        url = store.url.render_as_string(hide_password=False)
        catch_up(config.load({"store": url}), timeout=30)
        journal.close()
        with store.write() as transaction:
            transaction.connection.execute(
                tokens.insert().values(id="t", name="ci", digest="d" * 64, scopes="read", created=1)
            )
        store.rejoin()
        return store

    return filled


def everything(store):
    """Every row of every table that moves, by name of column, in an order that no collation changes."""
    found = {}
    with store.reading() as connection:
        names = set(inspect(connection).get_table_names()) - {"leases", "alembic_version"}
        for name in names:
            if name.startswith("events_"):
                continue
            rows = [dict(row._mapping) for row in connection.execute(text(f'SELECT * FROM "{name}"'))]
            found[name] = sorted((sorted(row.items()) for row in rows), key=repr)
    if not any("last_seq" in str(row) for row in found["counters"]):
        found["counters"] = sorted([*found["counters"], [("name", "last_seq"), ("value", store.log.head())]], key=repr)
    return found


def nothing(_table, _rows):
    pass


def move(source, target, plugins=None):
    with snapshot_of(source, ["mine"]) as snapshot:
        known = plugin_tables(config.load()) if plugins is None else plugins
        return load(snapshot, target, known, progress=nothing, verifying=nothing)


def export(store) -> bytes:
    file = io.BytesIO()
    with snapshot_of(store, ["mine"]) as snapshot:
        write_export(snapshot, file, nothing)
    return file.getvalue()


def import_(data: bytes, target, plugins=None):
    known = plugin_tables(config.load()) if plugins is None else plugins
    return load(ExportFile(io.BytesIO(data), "file"), target, known, progress=nothing, verifying=nothing)


# --- nothing lost -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("through", ["url", "file"])
@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_table_is_the_same_afterwards(kind, to, through, new_store, fill):
    """The log with its places, runs, totals, graph, alerts, cursors, writers and their places, tokens, rejected lines."""
    source, target = fill(new_store(kind)), new_store(to)
    loaded = move(source, target) if through == "url" else import_(export(source), target)
    before = everything(source)
    assert {"prometheus_totals", "lineage_links", "alerts_rules"} <= before.keys()
    assert all(before[name] for name in ("events", "runs", "task_runs", "writers", "cursors", "rejected_lines", "tokens"))
    assert everything(target) == before
    assert {name: tally.rows for name, tally in loaded.tables.items()} == {name: len(rows) for name, rows in before.items()}
    assert target.log.read(0, 100_000) == source.log.read(0, 100_000)


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_log_goes_on_where_it_was(kind, to, new_store, fill, home):
    """The next event takes the next place; a journal is read on, not anew; numbers that were given are not given again."""
    source, target = fill(new_store(kind), runs=5), new_store(to)
    with source.write() as transaction:  # the newest events and the newest writer are gone, as after a prune
        source.log.note_highest(transaction)
        gone = source.log.writer(transaction, "gone", "journal").id
        transaction.connection.execute(writers.delete().where(writers.c.id == gone))
        head = source.log.head()
        transaction.connection.execute(events.delete().where(events.c.seq > head - 3))
    move(source, target)
    journal = open_journal(str(home))
    journal.write(e.encode(e.LogRecorded(id=new_id(), message="next")) + b"\n")
    url = target.url.render_as_string(hide_password=False)
    assert not catch_up(config.load({"store": url}), timeout=30).message
    journal.close()
    added = target.log.read(head - 3, 1000)
    assert added[0].seq == head + 1
    assert [event.message for event in added if event.type == "log.recorded"] == ["next"]
    newest = max(row.id for row in target.read(select(writers.c.id)))
    assert newest > gone
    assert all(row.seq == target.log.head() for row in target.read(select(cursors.c.seq)))


def test_two_exports_of_one_store_hold_the_same(new_store, fill):
    """Also by way of the other kind's order: only the moment differs."""
    store = fill(new_store("sqlite"), runs=5)
    first, second = (gzip.decompress(export(store)).splitlines()[1:] for _ in range(2))
    assert first == second


mine = MetaData()
odd = Table(
    "mine_things",
    mine,
    Column("name", String, primary_key=True),
    Column("count", BigInteger),
    Column("share", Float),
    Column("raw", LargeBinary),
    Column("yes", Boolean),
    Column("partition", String, nullable=False, server_default=""),
)
Index("mine_things_count", odd.c.count)
Index("mine_things_yes", odd.c.yes, unique=True, sqlite_where=odd.c.yes, postgresql_where=odd.c.yes)
ODD = [
    {"name": "a'\"\\N\t\n{},ü\u2028", "count": 2**62, "share": 0.1 + 0.2, "raw": bytes(range(256)), "yes": True},
    {"name": "", "count": None, "share": float("inf"), "raw": b"", "yes": False},
    {"name": "\\u0000", "count": -1, "share": -0.0, "raw": None, "yes": None},
    {"name": "x", "count": 0, "share": 5e-324, "raw": b"\0", "yes": None},
]


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_plugins_table_goes_along_installed_or_not(kind, to, installed, new_store):
    """Values of every kind, to the bit; where the plugin is not installed its table is made as it was, and waits for it."""
    source, target = new_store(kind), new_store(to)
    source.create_tables(mine)
    with source.write() as transaction:
        transaction.connection.execute(odd.insert(), [{"partition": "p", **row} for row in ODD])
    import_(export(source), target, {"mine_things": odd} if installed else {})
    for store in (source, target):
        rows = {row.name: row._asdict() for row in store.read(select(odd))}
        assert [rows[row["name"]] for row in ODD] == [{"partition": "p", **row} for row in ODD]
    target.create_tables(mine)
    with target.reading() as connection:
        names = {index["name"] for index in inspect(connection).get_indexes("mine_things")}
    assert names == ({"mine_things_count", "mine_things_yes"} if installed else {"mine_things_count"})


@pytest.mark.postgres
def test_a_nul_in_text_is_replaced_and_counted(new_store):
    """PostgreSQL cannot hold it; what is compared afterwards is what was put in."""
    source, target = new_store("sqlite"), new_store("postgresql")
    source.create_tables(mine)
    with source.write() as transaction:
        transaction.connection.execute(odd.insert(), [{"name": "a\0b", "raw": b"a\0b"}, {"name": "fine", "raw": b""}])
    loaded = move(source, target, {})
    assert loaded.replaced == 1
    assert {row.name: row.raw for row in target.read(select(odd))} == {"a\ufffdb": b"a\0b", "fine": b""}


def test_a_column_that_cannot_be_moved_is_named(new_store):
    store = new_store("sqlite")
    store.create_tables(tables := MetaData())
    Table("mine_times", tables, Column("at", DateTime))
    store.create_tables(tables)
    with pytest.raises(ColumnNotMovable, match="Column 'at' of table 'mine_times' is of type DATETIME"):
        export(store)


def test_other_peoples_tables_stay_where_they_are(new_store):
    """A database may be shared: only the core's and the plugins' tables go along."""
    store = new_store("sqlite")
    tables = MetaData()
    Table("customers", tables, Column("id", Integer, primary_key=True))
    store.create_tables(tables)
    with snapshot_of(store) as snapshot:
        assert {layout.name for layout in snapshot.header.tables} == metadata.tables.keys() - {"leases"}


@pytest.mark.postgres
def test_days_with_many_events_get_their_tables(new_store):
    """So that they go as a whole one day; the rest lies in the default table."""
    source, target = new_store("sqlite"), new_store("postgresql")
    now = time.time_ns() // 1000
    for ago, count in ((1, 600), (20, 700), (30, 5), (4000, 600)):
        at = now - ago * 86_400_000_000
        lines = [e.LogRecorded(id=new_id(at), time=at, message="m") for _ in range(count)]
        with source.write() as transaction:
            writer = source.log.writer(transaction, "w", "journal")
            source.log.append(transaction, writer, [Line(one, e.encode(one), 0) for one in lines], at)
    move(source, target)
    with target.reading() as connection:
        sizes = {name: partitions.count(connection, name) for name in (*partitions.days(connection), "events_other")}
    assert sorted(sizes.values()) == [600, 605, 700]
    assert sizes["events_other"] == 605


# --- all or nothing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", KINDS)
def test_only_an_empty_store_is_loaded(to, new_store, fill):
    source, target = fill(new_store("sqlite"), runs=2), new_store(to)
    move(source, target)
    before = everything(target)
    with pytest.raises(StoreNotEmpty, match=r"'\w+' has rows\. Nothing was changed"):
        move(source, target)
    assert everything(target) == before


@pytest.mark.parametrize("to", KINDS)
def test_a_store_that_is_not_what_was_read_is_not_kept(to, new_store, fill, monkeypatch):
    """One value changed on the way in: told with both checksums, and the store is as it was."""
    source, target = fill(new_store("sqlite"), runs=2), new_store(to)
    insert = loading._insert

    def changed(source, layout, into, rows):
        if layout.name == "runs":
            at = layout.names.index("name")
            rows = [(*row[:at], "other", *row[at + 1 :]) for row in rows]
        insert(source, layout, into, rows)

    monkeypatch.setattr(loading, "_insert", changed)
    with pytest.raises(TransferMismatch, match="Table 'runs' holds"):
        move(source, target)
    assert not any(everything(target)[name] for name in ("events", "runs", "writers"))
    monkeypatch.undo()
    move(source, target)


CHILD = """
import sys
from flowtell.store import open_store
from flowtell.store.transfer import load, open_source, snapshot_of
def tell(table, rows):
    print(table, flush=True)
with open_source(sys.argv[1]) as source, snapshot_of(source) as snapshot:
    load(snapshot, open_store(sys.argv[2]), {}, progress=tell, verifying=tell)
"""


@pytest.mark.slow
@pytest.mark.parametrize("to", KINDS)
def test_who_is_killed_half_way_leaves_an_empty_store(to, new_store, fill):
    """At the first table, in the middle, while comparing; then the same command goes through."""
    source, target = fill(new_store("sqlite"), runs=30), new_store(to)
    urls = [store.url.render_as_string(hide_password=False) for store in (source, target)]
    for told in (1, 4, 12, 20):
        child = subprocess.Popen([sys.executable, "-c", CHILD, *urls], stdout=subprocess.PIPE)
        for _ in range(told):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        child.communicate()
        again = open_store(urls[1], read_only=True)
        assert again.log.head() == 0
        assert not any(rows for name, rows in everything(again).items() if name != "counters")
        again.close()
    move(source, target)
    assert everything(target) == everything(source)


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.fixture
def exported(new_store, fill):
    return export(fill(new_store("sqlite"), runs=3))


def packed(lines) -> bytes:
    return gzip.compress(b"\n".join(lines) + b"\n")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 0.999])
def test_a_file_that_is_cut_off_is_refused(share, exported, new_store):
    target = new_store("sqlite")
    with pytest.raises(BadExport, match=r"cut off|not packed"):
        import_(exported[: int(len(exported) * share)], target)
    assert target.log.head() == 0


def test_a_file_whose_lines_end_early_is_refused(exported, new_store):
    """Packed well, but the end is missing."""
    lines = gzip.decompress(exported).splitlines()
    for cut in (1, 2, len(lines) // 2, len(lines) - 1):
        with pytest.raises(BadExport, match="cut off"):
            import_(packed(lines[:cut]), new_store("sqlite"))


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"SQLite format 3\0", gzip.compress(b""), gzip.compress(b"[]\n"), gzip.compress(b"{}\n"), b"\x1f\x8b"],
    ids=["nothing", "a letter", "a store", "gzip of nothing", "gzip of a list", "gzip of an object", "a gzip that is cut"],
)
def test_what_is_no_export_is_refused(data, new_store):
    with pytest.raises(BadExport):
        import_(data, new_store("sqlite"))


def test_every_changed_line_is_noticed(exported, new_store):
    """A changed value, a row twice, a row less, a value too many, a nested value, a table renamed."""
    lines = gzip.decompress(exported).splitlines()
    at = next(number for number, line in enumerate(lines) if b'"table":"runs"' in line) + 1
    row = json.loads(lines[at])
    spoiled = [
        [json.dumps(["0" * 32, *row[1:]]).encode()],
        [lines[at], json.dumps(["0" * 32, *row[1:]]).encode()],
        [],
        [json.dumps([*row, 1]).encode()],
        [json.dumps([*row[:-1], [1]]).encode()],
        [json.dumps([*row[:-1], "many"]).encode()],
        [json.dumps([*row[:-1], 2**70]).encode()],
        [b"[", lines[at]],
    ]
    for replaced in spoiled:
        target = new_store("sqlite")
        with pytest.raises(BadExport, match=r"^file is no export that can be imported: "):
            import_(packed([*lines[:at], *replaced, *lines[at + 1 :]]), target)
        assert target.log.head() == 0


def with_header(exported, **changes) -> bytes:
    header, *lines = gzip.decompress(exported).splitlines()
    return packed([json.dumps({**json.loads(header), **changes}).encode(), *lines])


def test_another_version_is_told(exported, new_store):
    store = new_store("sqlite")
    with pytest.raises(BadExport, match="its format is 2, known up to 1; upgrade flowtell"):
        import_(with_header(exported, flowtell_export=2), store)
    with pytest.raises(StoreTooNew):
        import_(with_header(exported, schema=SCHEMA_VERSION + 1), store)
    with pytest.raises(StoreTooOld):
        import_(with_header(exported, schema=1), store)


@pytest.mark.parametrize("name", ["leases", 'a" (x); DROP TABLE events; --', "alembic_version", "customers"])
def test_a_file_names_only_tables_that_are_ours(name, exported, new_store):
    """Not who leads, no SQL, nothing that others have in the same database."""
    store = new_store("sqlite")
    with store.write() as transaction:
        transaction.connection.exec_driver_sql("CREATE TABLE customers (name TEXT)")
        transaction.connection.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
    layout = {"name": name, "columns": [{"name": "name", "kind": "text"}]}
    with pytest.raises(BadExport, match=r"cannot be loaded|is here already"):
        import_(with_header(exported, tables=[layout]), store)


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_that_is_none_is_told_and_not_made(kind, tmp_path, request):
    path = tmp_path / "typo.db"
    if kind == "sqlite":
        with pytest.raises(StoreMissing, match="no such file"), open_source(f"sqlite:///{path}"):
            pass
        assert not path.exists()
        create_engine(f"sqlite:///{path}").connect().close()
        path.touch()
        url = f"sqlite:///{path}"
    else:
        url = request.getfixturevalue("new_database")()
    with pytest.raises(StoreMissing, match="no tables of flowtell"), open_source(url):
        pass


def test_an_isolated_plugins_tables_are_known(monkeypatch):
    """Its process is started for that, and ends with it."""
    monkeypatch.setenv("FLOWTELL_PLUGIN__LINEAGE__ISOLATE", "process")
    assert {"lineage_links", "prometheus_totals"} <= plugin_tables(config.load()).keys()


def test_an_export_is_for_its_owners_eyes(tmp_path):
    from flowtell.store.new_file import new_file

    with new_file(str(tmp_path / "x")) as part:
        Path(part).write_bytes(b"1")
    assert oct((tmp_path / "x").stat().st_mode & 0o777) == "0o600"
    assert os.listdir(tmp_path) == ["x"]
    with pytest.raises(OSError, match="full"), new_file(str(tmp_path / "y")) as part:
        raise OSError("full")
    assert os.listdir(tmp_path) == ["x"]


def test_counters_know_the_highest_place(new_store, fill):
    """SQLite counts places in memory; another store must be told."""
    source, target = fill(new_store("sqlite"), runs=2), new_store("sqlite")
    move(source, target)
    assert target.read(select(counters.c.value).where(counters.c.name == "last_seq"))[0][0] == source.log.head()
