"""The index is what the table is, however it got there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowtell import events as e
from flowtell.ids import new_id
from flowtell.store.store import Store
from flowtell.testing import PluginHarness
from flowtell_dashboard.plugin import create
from flowtell_dashboard.timeline import index as of_index
from flowtell_dashboard.timeline.columns import GONE
from flowtell_dashboard.timeline.index import Index

NOW = 1_790_000_000_000_000
SECOND = 1_000_000


def contents(index: Index) -> tuple[Any, ...]:
    """All that it says, free of the order in which it learned it."""
    index.load()
    rows = index.columns.rows
    assert rows.started.tolist() == sorted(rows.started.tolist())
    there = rows.at(rows.state != GONE)
    kinds = [index.kinds.all[number] for number in there.kind]
    runs = sorted(zip(there.ids, there.started.tolist(), there.ended.tolist(), there.state.tolist(), kinds, strict=True))
    return runs, {run: (each.due, index.kinds.all[each.kind], each.state) for run, each in index.ahead.items()}


def some_events(rng: random.Random) -> list[e.Event]:
    """Of 60 runs, in any order: an end may come before its start, a start twice, and a run may be taken back."""
    events: list[e.Event] = []
    for _ in range(60):
        at = NOW + rng.randrange(3600) * SECOND
        named: dict[str, Any] = {"run": new_id(), "flow": rng.choice("ab"), "environment": "prod"}
        told: list[e.Event] = [e.FlowRunScheduled(**named, time=at, due=at)]
        if rng.random() < 0.9:
            told += [e.FlowRunStarted(**named, time=at + rng.randrange(5) * SECOND) for _ in range(rng.randrange(1, 3))]
        if rng.random() < 0.7:
            told.append(e.FlowRunFinished(**named, time=at + 60 * SECOND, state=rng.choice(("completed", "failed"))))
        if rng.random() < 0.1:
            told.append(e.FlowRunRemoved(**named, time=at + 61 * SECOND))
        events += told
    rng.shuffle(events)
    return events


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[PluginHarness]:
    with PluginHarness(create, tmp_path, name="dashboard") as each:
        yield each


@pytest.mark.parametrize("seed", range(15))
def test_an_index_that_followed_is_like_one_that_was_loaded(seed: int, harness: PluginHarness) -> None:
    """Starts, ends, corrections and removals in any order, looked at in between."""
    rng = random.Random(seed)
    followed = Index(harness.store.read)
    followed.load()
    events = some_events(rng)
    while events:
        size = rng.randrange(1, 25)
        part, events = events[:size], events[size:]
        harness.append(part)
        followed.note({event.run for event in part})
        if rng.random() < 0.5:
            followed.load()
    assert contents(followed) == contents(Index(harness.store.read))


def test_what_is_noted_while_the_store_is_away_is_read_later(store: Store, put: Any) -> None:
    """A view that fails loses nothing."""
    away = False

    def read(statement: Any) -> Any:
        if away:
            raise OSError("away")
        return store.read(statement)

    index = Index(read)
    index.load()
    run = new_id()
    put({"id": run})
    index.note([run])
    away = True
    with pytest.raises(OSError, match="away"):
        index.load()
    away = False
    assert [known[0] for known in contents(index)[0]] == [run]


def test_only_so_many_runs_are_kept_and_it_is_said_from_when(
    store: Store, put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest; what began earlier and changes now stays out too."""
    monkeypatch.setattr(of_index, "PAGE", 10)
    put(*({"started": NOW + n * SECOND} for n in range(50)))
    index = Index(store.read, most=20)
    index.load()
    assert index.columns.size == 20
    assert index.since == NOW + 30 * SECOND
    early = new_id()
    put({"id": early, "started": NOW})
    index.note([early])
    index.load()
    assert index.columns.size == 20


def test_nothing_is_kept_for_nobody(store: Store) -> None:
    """As long as no page was opened, changed runs are not remembered."""
    index = Index(store.read)
    index.note(new_id() for _ in range(100))
    assert index.catch_up() is None
    assert not index._noted


def test_much_that_changed_is_read_without_a_view(store: Store, put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the first view after a night is no slower than another."""
    monkeypatch.setattr(of_index, "MANY", 5)
    index = Index(store.read)
    index.load()
    ids = [new_id() for _ in range(6)]
    put(*({"id": run} for run in ids))
    index.note(ids)
    index.catch_up()
    assert index.columns.size == 6
