"""The plugin on a real log, its pages as a server mounts them, and what they ask of the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite
from starlette.testclient import TestClient

from flowtell.ids import new_id
from flowtell.store import open_store
from flowtell.store.store import Store
from flowtell.store.tables import runs
from flowtell.testing import PluginHarness, example_history
from flowtell_dashboard.plugin import create


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[PluginHarness]:
    """The plugin on a log without events."""
    harness = PluginHarness(create, tmp_path, name="dashboard")
    yield harness
    harness.close()


@pytest.fixture
def house(empty: PluginHarness) -> PluginHarness:
    """The plugin on a log with six runs that ended in different states; the first began over an hour ago."""
    empty.feed(example_history())
    empty.clock.advance(3630)
    return empty


@pytest.fixture
def client(house: PluginHarness) -> Iterator[TestClient]:
    """A browser without a window, on the mounted pages; their lifespan is driven."""
    with TestClient(house.mounted["/"], base_url="http://127.0.0.1:4727") as each:
        yield each


class Watched:
    """Reads like a store, and keeps each statement with SQLite's plan for it."""

    def __init__(self, house: PluginHarness) -> None:
        self._store = house.store
        self.asked: list[tuple[str, str]] = []

    def __call__(self, statement: Any) -> Any:
        said = str(statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
        with self._store.reading() as connection:
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + said.replace("%%", "%")).all()
        self.asked.append((said, "; ".join(row[3] for row in plan)))
        return self._store.read(statement)


@pytest.fixture
def watched(house: PluginHarness) -> Watched:
    return Watched(house)


@pytest.fixture
def words():
    """All words of a component, as one line: `words(component)`."""

    def of(component: Any) -> str:
        return " ".join(_words(json.loads(json.dumps(component, default=lambda each: each.to_plotly_json()))))

    return of


def _words(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, list):
        for each in node:
            yield from _words(each)
    elif isinstance(node, dict):
        yield from _words(node.get("props", {}).get("children"))


# --- runs of one's own making -------------------------------------------------------------------------------------

MINUTE = 60_000_000
NOW = 1_790_000_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'flowtell.db'}")
    yield opened
    opened.close()


@pytest.fixture
def put(store: Store) -> Callable[..., None]:
    """`put({"started": …}, …)`: rows of runs as they are; what is not said is that of a completed run of a minute."""

    def write(*given: dict[str, Any]) -> None:
        with store.write() as transaction:
            transaction.connection.execute(runs.insert(), [row_of(each) for each in given])

    return write


def row_of(given: dict[str, Any]) -> dict[str, Any]:
    started = given.get("started", NOW)
    row = {
        "id": new_id(),
        "flow": "orders",
        "environment": "prod",
        "source": "",
        "state": "completed",
        "changed": started or NOW,
        "started": started,
        "ended": started + MINUTE if started else None,
        "due": None,
        "deployment": None,
        "tags": None,
        "writer": 1,
        "first_seq": 1,
        "last_seq": 1,
    }
    return row | given
