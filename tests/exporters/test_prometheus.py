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
    DeploymentDeclared,
    FlowDeclared,
    FlowRunCancelling,
    FlowRunFinished,
    FlowRunHeartbeat,
    FlowRunPaused,
    FlowRunRemoved,
    FlowRunResumed,
    FlowRunRetrying,
    FlowRunStarted,
    MeasureRecorded,
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


def event(kind, **fields):
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
    )


def test_a_restart_changes_nothing(seen):
    """The page of a new plugin is the same text, and it counts on from there."""
    everything(seen)
    before = seen.text()
    seen.restart()
    seen.harness.deliver()
    assert seen.text() == before
    seen.feed(finished("b"))
    assert value(seen, "flow_runs_in_progress", **NIGHTLY, state="running") == 0
    assert value(seen, "flow_runs_total", **NIGHTLY, state="completed") == 2


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


def test_totals_are_one_row_a_subject(seen):
    """A batch writes each subject once, however many of its numbers changed."""
    everything(seen)
    assert seen.read(select(func.count()).select_from(totals))[0][0] == 5
