"""`flowtell replay`: tables made anew are those that the log makes, and what sends is asked about first."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, select

from flowtell.errors import CannotReplay
from flowtell.plugin import BasePlugin
from flowtell.runner.rebuild import Rebuild
from flowtell.server.role import IngestRole
from flowtell.testing import PluginHarness, example_history

COUNTERS = "SELECT kind, data FROM prometheus_totals ORDER BY 1, 2"


@pytest.fixture(autouse=True)
def _plugins(monkeypatch):
    """All of them, as a server has them."""
    monkeypatch.delenv("FLOWTELL_PLUGINS__DISABLE")


@pytest.fixture
def ran(flowtell, history):
    """Runs in the log, and in the tables of all projections."""
    flowtell("runs")


def rows(home, statement):
    with sqlite3.connect(home / "flowtell.db") as connection:
        found = connection.execute(statement).fetchall()
    connection.close()
    return found


def spoil(home, *statements):
    with sqlite3.connect(home / "flowtell.db") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def tables_of(home, plugin):
    names = [name for (name,) in rows(home, f"SELECT name FROM sqlite_master WHERE type='table' AND name LIKE '{plugin}_%'")]
    assert names
    return {name: rows(home, f"SELECT * FROM {name} ORDER BY 1, 2") for name in sorted(names)}


@pytest.mark.parametrize("plugin", ["lineage", "prometheus"])
def test_spoilt_tables_are_made_anew(flowtell, ran, home, plugin):
    """Whatever stood in them; the cursor stands at the log's end, and nothing of the work is left in the home."""
    before = tables_of(home, plugin)
    head = rows(home, "SELECT max(seq) FROM events")[0][0]
    spoil(home, *(f"DELETE FROM {name}" for name in before), f"UPDATE cursors SET seq = 3 WHERE plugin = '{plugin}'")
    answer = flowtell("replay", "--plugin", plugin, "--json")
    assert answer.code == 0, answer.err
    after = tables_of(home, plugin)
    assert {name: len(kept) for name, kept in after.items()} == {name: len(kept) for name, kept in before.items()}
    if plugin == "lineage":
        assert after == before
    assert rows(home, f"SELECT seq FROM cursors WHERE plugin = '{plugin}'") == [(head,)]
    assert answer.json["events"] == head
    assert not list(home.glob("replay-*"))


def test_what_cannot_be_made_anew_says_why(flowtell, ran):
    """Verdicts were passed as time went by."""
    refused = flowtell("replay", "--plugin", "alerts")
    assert refused.code != 0
    assert "cannot replay" in refused.err
    assert "would be told anew" in refused.err


def test_what_is_gone_from_the_log_is_asked_about(flowtell, ran, home):
    """Without an answer nothing changes."""
    spoil(home, "DELETE FROM events WHERE seq < 4")
    before = tables_of(home, "lineage")
    refused = flowtell("replay", "--plugin", "lineage")
    assert refused.code == 2
    assert "The log begins at event 4" in refused.err
    assert "--yes" in refused.err
    assert tables_of(home, "lineage") == before
    assert flowtell("replay", "--plugin", "lineage", "--yes").code == 0


def test_an_effect_says_what_it_would_send_and_asks(flowtell, ran, home, tmp_path, monkeypatch):
    """Then its cursor stands before the place that was named, and a server sends from there."""
    monkeypatch.setenv("FLOWTELL_PLUGIN__JSONLINES__PATH", str(tmp_path / "out.jsonl"))
    spoil(home, "INSERT INTO cursors (plugin, seq, emitted, moved) VALUES ('jsonlines', 9, 0, 1)")
    asked = flowtell("replay", "--plugin", "jsonlines", "--from", "4")
    assert asked.code == 2
    assert "'jsonlines' sends 6 events again, from place 4 to 9 of the log" in asked.err
    assert flowtell("replay", "--plugin", "jsonlines").code == 2  # from where?
    done = flowtell("replay", "--plugin", "jsonlines", "--from", "4", "--yes", "--json")
    assert done.json == {"plugin": "jsonlines", "events": 6, "from": 4, "to": 9}
    assert rows(home, "SELECT seq FROM cursors WHERE plugin = 'jsonlines'") == [(3,)]


def test_who_it_is_not_for(flowtell, ran):
    """A name that nobody has, an effect that is off, and a place for what keeps tables."""
    assert "Did you mean 'lineage'?" in flowtell("replay", "--plugin", "linage").err
    assert "it is not configured" in flowtell("replay", "--plugin", "jsonlines", "--from", "1").err
    assert "--from is for what sends" in flowtell("replay", "--plugin", "lineage", "--from", "1").err


def test_beside_a_server_it_is_refused(flowtell, ran, home):
    """Two would write."""
    role = IngestRole(str(home))
    assert role.take()
    try:
        refused = flowtell("replay", "--plugin", "lineage")
    finally:
        role.release()
    assert refused.code != 0
    assert "server" in refused.err


metadata = MetaData()
seen = Table("seen_types", metadata, Column("type", String, primary_key=True), Column("count", Integer))


class Seen(BasePlugin):
    """Counts by reading back what it has written, and knows the log's clock."""

    tables = metadata

    def handle(self, events):
        known = {row.type: row.count for row in self.context.read(select(seen))}
        for event in events:
            known[event.type] = known.get(event.type, 0) + 1
            assert self.context.clock() >= event.received
        self.context.write(seen.delete())
        self.context.write(seen.insert(), [{"type": kind, "count": count} for kind, count in known.items()])


def test_a_rebuild_in_parts_is_one_in_whole(tmp_path):
    """What comes into the log meanwhile is taken in as well, before the tables are swapped."""
    history = example_history()
    with PluginHarness(lambda _: Seen(), tmp_path, name="seen") as harness:
        harness.feed(history[:10])
        expected = harness.rows()
        rebuild = Rebuild("seen", lambda _: Seen(), harness.store, str(tmp_path / "new.db"))
        rebuild.run()
        harness.feed(history[10:])
        assert harness.rows() != expected
        expected = harness.rows()
        with harness.store.write() as transaction:
            transaction.connection.execute(seen.update().values(count=0))
        rebuild.run()
        rebuild.swap(1)
        rebuild.close()
        assert harness.rows() == expected
        harness.restart()
        assert harness.runner.cursor == len(history)


def test_only_a_projection_has_tables_to_make(tmp_path):
    class Effect(Seen):
        effects = True

    with PluginHarness(lambda _: Seen(), tmp_path, name="seen") as harness:
        for made, problem in (
            (Effect, "it is an effect"),
            (BasePlugin, "it has no tables"),
            (lambda: None, "not configured"),
        ):
            with pytest.raises(CannotReplay, match=problem):
                Rebuild("seen", lambda _, made=made: made(), harness.store, str(tmp_path / "new.db"))
