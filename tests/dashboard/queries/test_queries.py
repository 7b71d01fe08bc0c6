"""Every query that pages make, on both stores: bounded, and by an index wherever a table grows with the runs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as hooks

from flowtell.store import open_store
from flowtell.store.store import Store
from flowtell.store.tables import cursors, runs, task_runs
from flowtell_dashboard import app, health
from flowtell_dashboard.examples import ADDRESSES, every
from flowtell_dashboard.timeline.index import Index
from flowtell_lineage import tables as graph
from flowtell_lineage.identity import number

GROWING = ("runs", "task_runs", "events", "lineage_outcomes", "lineage_sightings")
"""Tables that are as long as the history."""

RUNS = 20_000
ASSETS = 1_000
NOW = time.time_ns() // 1000
BOUNDED = re.compile(r"\bLIMIT\b|\bid = |\bid IN \(|started >=? |max\(events\.seq\)", re.IGNORECASE)
WALKED = re.compile(
    r"SCAN (?:task_runs|runs|lineage_outcomes|lineage_sightings)\b(?! USING (?:COVERING )?INDEX)"
    r"|Seq Scan on (?:task_runs|runs|lineage_outcomes|lineage_sightings)\b"
)
"""In either store's words. `events` is walked in the order of its key, as far as the query's limit."""

BY_KEY = re.compile(r"lineage_outcomes\.id IN ")
"""Of so small a table PostgreSQL reads the whole rather than hundreds of rows by their key."""

COUNTED = re.compile(r"^SELECT count\(\*\) AS \w+ FROM \(SELECT 1 .{0,20}FROM \w+ LIMIT ")
"""How many there are, up to a number: whole rows from the table's begin, none passed over."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A year of runs, with statistics."""
    on_disk = f"sqlite:///{tmp_path / 'flowtell.db'}"
    url = on_disk if request.param == "sqlite" else request.getfixturevalue("new_database")()
    store = open_store(url)
    with store.write() as transaction:
        rows = [row(number) for number in range(RUNS)]
        transaction.connection.execute(runs.insert(), rows)
        transaction.connection.execute(task_runs.insert(), [task_row(each) for each in rows])
    store.create_tables(graph.metadata)
    with store.write() as transaction:
        put_graph(transaction.connection)
    with store.write() as transaction:
        transaction.connection.exec_driver_sql("ANALYZE")
    yield store
    store.close()


def row(number: int) -> dict[str, Any]:
    started = NOW - number * 365 * 86_400_000_000 // RUNS
    state = "running" if number < 20 else "failed" if number % 50 == 0 else "completed"
    return {
        "id": f"{started // 1000:012x}7{number:019x}",
        "flow": f"flow-{number % 350}",
        "environment": "prod" if number % 3 else "staging",
        "source": "",
        "state": state,
        "changed": started,
        "started": started,
        "ended": None if state == "running" else started + 60_000_000,
        "writer": 1,
        "first_seq": number + 1,
        "last_seq": number + 1,
    }


def task_row(run: dict[str, Any]) -> dict[str, Any]:
    taken = {name: run[name] for name in ("flow", "state", "changed", "started", "ended", "writer")}
    return {**taken, "run": run["id"], "id": run["id"], "task": "load"}


def put_graph(connection: Any) -> None:
    """Each of the runs has made one of a thousand assets, of three of those before it."""
    nodes = [asset_row(each) for each in range(ASSETS)]
    pairs = [(each - far, each) for each in range(ASSETS) for far in (1, 7, 50) if each >= far]
    seen = {"evidence": "object", "first_seen": 1, "last_seen": NOW, "last_run": "", "seen": 1}
    connection.execute(graph.assets.insert(), nodes)
    connection.execute(
        graph.edges.insert(),
        [{**seen, "upstream": number(f"x://{up}"), "downstream": number(f"x://{down}")} for up, down in pairs],
    )
    connection.execute(graph.outcomes.insert(), [outcome_row(each) for each in range(RUNS)])
    connection.execute(cursors.insert(), {"plugin": "lineage", "seq": RUNS, "moved": NOW})


