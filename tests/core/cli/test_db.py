"""`flowtell db`: upgrades, backups, restores, exports and imports, as a user has them."""

from __future__ import annotations

import gzip
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from flowtell import bus
from flowtell.server.role import IngestRole
from flowtell.store import open_store
from flowtell.store.tables import SCHEMA_VERSION

SCRIPT = Path(sys.executable).with_name("flowtell")
FIRST = Path(__file__).parents[1] / "store" / "first_release.sql"


@pytest.fixture
def first(home):
    with sqlite3.connect(home / "flowtell.db") as connection:
        connection.executescript(FIRST.read_text())
    connection.close()


def runs(flowtell):
    return sorted(row[0] for row in flowtell("runs").rows)


# --- upgrade ------------------------------------------------------------------------------------------------------


def test_an_upgrade_can_be_looked_at_first(flowtell, first):
    """The dry run changes nothing; once done there is nothing to do."""
    tried = flowtell("db", "upgrade", "--dry-run")
    assert [row[0] for row in tried.rows] == [str(version) for version in range(2, SCHEMA_VERSION + 1)]
    assert flowtell("db", "upgrade", "--dry-run").rows == tried.rows
    assert flowtell("db", "upgrade").rows == tried.rows
    again = flowtell("db", "upgrade", "--json")
    assert again.json == {"dry_run": False, "steps": []}
    assert len(runs(flowtell)) == 3


def test_a_reading_command_says_that_it_upgraded(shell, first):
    outcome = shell("runs")
    assert (outcome.code, len(outcome.rows)) == (0, 3)
    assert f"was upgraded from schema 1 to {SCHEMA_VERSION}" in outcome.err


def test_a_fresh_home_needs_no_upgrade(flowtell, history):
    flowtell("runs")
    assert "up to date" in flowtell("db", "upgrade").err


@pytest.mark.postgres
def test_postgresql_is_upgraded_by_the_command_alone(flowtell, new_database, monkeypatch, history):
    url = new_database()
    monkeypatch.setenv("FLOWTELL_STORE", url)
    flowtell("runs")
    store = open_store(url)
    with store.write() as transaction:
        transaction.connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    store.close()
    told = flowtell("runs")
    assert (told.code, told.err.split(":")[0]) == (1, "Error FT1406")
    assert flowtell("db", "upgrade").rows[0][0] == "2"
    assert len(runs(flowtell)) == 2


# --- who else writes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("prune",), ("upgrade",), ("import", "{export}"), ("restore", "{backup}")])
def test_what_changes_the_store_waits_for_no_server(words, flowtell, history, home, tmp_path):
    """The home's server must be stopped first; nothing is changed."""
    files = {"export": str(tmp_path / "e.gz"), "backup": str(tmp_path / "b.db")}
    assert flowtell("db", "export", files["export"]).code == 0
    assert flowtell("db", "backup", files["backup"]).code == 0
    role = IngestRole(str(home))
    assert role.take()
    try:
        outcome = flowtell("db", *(word.format(**files) for word in words))
    finally:
        role.release()
    assert (outcome.code, outcome.err.split(":")[0]) == (1, "Error FT1402")


@pytest.mark.postgres
def test_a_server_elsewhere_that_leads_is_named(flowtell, new_database, monkeypatch, history):
    """It holds the database's lease, though this home has no server; when it is gone the command goes through."""
    url = new_database()
    monkeypatch.setenv("FLOWTELL_STORE", url)
    flowtell("runs")
    store = open_store(url)
    lease = store.database.lease(address="http://there:4727", seconds=30)
    monkeypatch.setenv("FLOWTELL_SERVER__LEASE_SECONDS", "0.5")
    assert lease.take()
    try:
        outcome = flowtell("db", "prune")
        assert "Error FT1408: Another server leads on this store (http://there:4727)" in outcome.err
    finally:
        lease.close()
        store.close()
    assert flowtell("db", "prune").code == 0


