"""A store of an earlier release is brought up to date, keeps its rows, and is then like a new one."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, select, text

from flowtell import config
from flowtell.errors import StoreTooNew, StoreTooOld
from flowtell.server.catch_up import catch_up
from flowtell.store import open_store
from flowtell.store.opening import open_database
from flowtell.store.reading import list_runs
from flowtell.store.tables import SCHEMA_VERSION, metadata, writers
from flowtell.store.upgrading import run_steps, steps_after, upgrade

FIRST = Path(__file__).with_name("first_release.sql")


def make_first(path) -> str:
    """A file as the first release left it."""
    with sqlite3.connect(path) as connection:
        connection.executescript(FIRST.read_text())
    connection.close()
    return f"sqlite:///{path}"


@pytest.fixture
def first(home):
    """The home's own store, of the first release."""
    return make_first(home / "flowtell.db")


def rows(path) -> dict[str, list[tuple]]:
    connection = sqlite3.connect(path)
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {}
    for name in names:
        cursor = connection.execute(f'SELECT * FROM "{name}"')
        columns = [column[0] for column in cursor.description]
        found[name] = [dict(zip(columns, row, strict=True)) for row in cursor]
    connection.close()
    return found


AFFINITY = {"BIGINT": "INTEGER"}  # to SQLite both are one


def schema(path) -> dict[str, object]:
    """What SQLite makes of each of the core's tables: columns in order, keys, indexes, kind of table."""
    connection = sqlite3.connect(path)
    kinds = {name: (rowless, strict) for _, name, _, _, rowless, strict in connection.execute("PRAGMA table_list")}
    indexes = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'"))
    found = {}
    for table in metadata.tables:
        columns = [
            (name, AFFINITY.get(kind, kind), required, default, key, hidden)
            for _, name, kind, required, default, key, hidden in connection.execute(f"PRAGMA table_xinfo({table})")
        ]
        of_table = {
            name: (unique, origin, partial, " ".join((indexes.get(name) or "").split()))
            for _, name, unique, origin, partial in connection.execute(f"PRAGMA index_list({table})")
        }
        found[table] = (columns, of_table, kinds[table])
    autoincrement = connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'").fetchall()
    connection.close()
    return {**found, "numbered for ever": autoincrement, "version": version(path)}


def version(path) -> int:
    connection = sqlite3.connect(path)
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return int(found)


def test_the_upgraded_schema_is_that_of_a_new_store(first, home, tmp_path):
    open_store(first).close()
    open_store(f"sqlite:///{tmp_path}/new.db").close()
    assert schema(home / "flowtell.db") == schema(tmp_path / "new.db")


def test_every_row_is_kept(first, home):
    """The core's and the plugins', whose tables no step touches; what is new is empty."""
    before = rows(home / "flowtell.db")
    assert before["events"]
    assert before["lineage_edges"]
    open_store(first).close()
    after = rows(home / "flowtell.db")
    assert after.keys() == before.keys() | {"leases", "tokens"}
    assert not after["leases"]
    for name, kept in before.items():
        assert [{column: row[column] for column in old} for row, old in zip(after[name], kept, strict=True)] == kept


def test_the_first_step_and_those_after_it_make_a_new_store(tmp_path):
    """What is frozen as the first release's tables is what it had, and all steps lead to what is made today."""
    path = tmp_path / "steps.db"
    open_store(f"sqlite:///{tmp_path}/new.db").close()
    database = open_database(f"sqlite:///{path}", read_only=False, session="")
    with database.writing.begin() as connection:
        connection.exec_driver_sql("CREATE TEMP TABLE alembic_version (version_num TEXT NOT NULL)")
        run_steps(connection, to="0001")
        connection.exec_driver_sql("PRAGMA user_version=1")
    make_first(tmp_path / "first.db")
    mine, theirs = first_schema(path), first_schema(tmp_path / "first.db")
    assert mine == theirs
    with database.writing.begin() as connection:
        connection.exec_driver_sql("DROP TABLE temp.alembic_version")
    assert [step.version for step in upgrade(database)] == list(range(2, SCHEMA_VERSION + 1))
    database.close()
    assert schema(path) == schema(tmp_path / "new.db")


def first_schema(path):
    connection = sqlite3.connect(path)
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata, "tables", {name: table for name, table in metadata.tables.items() if name in there})
        return schema(path)