def asset_row(each: int) -> dict[str, Any]:
    texts = dict.fromkeys(("name", "kind", "description"), "") | {"owners": '["ann"]', "tags": "[]", "metadata": "{}"}
    made = {"outcome": str(each), "changed": NOW, "state": "materialized", "materialization": str(each)}
    times = {"first_seen": 1, "last_seen": NOW, "removed": 0, "declared": 0, "materialized": NOW + each % 3}
    return {"id": number(f"x://{each}"), "asset": f"x://{each}", "materializations": 20, **texts, **made, **times}


def outcome_row(each: int) -> dict[str, Any]:
    texts = dict.fromkeys(("task_run", "flow", "task", "environment", "version", "partition", "by"), "")
    lists = dict.fromkeys(("unfollowed", "columns", "upstream"), "[]") | {"metadata": "{}"}
    told = {"id": str(each), "asset": f"x://{each % ASSETS}", "time": NOW - each, "state": "materialized", "run": str(each)}
    return {**told, **texts, **lists}


class Plans:
    """Reads like the store, and keeps every statement with the store's own plan for it, as it was sent."""

    def __init__(self, store: Store) -> None:
        self._store, self.asked, self.seen = store, [], set()

    def __call__(self, statement: Any) -> Any:
        with self._store.reading() as connection:
            sent: list[tuple[str, Any]] = []
            keep = lambda _c, _u, said, given, *_: sent.append((said, given))  # noqa: E731
            hooks.listen(connection, "before_cursor_execute", keep)
            try:
                found = connection.execute(statement).all()
            finally:
                hooks.remove(connection, "before_cursor_execute", keep)
            for said, given in sent:
                self._explain(connection, said, given)
        return found

    def _explain(self, connection: Any, said: str, given: Any) -> None:
        if said in self.seen:
            return
        self.seen.add(said)
        how = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        plan = connection.exec_driver_sql(how + said, given).all()
        self.asked.append((" ".join(said.split()), "; ".join(str(each[-1]) for each in plan)))


def newest(store: Store) -> str:
    with store.reading() as connection:
        return str(connection.execute(runs.select().order_by(runs.c.started.desc()).limit(1).offset(100)).one().id)


def test_no_query_is_without_a_bound_or_an_index(history: Store) -> None:
    """All of them: parts of pages, pictures, what the timeline keeps in memory."""
    plans = Plans(history)
    for _, ask in every(plans, lambda: NOW, newest(history), "flow-7", "x://7"):
        ask()
    assert len(plans.asked) > 20
    about = [(said, plan) for said, plan in plans.asked if re.search(rf"FROM (?:{'|'.join(GROWING)})\b", said)]
    assert len(about) > 10
    assert [one for one in about if not BOUNDED.search(one[0])] == []
    walked = [one for one in about if WALKED.search(one[1]) and not BY_KEY.search(one[0])]
    assert [one for one in walked if not COUNTED.search(one[0])] == []
    plans(runs.select().where(runs.c.name == "x").limit(5))
    assert WALKED.search(plans.asked[-1][1]), "what has no index is not seen in this store's plan"


def test_a_part_of_a_page_without_an_example_is_noticed(read_nothing: Callable[..., Any]) -> None:
    """Whoever adds a filling adds what its page is asked, or the queries above would not be all."""
    around = health.Asked(read_nothing, tuple, tuple, lambda: NOW)
    first = [filling.into[0][0] for filling in app.fillings(read_nothing, Index(read_nothing), lambda: NOW, around)]
    assert sorted(first) == sorted(ADDRESSES)


@pytest.fixture
def read_nothing() -> Callable[..., Any]:
    return lambda _statement: []
