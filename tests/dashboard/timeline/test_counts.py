"""Every count of the picture is what the table has, whatever the window, the filters and the width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import and_, func, or_, select

from flowtell.ids import new_id
from flowtell.store import open_store
from flowtell.store.store import Store
from flowtell.store.tables import runs
from flowtell_dashboard.timeline.blocks import FIRST_BAD, STATES
from flowtell_dashboard.timeline.index import Index
from flowtell_dashboard.timeline.question import Question
from flowtell_dashboard.timeline.view import View, view
from flowtell_dashboard.timeline.wire import decode, encode

BEGIN, SPAN = 1_790_000_000_000_000, 86_400_000_000
NOW = BEGIN + SPAN
ENDS = ("completed", "failed", "crashed", "timed_out", "cancelled", "skipped", "cached")
_names = st.sampled_from(("a", "b", "c"))

_runs = st.builds(
    dict,
    started=st.integers(BEGIN, NOW),
    length=st.one_of(st.integers(0, 5_000_000), st.integers(0, SPAN), st.none()),
    state=st.sampled_from(ENDS),
    flow=_names,
    environment=_names,
    deployment=st.sampled_from(("", "d", "e")),
    tags=st.sampled_from((None, '["x"]', '["x","y"]')),
)
_questions = st.builds(
    Question,
    begin=st.integers(BEGIN, NOW - 2_000),
    end=st.just(NOW),
    width=st.integers(50, 1500),
    by=st.sampled_from(("flow", "deployment", "source", "all")),
    order=st.sampled_from(("trouble", "name", "runs")),
    state=st.sampled_from(((), ("failed",), ("completed", "running"), ("crashed", "failed", "timed_out"))),
    flow=st.sampled_from(("", "a")),
    environment=st.sampled_from(("", "b")),
    deployment=st.sampled_from(("", "d")),
    tag=st.sampled_from(("", "y")),
    fold=st.booleans(),
)


def row(run: dict[str, Any]) -> dict[str, Any]:
    length = run.pop("length")
    ended = None if length is None else run["started"] + length
    state = "running" if ended is None else run["state"]
    fixed = {"id": new_id(), "source": "", "changed": 1, "writer": 1, "first_seq": 1, "last_seq": 1}
    return {**run, **fixed, "ended": ended, "state": state}


def matching(question: Question) -> Any:
    """The same question as a condition of SQL, written without a look at how the picture is made."""
    begin, end = question.begin, question.end
    on = and_(runs.c.started < end, or_(runs.c.started >= begin, runs.c.ended.is_(None), runs.c.ended >= begin))
    named = [name for name in ("flow", "environment", "deployment") if getattr(question, name)]
    conditions = [on, *(getattr(runs.c, name) == getattr(question, name) for name in named)]
    if question.state:
        conditions.append(runs.c.state.in_(question.state))
    if question.tag:
        conditions.append(runs.c.tags.contains(f'"{question.tag}"'))
    return and_(*conditions)


def counted(store: Store, condition: Any) -> int:
    return int(store.read(select(func.count()).select_from(runs).where(condition))[0][0])


def drawn(seen: View) -> int:
    return len(seen.ids) + int(seen.columns.begun.sum())


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("timeline")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=st.lists(_runs, max_size=80), asked=_questions)
def test_what_is_drawn_adds_up_to_what_the_table_counts(stores: Path, made: list[dict[str, Any]], asked: Question) -> None:
    """Bars and columns together, the summary, and the lanes' own numbers; the failures among them too."""
    path = stores / f"{new_id()}.db"
    store = open_store(f"sqlite:///{path}")
    try:
        if made:
            with store.write() as transaction:
                transaction.connection.execute(runs.insert(), [row(dict(run)) for run in made])
        seen = view(Index(store.read), asked, NOW)
        wanted = matching(asked)
        bad = and_(wanted, runs.c.state.in_(STATES[FIRST_BAD:]))
        assert drawn(seen) == seen.shown == sum(lane.runs for lane in seen.lanes) == counted(store, wanted)
        assert seen.failed == sum(lane.failed for lane in seen.lanes) == counted(store, bad)
        assert seen.of == counted(store, matching(Question(begin=asked.begin, end=asked.end)))
        barred = int((seen.states >= FIRST_BAD).sum())
        assert barred + int(seen.columns.failed.sum()) == seen.failed
    finally:
        store.close()
        path.unlink()


def test_a_run_of_two_tags_is_in_both_lanes_and_counts_once(store: Store, put: Any) -> None:
    """The summary says how many runs there are, a lane how many it shows."""
    put({"tags": '["x","y"]'}, {"tags": '["x"]'}, {"tags": None})
    seen = view(Index(store.read), Question(begin=BEGIN - SPAN, end=NOW, by="tag"), NOW)
    assert (seen.shown, seen.of) == (3, 3)
    assert {lane.lane.name: lane.runs for lane in seen.lanes} == {"x": 2, "y": 1, "no tag": 1}


def test_a_margin_draws_more_and_counts_the_same(store: Store, put: Any) -> None:
    """What is drawn beside the window, so that it can be moved, is not said to be in it."""
    put({"started": BEGIN}, {"started": BEGIN + SPAN // 2})
    asked = Question(begin=BEGIN + SPAN // 4, end=BEGIN + SPAN * 3 // 4, margin=1.0)
    seen = view(Index(store.read), asked, NOW)
    assert (drawn(seen), seen.shown, seen.of) == (2, 1, 1)


def test_the_bytes_say_what_the_view_says(store: Store, put: Any) -> None:
    """Every column arrives with its values, from an offset that a browser's typed array takes."""
    put(*({"started": BEGIN + n * 400_000, "state": ENDS[n % 7]} for n in range(500)))
    seen = view(Index(store.read), Question(begin=BEGIN, end=NOW, by="all"), NOW)
    head, arrays = decode(encode(seen, 7, NOW))
    assert (head["seq"], head["shown"], head["runs"]) == (7, 500, seen.ids)
    assert np.array_equal(arrays["columnBegun"], seen.columns.begun)
    assert np.array_equal(arrays["barLeft"], seen.bars.left)
    assert len(seen.columns.begun) > 0


@pytest.mark.parametrize("width", [50, 333, 1200])
def test_a_failure_among_thousands_has_its_column(store: Store, put: Any, width: int) -> None:
    """However many runs ended well beside it: where it ended, and of the failure's own state."""
    put(*({"started": BEGIN + n * 20_000_000, "ended": BEGIN + n * 20_000_000 + 60_000_000} for n in range(4000)))
    put({"started": BEGIN, "ended": BEGIN + SPAN // 2, "state": "crashed"})
    columns = view(Index(store.read), Question(begin=BEGIN, end=NOW, width=width), NOW).columns
    failed = np.flatnonzero(columns.failed)
    assert len(failed) == 1
    assert abs(int(columns.place[failed[0]]) * 2 - width / 2) <= 2
    assert STATES[columns.bad_state[failed[0]]] == "crashed"