def test_it_is_said_on_stderr_and_done_once(first, caplog):
    with caplog.at_level("WARNING"):
        open_store(first).close()
        open_store(first).close()
    assert [record.getMessage() for record in caplog.records] == [
        f"the store {first} was upgraded from schema 1 to {SCHEMA_VERSION}"
    ]


@pytest.mark.slow
def test_processes_that_open_it_at_once_upgrade_it_once(home, tmp_path):
    """They wait for one lock; who is later finds it done."""
    code = "import sys; from flowtell.store import open_store; sys.stdin.read(1); open_store(sys.argv[1]).close()"
    for attempt in range(2):
        url = make_first(tmp_path / f"{attempt}.db")
        processes = [
            subprocess.Popen([sys.executable, "-c", code, url], stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in "abc"
        ]
        for process in processes:
            process.stdin.write(b"x")
            process.stdin.flush()
        ends = [(process.communicate()[1].decode(), process.returncode) for process in processes]
        assert [code for _, code in ends] == [0, 0, 0], ends
        assert sum("was upgraded" in said for said, _ in ends) == 1
        assert version(tmp_path / f"{attempt}.db") == SCHEMA_VERSION


def test_who_only_reads_an_old_store_is_told(first):
    """Without a look at what it holds: nothing is changed by a reader."""
    with pytest.raises(StoreTooOld, match=r"schema 1, this flowtell needs \d+. Run 'flowtell db upgrade'"):
        open_store(first, read_only=True)


def test_a_reading_command_upgrades_before_it_reads(first):
    """It catches up first, and so opens the store to write."""
    settings = config.load()
    catch_up(settings)
    store = open_store(first, read_only=True)
    names = [run.flow for run in list_runs(store.read)]
    store.close()
    assert sorted(names) == ["broken", "nightly", "nightly"]


def test_a_store_of_a_later_release_is_refused(first, home):
    with sqlite3.connect(home / "flowtell.db") as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(StoreTooNew):
        open_store(first)


def test_an_upgrade_that_fails_changes_nothing(first, home, monkeypatch):
    """Tables, version and rows are as before: all steps are one transaction."""
    from flowtell.store import sqlite

    before = rows(home / "flowtell.db")
    run = sqlite.run_steps

    def fail(connection, **options):
        run(connection, **options)
        raise OSError("no more")

    monkeypatch.setattr(sqlite, "run_steps", fail)
    with pytest.raises(OSError, match="no more"):
        open_store(first)
    monkeypatch.undo()
    assert version(home / "flowtell.db") == 1
    assert rows(home / "flowtell.db") == before
    open_store(first).close()


def test_opening_a_store_that_is_up_to_date_imports_no_alembic(home):
    code = (
        f"import sys; from flowtell.store import open_store; open_store('sqlite:///{home}/flowtell.db').close();"
        "print('alembic' in sys.modules)"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "False\n"


def test_steps_have_consecutive_versions_and_a_title():
    steps = steps_after(0)
    assert [step.version for step in steps] == list(range(1, SCHEMA_VERSION + 1))
    assert all(step.title for step in steps)


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_postgresql_is_not_upgraded_unasked(new_database):
    """Servers of the release before may be at work on it."""
    url = new_database()
    store = open_store(url)
    fresh = _columns(store)
    with store.write() as transaction:
        connection = transaction.connection
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        connection.execute(text("ALTER TABLE writers DROP COLUMN last_sign"))
        connection.execute(text("DROP TABLE tokens"))
    for read_only in (False, True):
        with pytest.raises(StoreTooOld):
            open_store(url, read_only=read_only)
    assert [step.version for step in upgrade(store.database)] == list(range(2, SCHEMA_VERSION + 1))
    assert upgrade(store.database) == []
    store.close()
    store = open_store(url)
    assert _columns(store) == fresh
    assert store.read(select(writers)) == []
    store.close()


def _columns(store) -> dict[str, set[tuple[str, str]]]:
    with store.reading() as connection:
        found = inspect(connection)
        return {
            table: {(column["name"], str(column["type"])) for column in found.get_columns(table)}
            | {(index["name"], str(index["column_names"])) for index in found.get_indexes(table)}
            for table in metadata.tables
        }
