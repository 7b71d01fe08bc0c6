"""The store as an outsider reads it: plain SQL by a driver of its own, sharing nothing with the code under test."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

import psycopg

Row = tuple[Any, ...]


class Ledger(Protocol):
    def rows(self, statement: str, *values: object) -> list[Row]:
        """Rows of a statement in SQLite's dialect; none where there are no tables yet."""
        ...

    def close(self) -> None: ...


class SqliteLedger:
    def __init__(self, file: Path) -> None:
        self._file = file

    def rows(self, statement: str, *values: object) -> list[Row]:
        if not self._file.exists():
            return []
        connection = sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            connection.close()

    def close(self) -> None:
        pass


class PostgresLedger:
    """Asks again, for a few seconds, where the cluster is just being restarted."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: psycopg.Connection[Row] | None = None

    def rows(self, statement: str, *values: object) -> list[Row]:
        text = statement.replace("json_extract(data, '$.state')", "convert_from(data, 'UTF8')::jsonb ->> 'state'")
        text = text.replace("?", "%s")
        for _ in range(2):
            try:
                return self._connected().execute(text, values or None).fetchall()  # type: ignore[arg-type]
            except psycopg.errors.UndefinedTable:
                return []
            except psycopg.OperationalError:
                self.close()
        return self._connected().execute(text, values or None).fetchall()  # type: ignore[arg-type]

    def _connected(self) -> psycopg.Connection[Row]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self.url, autocommit=True, application_name="outsider")
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


# --- what must hold, beside what the house checks -----------------------------------------------------------------


def check_order(ledger: Ledger) -> None:
    """What one writer wrote lies in the log in the order written."""
    backwards = ledger.rows(
        "SELECT writer, seq FROM (SELECT writer, seq, n, lag(n) OVER (PARTITION BY writer ORDER BY seq) AS before "
        "FROM events) o WHERE before >= n"
    )
    assert backwards == []


_LINKS = (
    "SELECT made.asset, source.asset, evidence, seen FROM lineage_links "
    "JOIN lineage_nodes made ON made.id = downstream JOIN lineage_nodes source ON source.id = upstream"
)


def check_lineage(ledger: Ledger) -> int:
    """Edges and outcomes are what a count over the events gives, each counted once. How many edges."""
    edges: Counter[tuple[str, str, str]] = Counter()
    outcomes = 0
    for kind, data in ledger.rows("SELECT type, data FROM events WHERE type LIKE 'asset.%'"):
        event = json.loads(bytes(data))
        outcomes += kind in {"asset.materialized", "asset.cached", "asset.failed"}
        if kind in {"asset.declared", "asset.materialized", "asset.cached", "asset.observed"}:
            for up in event.get("upstream", ()):
                edges[event["asset"], up["asset"], up.get("evidence", "")] += 1
    found = {row[:3]: row[3] for row in ledger.rows(_LINKS)}
    assert found == dict(edges)
    assert ledger.rows("SELECT count(*) FROM lineage_outcomes")[0][0] == outcomes
    return len(found)


def check_notifications(ledger: Ledger, deliveries: Counter[str]) -> Counter[str]:
    """Each incident opened once and told once, by its key. How many were told, dropped, and sent again under their key."""
    incidents = ledger.rows("SELECT data FROM events WHERE type = 'incident.opened' ORDER BY seq")
    opened = [json.loads(bytes(data))["incident"] for (data,) in incidents]
    assert len(opened) == len(set(opened)), "an incident was opened twice"
    sent = [json.loads(bytes(data)) for (data,) in ledger.rows("SELECT data FROM events WHERE type = 'notification.sent'")]
    keys = [event["key"] for event in sent]
    assert len(keys) == len(set(keys)), "a message was noted as sent twice"
    assert set(keys) == set(deliveries), "the receiver has other messages than the log"
    letters = ledger.rows("SELECT topic, state, told FROM notifications_letters WHERE about = 'incident'")
    assert {row[0] for row in letters} == set(opened)
    states = {row[1] for row in letters}
    assert states <= {"told", "over", "joined"}, states
    unsaid = sum(state == "over" and not told for _, state, told in letters)
    return Counter(told=len(keys), dropped=unsaid, again=deliveries.total() - len(deliveries))
