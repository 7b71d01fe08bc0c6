"""For all histories: totals equal a count made from the log by other means."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from flowtell.events import (
    END_STATES,
    FlowDeclared,
    FlowRunCancelling,
    FlowRunFinished,
    FlowRunStarted,
    TaskRunFinished,
    TaskRunRetrying,
    TaskRunStarted,
)
from flowtell.ids import derived_id
from flowtell.testing import FakeClock, PluginHarness
from flowtell_exporters.prometheus import create

START = FakeClock().now

_runs = st.sampled_from([f"{number:032x}" for number in range(1, 5)])
_common = {"flow": st.sampled_from(["a", "b"]), "environment": st.sampled_from(["", "prod"])}
_ended = {"state": st.sampled_from([*END_STATES, "melted"]), "duration": st.sampled_from([None, 0.25, 7.0, 4096.0])}
_task = {"task": st.sampled_from(["x", "y"]), "task_run": st.sampled_from(["7" * 32, "8" * 32, "9" * 32])}


def _events(kind, **fields):
    return st.builds(
        kind, id=st.uuids(version=4).map(lambda each: each.hex), time=st.integers(START, START + 10**9), **fields
    )


_any_event = st.one_of(
    _events(FlowDeclared, **_common),
    _events(FlowRunStarted, run=_runs, attempt=st.integers(1, 2), **_common),
    _events(FlowRunCancelling, run=_runs, **_common),
    _events(FlowRunFinished, run=_runs, **_common, **_ended),
    _events(TaskRunStarted, run=_runs, **_common, **_task),
    _events(TaskRunRetrying, run=_runs, **_common, **_task),
    _events(TaskRunFinished, run=_runs, **_common, **_task, **_ended),
)
# A piece of history: events, a batch size, who wrote them, and what befalls the server afterwards.
_piece = st.tuples(
    st.lists(_any_event, max_size=12),
    st.integers(1, 5),
    st.sampled_from(["w1", "w2"]),
    st.sampled_from(["nothing", "restart", "lost commit", "same again"]),
)


@given(st.lists(_piece, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_totals_equal_an_independent_count(pieces):
    """Over duplicates, contradictions, any order and batches, restarts, commits that never were; no counter falls."""
    with tempfile.TemporaryDirectory() as folder, PluginHarness(create, folder, name="prometheus") as harness:
        before: Counter = Counter()
        for events, batch, writer, fate in pieces:
            harness.append(events, writer)
            if fate == "lost commit":
                harness.runner.lose_next_commit()
                harness.restart()
            harness.deliver(batch)
            if fate == "restart":
                harness.restart()
            if fate == "same again":
                harness.feed(events, writer="w3")
            counted = counters(harness)
            assert all(counted[key] >= number for key, number in before.items())
            before = counted
        assert +before == expected(harness)
        assert in_progress(harness) == open_in_the_run_table(harness)


def samples(harness):
    for family in text_string_to_metric_families(harness.mounted["/metrics"].text()):
        for sample in family.samples:
            yield sample.name, sample


def counters(harness) -> Counter:
    wanted = (
        "flowtell_flow_runs_total",
        "flowtell_task_runs_total",
        "flowtell_task_retries_total",
        "flowtell_late_corrections_total",
    )
    durations = (
        "flowtell_flow_run_duration_seconds_count",
        "flowtell_flow_run_duration_seconds_sum",
        "flowtell_task_run_duration_seconds_sum",
    )
    return Counter(
        {
            (
                name,
                sample.labels.get("flow"),
                sample.labels.get("task"),
                sample.labels.get("environment"),
                sample.labels.get("state"),
            ): sample.value
            for name, sample in samples(harness)
            if name in wanted or name in durations
        }
    )


def expected(harness) -> Counter:
    """From the log's lines as JSON: the first end of each run counts, what ends after it is a correction."""
    found: Counter = Counter()
    ended = set()
    for _, line in harness.store.log.read_lines(0, 100_000):
        event = json.loads(line)
        kind, _, what = event["type"].partition(".")
        where = (event.get("flow"), event.get("task"), event.get("environment", ""))
        if event["type"] == "task_run.retrying":
            found["flowtell_task_retries_total", *where, None] += 1
        if what != "finished":
            continue
        run = (event["run"], event.get("task_run"))
        if run in ended:
            found["flowtell_late_corrections_total", None, None, None, None] += 1
            continue
        ended.add(run)
        state = event.get("state", "completed")
        found[f"flowtell_{kind}s_total", *where, state if state in END_STATES else "other"] += 1
        if event.get("duration") is not None:
            found[f"flowtell_{kind}_duration_seconds_sum", *where, None] += event["duration"]
            if kind == "flow_run":
                found[f"flowtell_{kind}_duration_seconds_count", *where, None] += 1
    return +found


def in_progress(harness) -> int:
    return sum(sample.value for name, sample in samples(harness) if name == "flowtell_flow_runs_in_progress")


def open_in_the_run_table(harness) -> int:
    with harness.store.reading() as connection:
        return connection.exec_driver_sql(
            "SELECT count(*) FROM runs WHERE ended IS NULL AND started IS NOT NULL"
        ).scalar_one()


def test_any_order_of_a_history_without_contradictions_comes_to_the_same(tmp_path):
    """Two events of a run and two of its task in all 24 orders."""
    run, task = derived_id(START, "r"), derived_id(START, "t")
    where = {"flow": "a", "run": run}
    history = [
        FlowRunStarted(id=derived_id(START, "1"), time=START, **where),
        TaskRunRetrying(id=derived_id(START, "3"), time=START + 2, task="x", task_run=task, **where),
        TaskRunFinished(id=derived_id(START, "4"), time=START + 3, task="x", task_run=task, duration=1.0, **where),
        FlowRunFinished(id=derived_id(START, "5"), time=START + 4, duration=2.0, **where),
    ]
    pages = set()
    for number, order in enumerate(itertools.permutations(history)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with PluginHarness(create, folder, name="prometheus") as harness:
            harness.feed(order)
            pages.add("".join(sorted(harness.mounted["/metrics"].text().splitlines(keepends=True))))
    assert len(pages) == 1
