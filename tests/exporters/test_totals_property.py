"""For all histories: totals equal a count made from the log by other means."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from flowtell.events import (
    END_STATES,
    AssetCached,
    AssetFailed,
    AssetMaterialized,
    FlowDeclared,
    FlowRunCancelling,
    FlowRunFinished,
    FlowRunStarted,
    IncidentOpened,
    NotificationFailed,
    NotificationSent,
    RuleData,
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
_assets = st.sampled_from(["s3://a", "s3://b"])
_task = {"task": st.sampled_from(["x", "y"]), "task_run": st.sampled_from(["7" * 32, "8" * 32, "9" * 32])}


def _events(kind, **fields):
    return st.builds(
        kind, id=st.uuids(version=4).map(lambda each: each.hex), time=st.integers(START, START + 10**9), **fields
    )


_any_event = st.one_of(
    _events(FlowDeclared, **_common),
    _events(FlowRunStarted, run=_runs, attempt=st.integers(1, 2), due=st.sampled_from([None, START]), **_common),
    _events(FlowRunCancelling, run=_runs, **_common),
    _events(FlowRunFinished, run=_runs, **_common, **_ended),
    _events(TaskRunStarted, run=_runs, **_common, **_task),
    _events(TaskRunRetrying, run=_runs, **_common, **_task),
    _events(TaskRunFinished, run=_runs, **_common, **_task, **_ended),
    _events(AssetMaterialized, run=_runs, asset=_assets, role=st.sampled_from(["output", "read"])),
    _events(AssetFailed, run=_runs, asset=_assets),
    _events(AssetCached, run=_runs, asset=_assets),
    _events(IncidentOpened, incident=_runs, rule=st.just(RuleData(kind="late"))),
    _events(NotificationSent, channel=st.sampled_from(["slack", "pager"])),
    _events(NotificationFailed, channel=st.sampled_from(["slack", "pager"]), permanent=st.booleans()),
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
        assert +before == pytest.approx(expected(harness))
        assert in_progress(harness) == open_in_the_run_table(harness)


def samples(harness):
    for family in text_string_to_metric_families(harness.mounted["/metrics"].text()):
        for sample in family.samples:
            yield sample.name, sample


_COUNTED = (
    "flowtell_flow_runs_total",
    "flowtell_task_runs_total",
    "flowtell_task_retries_total",
    "flowtell_late_corrections_total",
    "flowtell_asset_materializations_total",
    "flowtell_incidents_total",
    "flowtell_notifications_total",
    "flowtell_flow_run_duration_seconds_count",
    "flowtell_flow_run_duration_seconds_sum",
    "flowtell_flow_run_start_delay_seconds_count",
    "flowtell_flow_run_start_delay_seconds_sum",
    "flowtell_task_run_duration_seconds_sum",
)
_LABELS = ("flow", "task", "environment", "state", "asset", "rule", "channel", "outcome")


def key(name, **labels):
    return (name, *[labels.get(label) for label in _LABELS])


def counters(harness) -> Counter:
    return Counter({key(name, **sample.labels): sample.value for name, sample in samples(harness) if name in _COUNTED})


def expected(harness) -> Counter:
    """From the log's lines as JSON: the first end of each run counts, what ends after it is a correction."""
    found: Counter = Counter()
    ended, begun = set(), set()
    for _, line in harness.store.log.read_lines(0, 100_000):
        event = json.loads(line)
        kind, _, what = event["type"].partition(".")
        environment = event.get("environment", "")
        where = {"flow": event.get("flow"), "task": event.get("task"), "environment": environment}
        run = (event.get("run"), event.get("task_run"))
        if kind == "asset" and event.get("role", "output") == "output":
            found[key("flowtell_asset_materializations_total", asset=event["asset"], environment="", state=what)] += 1
        elif kind == "incident":
            found[key("flowtell_incidents_total", rule="late", environment="")] += 1
        elif kind == "notification":
            outcome = "given_up" if event.get("permanent") else what
            found[key("flowtell_notifications_total", channel=event["channel"], outcome=outcome)] += 1
        elif event["type"] == "task_run.retrying":
            found[key("flowtell_task_retries_total", **where)] += 1
        elif event["type"] == "flow_run.started" and run not in ended and run not in begun:
            begun.add(run)
            if event.get("attempt", 1) == 1 and "due" in event:
                found[key("flowtell_flow_run_start_delay_seconds_count", **where)] += 1
                found[key("flowtell_flow_run_start_delay_seconds_sum", **where)] += (event["time"] - event["due"]) / 1e6
        elif what == "finished" and run in ended:
            found[key("flowtell_late_corrections_total")] += 1
        elif what == "finished":
            ended.add(run)
            count_end(found, kind, event, where)
    return +found


def count_end(found, kind, event, where):
    state = event.get("state", "completed")
    found[key(f"flowtell_{kind}s_total", **where, state=state if state in END_STATES else "other")] += 1
    if event.get("duration") is not None:
        found[key(f"flowtell_{kind}_duration_seconds_sum", **where)] += event["duration"]
        if kind == "flow_run":
            found[key(f"flowtell_{kind}_duration_seconds_count", **where)] += 1


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
