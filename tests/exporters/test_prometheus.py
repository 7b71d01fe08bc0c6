"""What `/metrics` says of what happened, read by the official parsers."""

from __future__ import annotations

import gzip
import math
import shutil
import subprocess
import sys

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from sqlalchemy import func, select

from flowtell.errors import BadValue, UnknownKey
from flowtell.events import (
    END_STATES,
    AssetCached,
    AssetDeclared,
    AssetFailed,
    AssetMaterialized,
    AssetObserved,
    AssetRemoved,
    CapacityObserved,
    DeploymentDeclared,
    DeploymentRemoved,
    FlowDeclared,
    FlowRunCancelling,
    FlowRunFinished,
    FlowRunHeartbeat,
    FlowRunPaused,
    FlowRunRemoved,
    FlowRunResumed,
    FlowRunRetrying,
    FlowRunScheduled,
    FlowRunStarted,
    IncidentOpened,
    IncidentResolved,
    MeasureRecorded,
    NotificationFailed,
    NotificationSent,
    RuleData,
    RuleDeclared,
    Schedule,
    SourceDown,
    SourceUp,
    TaskRunFinished,
    TaskRunRetrying,
    TaskRunStarted,
    UserEvent,
)
from flowtell.ids import new_id
from flowtell.testing import FakeClock
from flowtell_exporters.families import FAMILIES
from flowtell_exporters.prometheus import create
from flowtell_exporters.tables import open_runs, totals

START = FakeClock().now - 1_000_000_000
SECOND = 1_000_000


def event(kind, /, **fields):
    return kind(**{"id": new_id(), "time": START, "flow": "nightly", "environment": "prod", **fields})


def started(run, at=0, **fields):
    return event(FlowRunStarted, run=run, time=START + at * SECOND, **fields)


def finished(run, state="completed", at=10, **fields):
    return event(FlowRunFinished, run=run, state=state, time=START + at * SECOND, **fields)


def task_finished(run, state="completed", task="load", **fields):
    return event(TaskRunFinished, run="r", task_run=run, task=task, state=state, **fields)