# --- export and import --------------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_there_and_back_again(flowtell, history, tmp_path, new_database, monkeypatch):
    """SQLite to PostgreSQL by a file, back by the URL: the same runs, and the same export."""
    before, first_file, last_file = runs(flowtell), str(tmp_path / "a.gz"), str(tmp_path / "b.gz")
    assert flowtell("db", "export", first_file).code == 0
    url = new_database()
    monkeypatch.setenv("FLOWTELL_STORE", url)
    imported = flowtell("db", "import", first_file, "--json")
    assert imported.json["tables"]["runs"]["rows"] == 2
    assert "every table compared" in imported.err
    assert runs(flowtell) == before
    monkeypatch.setenv("FLOWTELL_STORE", f"sqlite:///{tmp_path}/back.db")
    assert flowtell("db", "import", url).code == 0
    assert runs(flowtell) == before
    assert flowtell("db", "export", last_file).code == 0
    lines = [gzip.decompress(Path(file).read_bytes()).splitlines() for file in (first_file, last_file)]
    ends = [{json.loads(line)["end"]: line for line in found if line.startswith(b'{"end"')} for found in lines]
    assert {name: ends[0][name] for name in ("events", "runs", "task_runs")} == {
        name: ends[1][name] for name in ("events", "runs", "task_runs")
    }


def test_an_export_goes_through_a_pipe(flowtell, history, tmp_path, monkeypatch):
    """Packed bytes on stdout, words on stderr; stdin takes it in."""
    before = runs(flowtell)
    out = subprocess.Popen([SCRIPT, "db", "export", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    monkeypatch.setenv("FLOWTELL_STORE", f"sqlite:///{tmp_path}/new.db")
    taken = subprocess.run([SCRIPT, "db", "import", "-"], stdin=out.stdout, capture_output=True, text=True, check=False)
    out.stdout.close()
    assert out.stderr.read().startswith(b"Exported ")
    out.stderr.close()
    assert (out.wait(), taken.returncode) == (0, 0), taken.stderr
    assert runs(flowtell) == before


def test_an_export_overwrites_nothing(flowtell, history, tmp_path):
    (tmp_path / "mine").write_text("mine")
    for command in ("export", "backup"):
        outcome = flowtell("db", command, str(tmp_path / "mine"))
        assert (outcome.code, outcome.err.split(":")[0]) == (1, "Error FT1414")
    assert (tmp_path / "mine").read_text() == "mine"


def test_an_import_into_a_store_with_rows_is_refused(flowtell, history, tmp_path):
    file = str(tmp_path / "e.gz")
    assert flowtell("db", "export", file).code == 0
    outcome = flowtell("db", "import", file)
    assert outcome.err.startswith("Error FT1409: ")
    assert "FLOWTELL_STORE" in outcome.err


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("{tmp}/none.gz", "Error FT1600"),
        ("sqlite:///{tmp}/none.db", "Error FT1415"),
        ("postgrse://x/y", "Error FT1103"),
        ("{tmp}/text", "Error FT1410"),
    ],
)
def test_a_source_with_a_typing_error_is_told_in_one_line(source, code, flowtell, tmp_path):
    (tmp_path / "text").write_text("no export")
    outcome = flowtell("db", "import", source.format(tmp=tmp_path))
    assert outcome.err.startswith(code)
    assert outcome.err.count("\n") == 1


def test_a_terminal_shows_how_far_it_is(terminal, flowtell, history, tmp_path, monkeypatch):
    """A bar while it lasts, the tables at the end; nothing of the bar in a pipe."""
    shown = terminal("db", "export", str(tmp_path / "e.gz"))
    assert (shown.code, "Exporting" in shown.plain) == (0, True)
    assert "checksum" in shown.plain
    monkeypatch.setenv("FLOWTELL_STORE", f"sqlite:///{tmp_path}/new.db")
    assert "Importing" in terminal("db", "import", str(tmp_path / "e.gz")).plain
    assert "Backing up" in terminal("db", "backup", str(tmp_path / "b.db")).plain
    assert "Exporting" not in flowtell("db", "export", str(tmp_path / "f.gz")).err


# --- backup and restore -------------------------------------------------------------------------------------------


