"""How each flow did, against counts made one by one."""

from __future__ import annotations

import random
from typing import Any

from flowtell.ids import new_id
from flowtell.store.store import Store
from flowtell_dashboard.flows.page import instead_of, rows_of, summary_of
from flowtell_dashboard.flows.summary import DAYS, RECENT, summaries
from flowtell_dashboard.timeline.index import Index

NOW = 1_790_000_000_000_000
DAY = 86_400_000_000
BAD = {"failed", "crashed", "timed_out"}


def some_runs(rng: random.Random) -> list[dict[str, Any]]:
    made = []
    for number in range(300):
        started = NOW - rng.randrange(40 * DAY)
        state = rng.choice(("completed", "completed", "cached", "failed", "crashed", "cancelled", "running"))
        ended = None if state == "running" else started + rng.randrange(1, 3600) * 1_000_000
        environment = rng.choice(("prod", "test"))
        named = {"id": new_id(), "flow": f"f{number % 5}", "environment": environment, "state": state}
        made.append({**named, "started": started, "ended": ended})
    return made


def test_each_number_is_what_counting_gives(store: Store, put: Any) -> None:
    """Runs, good and bad ends, medians and the newest states, for each flow and environment."""
    runs = some_runs(random.Random(3))
    put(*runs, {"flow": "old", "started": NOW - (DAYS + 1) * DAY})
    found = {(one.flow, one.environment): one for one in summaries(Index(store.read), NOW)}
    lately = [run for run in runs if run["started"] >= NOW - DAYS * DAY]
    assert set(found) == {(run["flow"], run["environment"]) for run in lately}
    for name, one in found.items():
        mine = sorted((run for run in lately if (run["flow"], run["environment"]) == name), key=lambda run: run["started"])
        good = [run for run in mine if run["state"] in ("completed", "cached")]
        took = sorted((run["ended"] - run["started"]) / 1e6 for run in good)
        assert (one.runs, one.good) == (len(mine), len(good))
        assert one.bad == sum(run["state"] in BAD for run in mine)
        assert one.running == sum(run["state"] == "running" for run in mine)
        assert one.median == (took[len(took) // 2] if took else None)
        assert one.recent == tuple((run["id"], run["state"]) for run in mine[-RECENT:])
        assert one.last == mine[-1]["started"]


def test_a_flow_that_is_due_and_never_ran_is_there(store: Store, put: Any) -> None:
    """With its next due time; it has no success to speak of."""
    put({"flow": "soon", "started": None, "ended": None, "state": "scheduled", "due": NOW + DAY})
    (one,) = summaries(Index(store.read), NOW)
    assert (one.flow, one.runs, one.next_due, one.success) == ("soon", 0, NOW + DAY, None)


def test_the_worst_comes_first_and_nothing_says_so(store: Store, put: Any, words: Any) -> None:
    """An empty store is told as such."""
    assert "No flow has run lately" in words(instead_of(summaries(Index(store.read), NOW)))
    put({"flow": "a"}, {"flow": "b", "state": "failed"}, {"flow": "b"})
    found = summaries(Index(store.read), NOW + 1)
    assert [row["flow"] for row in rows_of(found)] == ["b", "a"]
    assert summary_of(found) == "2 flows, 3 runs in 30 days, 1 ended badly"