def samples(text, parse=parse_text):
    """Every sample by name and labels; two with the same would be an error of ours."""
    found = {}
    for family in parse(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def value(observatory, name, /, **labels):
    return samples(observatory.text()).get((f"flowtell_{name}", tuple(sorted(labels.items()))))


NIGHTLY = {"flow": "nightly", "environment": "prod"}
LOAD = {**NIGHTLY, "task": "load"}


# --- counting -----------------------------------------------------------------------------------------------------


def test_a_declared_flow_has_every_end_state_at_zero(seen):
    """`increase()` sees the first failure, as the series was there before it."""
    seen.feed(event(FlowDeclared))
    assert [value(seen, "flow_runs_total", **NIGHTLY, state=state) for state in END_STATES] == [0] * len(END_STATES)
    seen.feed(started("r"), finished("r", "failed"))
    assert value(seen, "flow_runs_total", **NIGHTLY, state="failed") == 1


def test_a_source_is_up_or_down(seen):
    """By the newest that was heard of it, in whatever order that came."""
    up, down = {"source": "prefect", "flow": "", "environment": ""}, {"source": "dbt", "flow": "", "environment": ""}
    seen.feed(event(SourceUp, **up), event(SourceDown, **{**down, "time": START + 2}), event(SourceUp, **down))
    assert value(seen, "source_up", source="prefect") == 1
    assert value(seen, "source_up", source="dbt") == 0
    seen.feed(event(SourceDown, **{**up, "time": START + 1}))
    assert value(seen, "source_up", source="prefect") == 0


def test_ends_are_counted_by_state(seen):
    """Of flows, tasks and deployments; a deployment's runs are counted for its flow too."""
    seen.feed(
        finished("a"),
        finished("b", "failed", deployment="berlin"),
        task_finished("t1"),
        task_finished("t2"),
        task_finished("t3", "crashed"),
    )
    assert value(seen, "flow_runs_total", **NIGHTLY, state="completed") == 1
    assert value(seen, "flow_runs_total", **NIGHTLY, state="failed") == 1
    assert value(seen, "deployment_runs_total", **NIGHTLY, deployment="berlin", state="failed") == 1
    assert value(seen, "deployment_runs_total", **NIGHTLY, deployment="berlin", state="completed") == 0
    assert value(seen, "task_runs_total", **LOAD, state="completed") == 2
    assert value(seen, "task_runs_total", **LOAD, state="crashed") == 1


def test_a_declared_deployment_has_every_end_state_at_zero(seen):
    seen.feed(event(DeploymentDeclared, deployment="berlin"))
    assert value(seen, "deployment_runs_total", **NIGHTLY, deployment="berlin", state="timed_out") == 0


def test_durations_fall_into_cumulative_buckets(seen):
    """From a second to a day; an unknown duration is not zero but absent, an impossible one likewise."""
    durations = [0.2, 1.0, 1.1, 90_000.0, None, -5.0, 1e300]
    seen.feed(*[finished(f"r{at}", duration=each) for at, each in enumerate(durations)])
    buckets = [value(seen, "flow_run_duration_seconds_bucket", **NIGHTLY, le=le) for le in ("1.0", "5.0", "86400.0", "+Inf")]
    assert buckets == [2, 3, 3, 4]
    assert value(seen, "flow_run_duration_seconds_count", **NIGHTLY) == 4
    assert value(seen, "flow_run_duration_seconds_sum", **NIGHTLY) == pytest.approx(90_002.3)
    assert value(seen, "flow_runs_total", **NIGHTLY, state="completed") == 7


def test_task_durations_are_a_sum_and_a_count(seen):
    seen.feed(task_finished("a", duration=0.5), task_finished("b", "failed", duration=2.0), task_finished("c"))
    assert value(seen, "task_run_duration_seconds_sum", **LOAD) == 2.5
    assert value(seen, "task_run_duration_seconds_count", **LOAD) == 2


def test_each_attempt_that_is_tried_again_is_a_retry(seen):
    seen.feed(*[event(TaskRunRetrying, run="r", task_run="t", task="load", attempt=n) for n in (1, 2)])
    assert value(seen, "task_retries_total", **LOAD) == 2


def test_a_second_end_changes_no_total_and_is_counted_apart(seen):
    """The first end in the log decides: a run called crashed that turns out completed stays crashed."""
    seen.feed(started("r"), finished("r", "crashed"), finished("r", "completed"), started("r", at=1))
    seen.feed(task_finished("t", "crashed"), task_finished("t"))
    assert value(seen, "flow_runs_total", **NIGHTLY, state="crashed") == 1
    assert value(seen, "flow_runs_total", **NIGHTLY, state="completed") == 0
    assert value(seen, "task_runs_total", **LOAD, state="completed") is None
    assert value(seen, "late_corrections_total") == 2
    assert value(seen, "flow_runs_in_progress", **NIGHTLY, state="running") == 0


def test_the_last_measure_stands_whatever_the_order(seen):
    """By its writer's clock, not by when it came in."""
    measures = [event(MeasureRecorded, task="load", name="rows", value=float(at), time=START + at) for at in (2, 3, 1)]
    seen.feed(*measures)
    assert value(seen, "measure", **LOAD, name="rows") == 3


def test_events_are_counted_by_type_and_own_names_are_one(seen):
    seen.feed(event(FlowDeclared), UserEvent(id=new_id(), type="shop.order.paid"), UserEvent(id=new_id(), type="x.y"))
    assert value(seen, "events_total", type="flow.declared") == 1
    assert value(seen, "events_total", type="other") == 2


def test_a_state_that_is_not_known_yet_is_other(seen):
    """Tomorrow's source may say more states than today's label has values; the sum stays exact."""
    seen.feed(finished("a", "melted"), finished("b", "evaporated"))
    assert value(seen, "flow_runs_total", **NIGHTLY, state="other") == 2


# --- moments and runs in progress ---------------------------------------------------------------------------------


def test_success_and_completion_have_their_moments(seen):
    """Seconds since the epoch, the latest whatever the order; a clock ahead of the server's does not count as later."""
    seen.feed(finished("b", "failed", at=20), finished("a", "cached", at=10))
    assert value(seen, "flow_last_success_timestamp_seconds", **NIGHTLY) == START / 1e6 + 10
    assert value(seen, "flow_last_completion_timestamp_seconds", **NIGHTLY) == START / 1e6 + 20
    seen.feed(finished("c", at=10**9))
    assert value(seen, "flow_last_success_timestamp_seconds", **NIGHTLY) == seen.harness.clock() / 1e6


def test_a_flow_that_never_succeeded_has_no_moment_of_it(seen):
    seen.feed(finished("a", "failed"))
    assert value(seen, "flow_last_success_timestamp_seconds", **NIGHTLY) is None


def test_runs_in_progress_are_those_started_and_not_ended(seen):
    seen.feed(started("a", at=5), started("b", at=3), started("c", at=9), finished("c"))
    assert value(seen, "flow_runs_in_progress", **NIGHTLY, state="running") == 2
    assert value(seen, "flow_oldest_running_start_timestamp_seconds", **NIGHTLY) == START / 1e6 + 3
    seen.feed(finished("a"), finished("b", "failed"))
    assert value(seen, "flow_runs_in_progress", **NIGHTLY, state="running") == 0
    assert value(seen, "flow_oldest_running_start_timestamp_seconds", **NIGHTLY) is None


@pytest.mark.parametrize(
    ("kind", "state"),
    [(FlowRunPaused, "paused"), (FlowRunRetrying, "retrying"), (FlowRunCancelling, "cancelling")],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_run_in_progress_has_a_state(seen, kind, state):
    """Running is always there, other states while a run is in them."""
    seen.feed(started("a"), event(kind, run="a", time=START + 1))
    assert value(seen, "flow_runs_in_progress", **NIGHTLY, state=state) == 1
    assert value(seen, "flow_runs_in_progress", **NIGHTLY, state="running") == 0
    seen.feed(event(FlowRunResumed, run="a", time=START + 2))
    assert value(seen, "flow_runs_in_progress", **NIGHTLY, state=state) is None


def test_a_retried_run_is_one_run(seen):
    seen.feed(started("a"), event(FlowRunRetrying, run="a"), started("a", at=2, attempt=2))
    assert value(seen, "flow_runs_in_progress", **NIGHTLY, state="running") == 1
    assert value(seen, "flow_oldest_running_start_timestamp_seconds", **NIGHTLY) == START / 1e6


def test_a_run_whose_start_was_never_seen_leaves_the_gauge_alone(seen):
    seen.feed(started("a"), finished("b"))
    assert value(seen, "flow_runs_in_progress", **NIGHTLY, state="running") == 1


@pytest.mark.parametrize("late", [FlowRunStarted, FlowRunHeartbeat, FlowRunCancelling, FlowRunPaused])
def test_what_arrives_after_the_end_opens_nothing(seen, late):
    """A start or a request to cancel from another writer's journal may come after the finish."""
    seen.feed(finished("a"))
    seen.feed(event(late, run="a"))
    assert value(seen, "flow_runs_in_progress", **NIGHTLY, state="running") == 0


def test_a_removed_run_is_over_but_did_not_end(seen):
    seen.feed(started("a"), event(FlowRunRemoved, run="a"))
    assert value(seen, "flow_runs_in_progress", **NIGHTLY, state="running") == 0
    assert value(seen, "flow_runs_total", **NIGHTLY, state="cancelled") == 0


def test_a_batch_that_opens_and_closes_a_run_keeps_no_row_of_it(seen):
    seen.feed(started("a"), finished("a"), started("b"))
    assert [row.run for row in seen.read(select(open_runs))] == ["b"]


def test_a_due_run_that_starts_late_has_a_delay(seen):
    """Counted once a run, at its first start; one ahead of its time was not late, one without a due time is not in it."""
    due = {"due": START}
    seen.feed(started("a", at=3, **due), started("a", at=90, attempt=2, **due), started("b", at=-5, **due), started("c"))
    assert value(seen, "flow_run_start_delay_seconds_bucket", **NIGHTLY, le="1.0") == 1
    assert value(seen, "flow_run_start_delay_seconds_bucket", **NIGHTLY, le="5.0") == 2
    assert value(seen, "flow_run_start_delay_seconds_count", **NIGHTLY) == 2
    assert value(seen, "flow_run_start_delay_seconds_sum", **NIGHTLY) == 3


def test_a_flow_without_due_times_has_no_delays(seen):
    seen.feed(started("a"), finished("a"))
    assert value(seen, "flow_run_start_delay_seconds_count", **NIGHTLY) is None


def test_the_next_run_that_is_due(seen):
    """The soonest that has not started, in whatever order they are told of; none when all have started or are gone."""
    hour, ran = 3600 * SECOND, started("c", at=3, due=START + 1)
    scheduled = {run: event(FlowRunScheduled, run=run, due=START + n * hour) for n, run in ((2, "a"), (1, "b"), (0, "c"))}
    seen.feed(scheduled["a"], ran, scheduled["c"], scheduled["b"])
    assert value(seen, "flow_next_due_timestamp_seconds", **NIGHTLY) == START / 1e6 + 3600
    seen.feed(event(FlowRunRemoved, run="b"))
    seen.harness.clock.advance(5.0)
    assert value(seen, "flow_next_due_timestamp_seconds", **NIGHTLY) == START / 1e6 + 7200
    seen.feed(started("a"))
    seen.harness.clock.advance(5.0)
    assert value(seen, "flow_next_due_timestamp_seconds", **NIGHTLY) is None


def due_in(seen):
    seen.harness.clock.advance(5.0)
    found = value(seen, "flow_next_due_timestamp_seconds", **NIGHTLY)
    return None if found is None else found - START / 1e6


def test_a_schedule_says_when_its_next_run_is_due(seen):
    """Until a run answers it: what was missed lies in the past. Of several deployments the soonest."""
    anchor = START + 60 * SECOND
    hourly = Schedule(id="hourly", kind="every", expression="3600s", anchor=anchor)
    daily = Schedule(id="daily", kind="every", expression="86400s", anchor=anchor + SECOND)
    seen.feed(
        event(DeploymentDeclared, deployment="berlin", schedules=(hourly, daily)),
        event(DeploymentDeclared, deployment="paris", schedules=(daily,)),
    )
    assert due_in(seen) == 60
    seen.feed(started("a", at=61, deployment="berlin", due=anchor))
    assert due_in(seen) == 61  # the daily one of the same deployment
    later = {"deployment": "paris", "due": anchor + SECOND}
    seen.feed(finished("b", "skipped", **{**later, "deployment": "berlin"}), started("c", **later))
    assert due_in(seen) == 3660
    seen.restart()
    seen.feed(event(DeploymentDeclared, deployment="berlin", schedules=(hourly,), time=START + 7300 * SECOND))
    assert due_in(seen) == 10860  # what was due before who serves began anew is up to him
    seen.feed(event(DeploymentRemoved, deployment="berlin"))
    assert due_in(seen) == 86461


def test_a_paused_deployment_or_a_strange_schedule_is_never_due(seen):
    strange = [Schedule(id="x", kind="cron", expression="not a line", tz="Mars/Olympus"), Schedule(id="y", kind="rrule")]
    minutely = Schedule(id="m", kind="every", expression="60s")
    asleep = Schedule(id="z", kind="every", expression="60s", anchor=0, active=False)
    seen.feed(
        event(DeploymentDeclared, deployment="a", schedules=(*strange, asleep)),
        event(DeploymentDeclared, deployment="b", paused=True, schedules=(minutely,)),
    )
    assert due_in(seen) is None


# --- histograms ---------------------------------------------------------------------------------------------------


def test_a_flow_asks_for_histograms_of_its_tasks(seen):
    """By its tag. The family then is a histogram, in which tasks of other flows have their count alone."""
    seen.feed(task_finished("t0", duration=2.0, flow="other"), task_finished("t1", duration=2.0))
    assert "# TYPE flowtell_task_run_duration_seconds summary" in seen.text()
    seen.feed(event(FlowDeclared, tags=("task-histograms",)), task_finished("t2", duration=70.0))
    for text, parse in ((seen.text(), parse_text), (seen.text(openmetrics=True), parse_openmetrics)):
        found = samples(text, parse)

        def bucket(le, found=found, **labels):
            return found.get(("flowtell_task_run_duration_seconds_bucket", tuple(sorted({**labels, "le": le}.items()))))

        assert "# TYPE flowtell_task_run_duration_seconds histogram" in text
        assert (bucket("60.0", **LOAD), bucket("300.0", **LOAD), bucket("+Inf", **LOAD)) == (0, 1, 2)
        assert bucket("300.0", **{**LOAD, "flow": "other"}) is None
        assert bucket("+Inf", **{**LOAD, "flow": "other"}) == 1
    before = seen.text()
    seen.restart()
    seen.feed(task_finished("t3", duration=70.0))
    assert value(seen, "task_run_duration_seconds_bucket", **LOAD, le="300.0") == 2
    assert before.splitlines()[0] == seen.text().splitlines()[0]


def test_histograms_of_tasks_by_configuration_until_nobody_asks(observe, tmp_path):
    """A pattern over flows' names; taken out of the configuration, the family is a summary again."""
    seen = observe(task_histograms=["night*"])
    seen.feed(task_finished("t", duration=2.0))
    assert value(seen, "task_run_duration_seconds_bucket", **LOAD, le="5.0") == 1
    seen.harness._settings = {}
    seen.restart()
    seen.feed(task_finished("t2", duration=2.0))
    assert value(seen, "task_run_duration_seconds_bucket", **LOAD, le="+Inf") is None
    assert value(seen, "task_run_duration_seconds_count", **LOAD) == 2
    assert "# TYPE flowtell_task_run_duration_seconds summary" in seen.text()


def test_buckets_are_configurable_and_a_change_begins_the_histograms_anew(observe):
    """What was counted by other bounds cannot be counted by these: the histogram is reset, and nothing else."""
    seen = observe(duration_buckets=[10, 100])
    seen.feed(finished("a", duration=50.0))
    assert value(seen, "flow_run_duration_seconds_bucket", **NIGHTLY, le="100.0") == 1
    assert value(seen, "flow_run_duration_seconds_bucket", **NIGHTLY, le="60.0") is None
    seen.harness._settings = {"duration_buckets": [20, 60]}
    seen.restart()
    assert value(seen, "flow_run_duration_seconds_bucket", **NIGHTLY, le="100.0") == 1
    seen.feed(finished("b", duration=30.0))
    assert value(seen, "flow_run_duration_seconds_bucket", **NIGHTLY, le="60.0") == 1
    assert value(seen, "flow_run_duration_seconds_count", **NIGHTLY) == 1
    assert value(seen, "flow_runs_total", **NIGHTLY, state="completed") == 2
    assert samples(seen.text(openmetrics=True), parse_openmetrics)


@pytest.mark.parametrize("bounds", [[], [0, 1], [2, 1], [1, 1], [1, math.inf], list(range(1, 60))], ids=repr)
def test_buckets_that_are_none_are_refused(bounds):
    with pytest.raises(BadValue, match="rising numbers of seconds"):
        create({"delay_buckets": bounds})


def test_rows_of_the_first_release_are_read(seen):
    """Their durations lay flat beside the rest, and no moment said when they were last seen."""
    old = '{"ends":{"completed":2},"seconds":7.5,"buckets":[0,1,0,1,0,0,0,0,0,0,0],"last_success":1,"declared":0}'
    with seen.store.write() as transaction:
        row = {"id": 1, "kind": "flow", "labels": '["nightly","prod"]', "version": 1, "data": old}
        transaction.connection.execute(totals.insert(), [row])
    assert value(seen, "flow_run_duration_seconds_bucket", **NIGHTLY, le="5.0") == 1
    seen.feed(finished("a", duration=2.0))
    assert value(seen, "flow_run_duration_seconds_bucket", **NIGHTLY, le="5.0") == 2
    assert value(seen, "flow_run_duration_seconds_sum", **NIGHTLY) == 9.5
    assert value(seen, "flow_runs_total", **NIGHTLY, state="completed") == 3


# --- exemplars ----------------------------------------------------------------------------------------------------


def exemplars(seen):
    """Trace and span by sample name and state or bound."""
    found = {}
    for family in parse_openmetrics(seen.text(openmetrics=True)):
        for sample in family.samples:
            if sample.exemplar:
                place = sample.labels.get("state") or sample.labels.get("le") or sample.labels.get("severity")
                found[sample.name, place] = (sample.exemplar.labels["trace_id"], sample.exemplar.labels["span_id"])
    return found


RUN, TASK_RUN, TRACE = "0" * 31 + "1", "0" * 31 + "2", "e" * 32


def test_a_number_names_the_run_that_raised_it_last(seen):
    """Trace and span of durations, delays and ends, of tasks that ended badly, of assets and incidents; in OpenMetrics."""
    rule = RuleData(kind="failed")
    seen.feed(
        started(RUN, at=2, trace=TRACE, due=START),
        event(TaskRunFinished, run=RUN, task_run=TASK_RUN, task="load", state="failed", duration=0.1),
        event(AssetFailed, run=RUN, task_run=TASK_RUN, asset="s3://a"),
        finished(RUN, "failed", duration=3.0, deployment="berlin"),
        event(IncidentOpened, run=RUN, incident="i", rule=rule, severity="error"),
    )
    found = exemplars(seen)
    assert found["flowtell_flow_runs_total", "failed"] == (TRACE, RUN[-16:])
    assert found["flowtell_flow_run_duration_seconds_bucket", "5.0"] == (TRACE, RUN[-16:])
    assert found["flowtell_flow_run_start_delay_seconds_bucket", "5.0"] == (TRACE, RUN[-16:])
    assert found["flowtell_deployment_runs_total", "failed"] == (TRACE, RUN[-16:])
    assert found["flowtell_task_runs_total", "failed"] == (TRACE, TASK_RUN[-16:])
    assert found["flowtell_asset_materializations_total", "failed"] == (TRACE, TASK_RUN[-16:])
    assert found["flowtell_incidents_total", "error"] == (RUN, RUN[-16:])  # its run had ended: the root's own trace
    assert "trace_id" not in seen.text()


def test_a_trace_that_a_caller_brought_survives_a_restart(seen):
    """The log's table of runs keeps it. A subflow's trace is its root's."""
    root = "0" * 31 + "3"
    seen.feed(started(RUN, trace=TRACE))
    seen.restart()
    seen.feed(finished(RUN))
    assert exemplars(seen)["flowtell_flow_runs_total", "completed"] == (TRACE, RUN[-16:])
    seen.feed(finished(TASK_RUN, "failed", root_run=root))
    assert exemplars(seen)["flowtell_flow_runs_total", "failed"] == (root, TASK_RUN[-16:])


@pytest.mark.parametrize("run", ["x", "", "0" * 32, 'a"} 1\n', "é" * 32, "A" * 32], ids=ascii)
def test_ids_that_no_trace_has_are_left_out(seen, run):
    """A source sends what it likes: it is counted, and never becomes part of the page."""
    seen.feed(finished(run))
    assert exemplars(seen) == {}
    assert value(seen, "flow_runs_total", **NIGHTLY, state="completed") == 1


# --- assets, capacity, incidents ----------------------------------------------------------------------------------

ORDERS = {"asset": "s3://lake/orders", "environment": "prod"}


def test_a_declared_asset_has_every_end_at_zero(seen):
    seen.feed(event(AssetDeclared, asset=ORDERS["asset"]))
    states = ("materialized", "cached", "failed")
    assert [value(seen, "asset_materializations_total", **ORDERS, state=state) for state in states] == [0, 0, 0]
    assert value(seen, "asset_last_materialization_timestamp_seconds", **ORDERS) is None


def test_materializations_are_counted_by_how_they_ended(seen):
    """What a run only read is none; the last is by when it happened, and neither a failure nor a cached one."""
    asset = {"asset": ORDERS["asset"]}
    seen.feed(
        event(AssetMaterialized, **asset, time=START + 2 * SECOND),
        event(AssetMaterialized, **asset, time=START + 1 * SECOND),
        event(AssetCached, **asset, time=START + 9 * SECOND),
        event(AssetFailed, **asset, time=START + 9 * SECOND),
        event(AssetMaterialized, **asset, role="read"),
        event(AssetObserved, asset="s3://only/read", role="read"),
    )
    assert value(seen, "asset_materializations_total", **ORDERS, state="materialized") == 2
    assert value(seen, "asset_materializations_total", **ORDERS, state="cached") == 1
    assert value(seen, "asset_materializations_total", **ORDERS, state="failed") == 1
    assert value(seen, "asset_last_materialization_timestamp_seconds", **ORDERS) == START / 1e6 + 2
    assert "only/read" not in seen.text()


def test_a_removed_asset_has_no_series(seen):
    seen.feed(event(AssetMaterialized, asset=ORDERS["asset"]))
    assert value(seen, "asset_materializations_total", **ORDERS, state="materialized") == 1
    seen.feed(event(AssetRemoved, asset=ORDERS["asset"]))
    assert ORDERS["asset"] not in seen.text()
    seen.feed(event(AssetMaterialized, asset=ORDERS["asset"]))
    assert value(seen, "asset_materializations_total", **ORDERS, state="materialized") == 1


def test_capacity_is_what_was_observed_last(seen):
    """By its source's clock; without a limit there is no sample of one."""
    pool = {"kind": "pool", "pool": "k8s", "name": "k8s"}
    seen.feed(
        event(CapacityObserved, **pool, limit=4, used=3, time=START + 2),
        event(CapacityObserved, **pool, limit=9, used=9, time=START + 1),
        event(CapacityObserved, kind="worker", pool="k8s", name="w1", last_seen=START - SECOND),
    )
    assert value(seen, "capacity_limit", **pool) == 4
    assert value(seen, "capacity_used", **pool) == 3
    assert value(seen, "capacity_last_seen_timestamp_seconds", **pool) == (START + 2) / 1e6
    worker = {"kind": "worker", "pool": "k8s", "name": "w1"}
    assert value(seen, "capacity_limit", **worker) is None
    assert value(seen, "capacity_last_seen_timestamp_seconds", **worker) == START / 1e6 - 1


def test_incidents_are_at_zero_from_their_rules_on(seen):
    """A flow's own rules and those of elsewhere; then counted and open until resolved, under whatever severity."""
    late, failed = RuleData(kind="late", severity="warning"), RuleData(kind="failed", severity="error")
    seen.feed(event(FlowDeclared, rules=(late,)), event(RuleDeclared, rule=failed))
    kinds = [{"rule": "late", "severity": "warning"}, {"rule": "failed", "severity": "error"}]
    assert [value(seen, "incidents_total", **kind, environment="prod") for kind in kinds] == [0, 0]
    of_failed = {"rule": "failed", "severity": "error", "environment": "prod"}
    seen.feed(*[event(IncidentOpened, incident=name, rule=failed, severity="error") for name in "ab"])
    assert value(seen, "incidents_open", **of_failed) == 2
    seen.feed(event(IncidentResolved, incident="a", rule=failed, severity="critical"))
    seen.restart()
    seen.feed(event(IncidentResolved, incident="never seen", rule=failed, severity="error"))
    assert value(seen, "incidents_open", **of_failed) == 1
    assert value(seen, "incidents_total", **of_failed) == 2


def test_notifications_are_counted_by_outcome(seen):
    """An attempt that failed and is tried again is told from one that was the last."""
    seen.feed(
        event(NotificationSent, channel="slack"),
        event(NotificationFailed, channel="slack"),
        event(NotificationFailed, channel="pager", permanent=True),
    )
    assert value(seen, "notifications_total", channel="slack", outcome="sent") == 1
    assert value(seen, "notifications_total", channel="slack", outcome="failed") == 1
    assert value(seen, "notifications_total", channel="slack", outcome="given_up") == 0
    assert value(seen, "notifications_total", channel="pager", outcome="given_up") == 1


# --- what is declared ---------------------------------------------------------------------------------------------


def test_a_flow_has_one_info_series_with_the_latest_declaration(seen):
    """An older declaration that arrives later changes nothing."""
    seen.feed(
        event(FlowDeclared, time=START + 5, version="2", owners=("ada", "bob"), source="prefect"),
        event(FlowDeclared, time=START, version="1"),
    )
    info = [labels for name, labels in samples(seen.text()) if name == "flowtell_flow_info"]
    assert [dict(labels) for labels in info] == [{**NIGHTLY, "version": "2", "owner": "ada,bob", "source": "prefect"}]


# --- the product itself -------------------------------------------------------------------------------------------


def test_plugins_writers_and_the_build_are_shown(seen):
    """Lag of a plugin, what each machine dropped, and the skew of its writers that are alive."""
    seen.append(event(FlowDeclared), machine="m1", dropped=3, skew=-4.5)
    seen.append(event(FlowDeclared), machine="m2", skew=0.25, ended=1)
    assert value(seen, "plugin_lag_events", plugin="prometheus") == 2
    assert value(seen, "plugin_lag_seconds", plugin="prometheus") == 0
    seen.harness.deliver()
    assert value(seen, "plugin_lag_events", plugin="prometheus") == 0
    assert value(seen, "plugin_errors_total", plugin="prometheus") == 0
    assert value(seen, "plugin_dropped_total", plugin="prometheus") == 0
    assert value(seen, "events_dropped_total", machine="m1") == 3
    assert value(seen, "events_dropped_total", machine="m2") == 0
    assert value(seen, "writer_skew_seconds", machine="m1") == -4.5
    assert value(seen, "writer_skew_seconds", machine="m2") is None
    assert value(seen, "build_info", version="0.1.0") == 1


def test_leader_or_standby(seen):
    """1 on the server that leads; a server whose plugins stand by says 0."""
    assert value(seen, "leader") == 1
    seen.harness.runner.state = "standby"
    assert value(seen, "leader") == 0


def test_the_writers_table_is_read_at_most_once_a_second(seen):
    seen.append(event(FlowDeclared), dropped=1)
    assert value(seen, "events_dropped_total", machine="m1") == 1
    seen.append(dropped=2)
    assert value(seen, "events_dropped_total", machine="m1") == 1
    seen.harness.clock.advance(1.0)
    assert value(seen, "events_dropped_total", machine="m1") == 2


# --- the bound on series ------------------------------------------------------------------------------------------


def test_names_without_end_go_to_one_overflow_series(observe):
    """Sums stay exact, series and memory bounded, and the family at fault is named."""
    seen = observe(max_flows=3, max_tasks=2)
    seen.feed(*[finished(f"r{at}", flow=f"flow-{at % 50}") for at in range(200)])
    seen.feed(*[task_finished(f"t{at}", task=f"task-{at}") for at in range(10)])
    runs = {labels: number for (name, labels), number in samples(seen.text()).items() if name == "flowtell_flow_runs_total"}
    assert sum(runs.values()) == 200
    assert len(runs) == 4 * len(END_STATES)
    assert value(seen, "flow_runs_total", flow="__overflow__", environment="__overflow__", state="completed") == 188
    assert value(seen, "series_overflow_total", metric="flowtell_flow_runs_total") == 188
    assert value(seen, "series_overflow_total", metric="flowtell_task_runs_total") == 8
    assert len(seen.read(select(totals))) == 4 + 3 + 1


def test_flows_in_overflow_have_no_info(observe):
    """The series stands for many flows, each with an owner of its own."""
    seen = observe(max_flows=1)
    seen.feed(*[event(FlowDeclared, flow=name, owners=(name,)) for name in ("a", "b", "c")])
    info = [dict(labels)["flow"] for name, labels in samples(seen.text()) if name == "flowtell_flow_info"]
    assert info == ["a"]


def test_the_bound_holds_over_a_restart(observe):
    seen = observe(max_flows=2)
    seen.feed(*[finished(f"r{at}", flow=f"flow-{at}") for at in range(5)])
    before = seen.text()
    seen.restart()
    assert seen.text() == before
    seen.feed(finished("more", flow="flow-9"))
    assert value(seen, "series_overflow_total", metric="flowtell_flow_runs_total") == 4
    assert value(seen, "flow_runs_total", flow="__overflow__", environment="__overflow__", state="completed") == 4


def test_what_nobody_names_any_more_expires(observe):
    """Flows, tasks and assets lose their series after the configured days; a page kept from before loses them too."""
    seen = observe(expire_days=10)
    seen.feed(finished("a", flow="old"), task_finished("t", flow="old"), event(AssetMaterialized, asset="s3://old"))
    seen.feed(started("b", flow="running for long"))
    page = seen.page
    assert 'flow="old"' in page.text(openmetrics=True)
    seen.harness.tick(9 * 86_400)
    seen.feed(finished("c", flow="fresh"))
    assert 'flow="old"' in seen.text()
    seen.harness.tick(2 * 86_400)
    for text in (seen.text(), seen.text(openmetrics=True)):
        assert "//old" not in text
        assert '"old"' not in text
        assert 'flow="fresh"' in text
        assert 'flow="running for long"' in text
    seen.restart()
    seen.feed(finished("d", flow="old"))
    assert value(seen, "flow_runs_total", flow="old", environment="prod", state="completed") == 1
    assert page.text().count('flow="old"') == seen.text().count('flow="old"') > 0


def test_a_worker_that_is_gone_expires_sooner(seen):
    """Their names end with their process; pools stay."""
    worker = event(CapacityObserved, kind="worker", pool="k8s", name="w1", last_seen=START)
    seen.feed(worker, event(CapacityObserved, kind="pool", pool="k8s", name="k8s", used=0))
    seen.harness.tick(86_400 * 1.5)
    assert 'name="w1"' not in seen.text()
    assert 'name="k8s"' in seen.text()


def test_every_kind_has_its_bound(observe):
    """Hostile names of whatever kind: no more series than the bounds say, each guilty family named, sums exact."""
    bounds = {
        f"max_{kind}": 3 for kind in ("flows", "tasks", "deployments", "measures", "assets", "capacities", "incidents")
    }
    seen = observe(**bounds, max_channels=3)
    for at in range(40):
        name = f"n{at}"
        seen.harness.append(
            [
                finished(name, flow=name, deployment=name),
                task_finished(name, task=name),
                event(MeasureRecorded, name=name, value=1.0),
                event(AssetMaterialized, asset=name),
                event(CapacityObserved, kind="worker", pool=name, name=name, used=1),
                event(IncidentOpened, incident=name, rule=RuleData(kind=name), severity="error"),
                event(NotificationSent, channel=name),
                event(FlowRunScheduled, run=f"due {name}", flow=name, due=START),
            ]
        )
    seen.harness.deliver()
    found = samples(seen.text())
    for metric in ("flow_runs", "task_runs", "deployment_runs", "asset_materializations", "incidents", "notifications"):
        assert sum(number for (name, _), number in found.items() if name == f"flowtell_{metric}_total") == 40
        assert value(seen, "series_overflow_total", metric=f"flowtell_{metric}_total") == 37
    assert sum(name == "flowtell_flow_next_due_timestamp_seconds" for name, _ in found) == 4
    assert value(seen, "series_overflow_total", metric="flowtell_measure") == 37
    assert value(seen, "series_overflow_total", metric="flowtell_capacity_used") == 37
    assert len(seen.read(select(totals))) == 8 * 4 + 1


def test_labels_are_escaped_and_cut(seen):
    """Quotes, newlines and backslashes come back as they were; long names are cut, and what is cut alike is one."""
    odd = 'a"b\\c\nd é 💥 {le="1"}'
    long = "x" * 5000
    seen.feed(finished("a", flow=odd), finished("b", flow=long + "1"), finished("c", flow=long + "2"))
    assert value(seen, "flow_runs_total", flow=odd, environment="prod", state="completed") == 1
    assert value(seen, "flow_runs_total", flow=long[:200], environment="prod", state="completed") == 2
    assert samples(seen.text(openmetrics=True), parse_openmetrics)


# --- over restarts ------------------------------------------------------------------------------------------------


def everything(seen):
    seen.feed(
        event(FlowDeclared, version="7", owners=("ada",)),
        event(DeploymentDeclared, deployment="berlin"),
        started("a"),
        started("b", at=1),
        event(FlowRunPaused, run="b", time=START + 2 * SECOND),
        event(TaskRunStarted, run="a", task_run="t", task="load"),
        event(TaskRunRetrying, run="a", task_run="t", task="load"),
        task_finished("t", duration=0.1),
        event(MeasureRecorded, task="load", name="rows", value=0.1),
        finished("a", duration=math.pi, deployment="berlin"),
        finished("a", "failed"),
        event(SourceUp, source="prefect"),
        started("c", at=70, due=START),
        event(FlowRunScheduled, run="d", due=START + 3600 * SECOND),
        event(AssetMaterialized, run="a", asset="s3://lake/orders"),
        event(CapacityObserved, kind="pool", pool="p", name="p", limit=3, used=1),
        event(IncidentOpened, incident="i", rule=RuleData(kind="failed"), severity="error"),
        event(NotificationSent, incident="i", channel="terminal"),
    )


def test_a_restart_changes_nothing(seen):
    """The page of a new plugin is the same text, and it counts on from there."""
    everything(seen)
    before = seen.text()
    seen.restart()
    seen.harness.deliver()
    assert seen.text() == before
    seen.feed(finished("b"), finished("c"))
    assert value(seen, "flow_runs_in_progress", **NIGHTLY, state="running") == 0
    assert value(seen, "flow_runs_total", **NIGHTLY, state="completed") == 3


def test_a_scrape_shows_only_what_is_committed(seen):
    """A server killed between a plugin's call and its commit must not have shown what is then counted anew."""
    seen.feed(finished("a"))
    seen.harness.runner.plugin._tally.take([finished("b")])
    assert value(seen, "flow_runs_total", **NIGHTLY, state="completed") == 1


def test_a_scrape_waits_for_no_writer(seen):
    """While a batch is being committed the page shows what was there before."""
    seen.feed(finished("a"))
    with seen.store.write() as transaction:
        transaction.connection.execute(totals.delete())
        assert value(seen, "flow_runs_total", **NIGHTLY, state="completed") == 1
        transaction.connection.rollback()


def test_what_serves_pages_is_imported_by_who_serves_them():
    """A reading command runs this plugin too and must start quickly."""
    code = "import sys, flowtell_exporters.prometheus; print({'starlette', 'prometheus_client'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_scrape_sees_what_another_plugin_instance_wrote(seen):
    """The page reads the tables: it needs no plugin that is alive."""
    page = seen.page
    seen.restart()
    seen.feed(finished("a"))
    assert 'state="completed"} 1\n' in page.text()


# --- the page -----------------------------------------------------------------------------------------------------


def test_every_sample_belongs_to_a_family_of_the_registry(seen):
    """Name, type and labels are those that docs, dashboards and alarms are made from; both formats say the same."""
    everything(seen)
    text, openmetrics = seen.text(), seen.text(openmetrics=True)
    assert samples(text) == samples(openmetrics, parse_openmetrics)
    known = {family.name.removesuffix("_total"): family for family in FAMILIES}
    for family in parse_openmetrics(openmetrics):
        declared = known[family.name]
        assert (family.type, family.documentation) == (declared.type, declared.help)
        assert {sample.name for sample in family.samples} <= set(declared.series)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(declared.labels)


def test_every_family_that_events_feed_appears(observe):
    seen = observe(max_measures=1)
    everything(seen)
    seen.append(event(MeasureRecorded, name="x"), skew=0.0)
    seen.harness.deliver()
    shown = {family.name for family in parse_text(seen.text())}
    assert {family.name.removesuffix("_total") for family in FAMILIES} == {name.removesuffix("_total") for name in shown}


def test_an_empty_log_is_a_valid_page(seen):
    assert value(seen, "build_info", version="0.1.0") == 1
    assert seen.text(openmetrics=True).endswith("# EOF\n")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("application/json", "text/plain; version=0.0.4"),
        ("text/plain;version=0.0.4;q=0.5, application/openmetrics-text;q=0.1", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;q=0", "text/plain; version=0.0.4"),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text",
        ),
        ("application/openmetrics-text; version=abc; q=abc", "application/openmetrics-text"),
    ],
)
def test_the_format_is_negotiated(seen, accept, kind):
    """Whoever asks for nothing that there is gets plain text; nonsense in the header never fails a scrape."""
    response = seen.request(accept=accept)
    assert response.status == 200
    assert response.headers["content-type"].startswith(kind)
    assert response.body.endswith(b"# EOF\n") == ("openmetrics" in kind)