def test_a_backup_is_a_store_and_comes_back(flowtell, history, home, tmp_path, monkeypatch):
    """On another home too; what has rows is not overwritten."""
    before, file = runs(flowtell), str(tmp_path / "b.db")
    made = flowtell("db", "backup", file, "--json").json
    assert made["bytes"] == Path(file).stat().st_size
    assert flowtell("db", "restore", file).err.startswith("Error FT1409")
    monkeypatch.setenv("FLOWTELL_HOME", str(tmp_path / "other"))
    assert flowtell("db", "restore", file).code == 0
    assert runs(flowtell) == before
    bus.renew()


@pytest.mark.parametrize("damage", ["nothing", "text", "half", "zeros"])
def test_what_is_no_backup_is_refused(damage, flowtell, history, tmp_path, monkeypatch):
    flowtell("runs")
    file = tmp_path / "b.db"
    assert flowtell("db", "backup", str(file)).code == 0
    good = file.read_bytes()
    bad = {
        "nothing": b"",
        "text": b"x" * 100,
        "half": good[: len(good) // 2],
        "zeros": good[:4096] + bytes(len(good) - 4096),
    }
    file.write_bytes(bad[damage])
    monkeypatch.setenv("FLOWTELL_STORE", f"sqlite:///{tmp_path}/new.db")
    outcome = flowtell("db", "restore", str(file))
    assert outcome.err.startswith("Error FT1412"), outcome
    assert flowtell("runs", "--json").json == []


@pytest.mark.postgres
def test_postgresql_is_backed_up_by_its_own_program(flowtell, history, tmp_path, new_database, monkeypatch):
    """The dump comes back into an empty database; without the program it is said what is missing."""
    url, other, file = new_database(), new_database(), str(tmp_path / "b.dump")
    monkeypatch.setenv("FLOWTELL_STORE", url)
    before = runs(flowtell)
    made = flowtell("db", "backup", file)
    if made.err.startswith("Error FT1413"):
        pytest.skip("no pg_dump")
    assert made.code == 0, made.err
    assert flowtell("db", "restore", file).err.startswith("Error FT1409")
    monkeypatch.setenv("FLOWTELL_STORE", other)
    assert flowtell("db", "restore", file).code == 0
    assert runs(flowtell) == before
    monkeypatch.setenv("FLOWTELL_STORE", f"sqlite:///{tmp_path}/new.db")
    assert "'flowtell db import' can" in flowtell("db", "restore", file).err
    monkeypatch.setenv("FLOWTELL_STORE", url)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert flowtell("db", "backup", str(tmp_path / "c.dump")).err.startswith("Error FT1413")
    assert not list(tmp_path.glob("c.dump*"))


@pytest.mark.postgres
def test_a_password_never_stands_in_a_command_line(tmp_path, monkeypatch):
    """It goes to pg_dump by the environment."""
    from sqlalchemy import make_url

    from flowtell.store.postgres_backup import dump

    program = tmp_path / "pg_dump"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\necho "$PGPASSWORD" > {tmp_path}/password\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    url = make_url("postgresql+psycopg://me:hunter2@db.example:5433/flows?sslmode=require")
    dump(url, str(tmp_path / "x"), "x", lambda done, total: None)
    assert (tmp_path / "password").read_text() == "hunter2\n"
    words = (tmp_path / "words").read_text()
    assert "hunter2" not in words
    assert "postgresql://me@db.example:5433/flows?sslmode=require" in words


# --- stats --------------------------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_stats_tell_what_is_postgresqls_own(flowtell, history, new_database, monkeypatch):
    """The store by its URL without a password, who leads, days, sessions."""
    monkeypatch.setenv("FLOWTELL_STORE", new_database())
    facts = dict(flowtell("db", "stats").rows)
    assert facts["store"].startswith("postgresql://")
    assert facts["leader"] == "none"
    assert int(facts["tables of days"]) == 6
    assert facts["oldest day"] < facts["newest day"]
    assert int(facts["connections"]) >= 1
    assert flowtell("db", "stats", "--json").json["database"]["connections at most"] > 0