def test_the_page_is_compressed_where_that_is_accepted(seen):
    everything(seen)
    response = seen.request(accept_encoding="deflate, gzip;q=1.0")
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(response.body) == seen.request().body


def test_only_reading_is_allowed_and_only_here(seen):
    """A proxy's HEAD is fine; a slip in the path is not answered with a page of metrics."""
    assert seen.request("HEAD").status == 200
    assert seen.request(path="/metrics/").status == 200
    assert seen.request("POST").status == 405
    assert seen.request(path="/metrics/federate").status == 404


def test_promtool_finds_nothing_to_say(seen):
    """Prometheus's own linter of names, types and help."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    everything(seen)
    checked = subprocess.run([promtool, "check", "metrics"], input=seen.text().encode(), capture_output=True, check=False)
    assert (checked.returncode, checked.stderr, checked.stdout) == (0, b"", b"")


# --- configuration ------------------------------------------------------------------------------------------------


def test_an_unknown_key_is_refused_with_the_closest_one():
    with pytest.raises(UnknownKey, match=r"'max_flow' in \[plugin.prometheus\]. Did you mean 'max_flows'"):
        create({"max_flow": 3})


def test_a_value_of_another_type_is_refused():
    with pytest.raises(BadValue, match="'max_flows' in"):
        create({"max_flows": "many"})


def test_text_from_the_environment_is_a_number(observe):
    seen = observe(max_flows="1")
    seen.feed(finished("a", flow="a"), finished("b", flow="b"))
    assert value(seen, "series_overflow_total", metric="flowtell_flow_runs_total") == 1


def test_lists_from_the_environment_are_divided_by_commas(observe):
    seen = observe(duration_buckets="1, 60", task_histograms="night*,etl")
    seen.feed(finished("a", duration=2.0), task_finished("t", duration=70.0))
    assert value(seen, "flow_run_duration_seconds_bucket", **NIGHTLY, le="60.0") == 1
    assert value(seen, "task_run_duration_seconds_bucket", **LOAD, le="60.0") == 0


def test_totals_are_one_row_a_subject(seen):
    """A batch writes each subject once, however many of its numbers changed."""
    everything(seen)
    assert seen.read(select(func.count()).select_from(totals))[0][0] == 9
