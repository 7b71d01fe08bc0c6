"""Prefect's documents and messages as our events, over what a real server gave."""

from __future__ import annotations

from collections import Counter

import pytest
from msgspec.structs import replace

from flowtell.events import (
    AssetDeclared,
    AssetFailed,
    AssetMaterialized,
    FlowRunFinished,
    FlowRunLate,
    FlowRunPaused,
    FlowRunResumed,
    FlowRunRetrying,
    FlowRunScheduled,
    FlowRunStarted,
    FlowRunWaiting,
    TaskRunFinished,
    TaskRunRetrying,
    TaskRunStarted,
    UserEvent,
)
from flowtell.ids import is_id
from flowtell.testing import PluginHarness
from flowtell_alerts.evaluator import create as create_alerts
from flowtell_sources.prefect import flow_runs, surroundings, task_runs
from flowtell_sources.prefect.assets import asset_events
from flowtell_sources.prefect.documents import (
    Details,
    FlowRun,
    Message,
    State,
    TaskRun,
    read_document,
    read_documents,
)
from flowtell_sources.prefect.flow_runs import KnownRun
from flowtell_sources.prefect.identity import iso, moment, run_id
from flowtell_sources.prefect.links import Links
from flowtell_sources.prefect.other_events import other_events
from flowtell_sources.prefect.states import failure

NOON = "2026-11-24T12:00:00.123456Z"
KNOWN = KnownRun(external="7d9ecc88-6237-4362-963b-ccdb954551f8", flow="good")


def state(type, name=None, at=NOON, id="01a20fdf-2a31-7978-91cf-e5f77be04413", **facts):
    return State(type=type, name=name or type.capitalize(), id=id, timestamp=at, **facts)


def message(event, **fields):
    facts = {"id": "01a20fdf-2a31-7978-91cf-e5f77be04413", "occurred": NOON, **fields}
    return Message(event=event, **facts)


@pytest.fixture(scope="module")
def messages(recorded):
    return read_documents(recorded("events"), Message)


def known(run):
    return flow_runs.known_from_document(run, flow="f", deployment="", url="", parent=None)


def never_began(runs):
    return {run_id(run.id) for run in runs.values() if run.end_time and not run.run_count}


# --- one fact, two ways -------------------------------------------------------------------------------------------


def test_a_run_is_the_same_facts_by_message_and_by_document(recorded, messages):
    """What the REST API tells of flow runs has the ids that the messages of the same states have."""
    told = set()
    runs = {run.id: run for run in read_documents(recorded("flow_runs"), FlowRun)}
    for each in messages:
        external = each.subject.removeprefix("prefect.flow-run.")
        if external in runs and "prefect.state-type" in each.resource:
            count = int(each.resource["prefect.run-count"])
            before = task_runs.before_of_message(each)
            told |= {
                event.id
                for event in flow_runs.transition(
                    known(runs[external]), flow_runs.state_of_message(each), before=before, count=count
                )
            }
    read = [
        event
        for run in runs.values()
        if not run.auto_scheduled  # made many at once by Prefect's scheduler, which tells of none
        for event in flow_runs.whole_run(run, known(run))
    ]
    (cancelled,) = (event for event in read if isinstance(event, FlowRunScheduled) and event.run in never_began(runs))
    read.remove(cancelled)
    assert cancelled.due is not None
    assert len(read) == 22
    assert {event.id for event in read} <= told


def test_a_task_run_is_the_same_facts_by_message_and_by_document(recorded, messages):
    """Subflows stand in their parent as task runs, of which no message tells."""
    told, found = set(), {}
    for each in messages:
        run = task_runs.run_of_message(each)
        if run is not None:
            found[run.id] = run
            before = task_runs.before_of_message(each)
            events = task_runs.transition(run, run.state, {}, before=before, count=run.run_count)
            told |= {event.id for event in events}
    runs = read_documents(recorded("task_runs"), TaskRun)
    subflows = [run for run in runs if run.id not in found]
    assert sorted(task_runs.task_name(run) for run in subflows) == ["bad", "child"]
    read = [event for run in runs if run.id in found for event in task_runs.whole_run(run, {})]
    assert len(read) == 24
    assert {event.id for event in read} <= told


def test_ends_are_what_the_server_counts(recorded, messages):
    """One end for each flow run and task run that ended, in our words for Prefect's states."""
    runs = read_documents(recorded("flow_runs"), FlowRun)
    ends = [event for run in runs for event in flow_runs.whole_run(run, known(run)) if isinstance(event, FlowRunFinished)]
    assert Counter(event.state for event in ends) == {"completed": 5, "failed": 4, "cancelled": 1}
    assert Counter(event.native_state for event in ends) == {"Completed": 5, "Failed": 4, "Cancelled": 1}
    assert all(is_id(event.id) and is_id(event.run) and event.time for event in ends)


# --- states -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("native", "kind", "ours"),
    [
        (state("COMPLETED"), FlowRunFinished, "completed"),
        (state("COMPLETED", "Cached"), FlowRunFinished, "cached"),
        (state("COMPLETED", "Ours"), FlowRunFinished, "completed"),
        (state("FAILED"), FlowRunFinished, "failed"),
        (state("FAILED", "TimedOut"), FlowRunFinished, "timed_out"),
        (state("CANCELLED"), FlowRunFinished, "cancelled"),
        (state("CRASHED"), FlowRunFinished, "crashed"),
        (state("SCHEDULED"), FlowRunScheduled, None),
        (state("SCHEDULED", "Late"), FlowRunLate, None),
        (state("SCHEDULED", "AwaitingRetry"), FlowRunRetrying, None),
        (state("SCHEDULED", "AwaitingConcurrencySlot"), FlowRunWaiting, None),
        (state("PAUSED", "Suspended"), FlowRunPaused, None),
        (state("RUNNING"), FlowRunStarted, None),
    ],
    ids=lambda value: value.name if isinstance(value, State) else "",
)
def test_each_state_of_a_flow_run(native, kind, ours):
    """Its own name is kept beside ours."""
    (event,) = flow_runs.transition(KNOWN, native, before="PENDING", count=1)
    assert type(event) is kind
    if ours:
        assert (event.state, event.native_state) == (ours, native.name)


def test_what_follows_a_pause_is_no_attempt():
    (event,) = flow_runs.transition(KNOWN, state("RUNNING"), before="PAUSED", count=1)
    assert isinstance(event, FlowRunResumed)


def test_a_state_that_nobody_has_seen_is_left_out():
    """A later Prefect's; the run goes on with the next one that is known."""
    assert flow_runs.transition(KNOWN, state("ASCENDING"), before="", count=0) == []
    assert flow_runs.transition(KNOWN, state("RUNNING", at="yesterday"), before="", count=1) == []


def test_attempts_from_the_list_of_states():
    """The wait between two attempts is one retry, by its own states."""
    at = [f"2026-11-24T12:00:0{second}Z" for second in range(6)]
    states = [
        state("PENDING", at=at[0], id="a"),
        state("RUNNING", at=at[1], id="b"),
        state("SCHEDULED", "AwaitingRetry", at=at[2], id="c", state_details=Details(scheduled_time=at[4])),
        state("RUNNING", at=at[4], id="d"),
        state("COMPLETED", at=at[5], id="e"),
    ]
    events = list(flow_runs.whole_run(FlowRun(id=KNOWN.external, run_count=2), KNOWN, states[::-1]))
    assert [event.type.split(".")[1] for event in events] == ["pending", "started", "retrying", "started", "finished"]
    assert [event.attempt for event in events if isinstance(event, FlowRunStarted)] == [1, 2]
    (retry,) = (event for event in events if isinstance(event, FlowRunRetrying))
    assert (retry.attempt, retry.delay) == (1, 2.0)
    assert events[-1].attempts == 2


def test_a_retry_at_once_is_a_retry(messages):
    """Prefect goes from RUNNING to RUNNING then; both ways tell of one retry and two attempts."""
    run, seen = None, []
    for each in messages:
        run = task_runs.run_of_message(each)
        if run is not None and run.name.startswith("flaky"):
            seen += task_runs.transition(run, run.state, {}, before=task_runs.before_of_message(each), count=run.run_count)
    kinds = Counter(type(event) for event in seen)
    assert (kinds[TaskRunRetrying], kinds[TaskRunStarted], kinds[TaskRunFinished]) == (1, 2, 1)


def test_a_task_that_never_became_ready_is_skipped():
    """What it waits for has failed: Prefect leaves it PENDING for ever."""
    run = TaskRun(id="x", state=state("PENDING", "NotReady"))
    (event,) = task_runs.transition(run, run.state, {}, before="PENDING", count=0)
    assert (event.state, event.native_state) == ("skipped", "NotReady")


@pytest.mark.parametrize(
    ("message", "type", "text"),
    [
        ("Flow run encountered an exception: ValueError: no rows", "ValueError", "no rows"),
        ("Task run encountered an exception ConnectionError: refused", "ConnectionError", "refused"),
        ("Flow run exceeded timeout of 1.0 second(s)", "Failed", "Flow run exceeded timeout of 1.0 second(s)"),
        (None, "Failed", ""),
    ],
    ids=["flow", "task", "sentence", "none"],
)
def test_what_went_wrong(message, type, text):
    """The exception's type and words, where the state's message has Prefect's form."""
    found = failure(state("FAILED", message=message))
    assert (found.type, found.message) == (type, text)


# --- names and edges ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (TaskRun(name="extract-10d", dynamic_key="10d69f10-635f", task_key="extract-d783a8aa"), "extract"),
        (TaskRun(name="My task-0ab", dynamic_key="0abcdef", task_key="fn-d783a8aa"), "My task"),
        (TaskRun(name="bad-0", dynamic_key="0", task_key="bad-7fbb840f"), "bad"),
        (TaskRun(name="load for monday", dynamic_key="12345", task_key="pipelines.load-7fbb840f"), "load"),
    ],
    ids=["default", "named", "subflow", "own run name"],
)
def test_the_task_of_a_run(run, name):
    assert task_runs.task_name(run) == name


def test_dependencies_are_named_by_argument():
    """The task in which a task was called is no dependency."""
    one, two = "01a20fdf-2a4e-78df-a05c-6a0dc96f452c", "01a20fdf-2a57-7a53-9083-3222e3fe33d4"
    inputs = {
        "left": [{"input_type": "task_run", "id": one}],
        "right": [{"input_type": "constant", "type": "int"}, {"input_type": "task_run", "id": two}],
        "__parents__": [{"input_type": "task_run", "id": two}],
    }
    found = task_runs.upstream(TaskRun(task_inputs=inputs))
    assert [(each.argument, each.task_run) for each in found] == [("left", run_id(one)), ("right", run_id(two))]


def test_parameters_come_as_names(recorded):
    """Of a deployment and of a run: no value leaves Prefect."""
    (deployment,) = recorded("deployments")
    declared = surroundings.deployment_declared(deployment, "deployed")
    assert declared.parameters == {"day": None, "password": None}
    assert declared.owners == ("growth",)
    assert (declared.pool, declared.queue, declared.ready, declared.paused) == ("nobody", "default", False, False)
    (schedule,) = declared.schedules
    assert (schedule.kind, schedule.expression, schedule.tz) == ("cron", "0 2 1 1 *", "Europe/Berlin")
    late = next(run for run in read_documents(recorded("flow_runs"), FlowRun) if run.state.name == "Late")
    (event,) = flow_runs.whole_run(late, known(late))
    assert isinstance(event, FlowRunLate)
    assert event.due == moment("2026-11-24T23:03:31.981174Z") or event.due < event.time
    assert "hunter2" not in str(event) + str(declared)


def test_the_same_content_is_the_same_declaration(recorded):
    """A restart declares nothing anew; a change does."""
    (deployment,) = recorded("deployments")
    once, again = (surroundings.deployment_declared(deployment, "deployed") for _ in range(2))
    changed = surroundings.deployment_declared({**deployment, "paused": True}, "deployed")
    assert once.id == again.id != changed.id


def test_a_deployments_tags_open_one_incident(recorded, tmp_path):
    """`flowtell.max=30m` is judged once, by its deployment, with the owner that another tag names."""
    (deployment,) = recorded("deployments")
    flow = next(each for each in recorded("flows") if each["name"] == "deployed")
    began = replace(KNOWN, flow="deployed", deployment="berlin", started=moment(NOON))
    with PluginHarness(create_alerts, tmp_path, name="alerts") as alerts:
        alerts.clock.advance((moment(NOON) - alerts.clock.now) / 1e6)
        alerts.feed(
            [
                surroundings.flow_declared(flow, surroundings.owners(deployment["tags"])),
                surroundings.deployment_declared(deployment, "deployed"),
                flow_runs.started(began, moment(NOON), 1),
            ]
        )
        for _ in range(8):
            alerts.tick(300)
        (incident,) = alerts.log("incident.opened")
    assert (incident.rule.kind, incident.owners, incident.runs) == ("too_long", ("growth",), (KNOWN.id,))


# --- assets and other events --------------------------------------------------------------------------------------


def test_assets_with_what_they_were_made_from(messages):
    events = [event for each in messages if "asset" in each.event for event in asset_events(each, {})]
    (made,) = (event for event in events if isinstance(event, AssetMaterialized))
    assert (made.asset, made.by) == ("s3://lake/orders.parquet", "spark")
    assert [(each.asset, each.evidence) for each in made.upstream] == [("postgres://shop/public/orders", "declared")]
    (failed,) = (event for event in events if isinstance(event, AssetFailed))
    assert failed.asset == "s3://lake/refused.parquet"


def test_what_prefect_says_of_an_asset():
    resource = {"prefect.resource.id": "s3://a", "prefect.resource.name": "A", "prefect.asset.owners": '["ada"]'}
    events = asset_events(message("prefect.asset.referenced", resource=resource), {})
    (declared,) = (event for event in events if isinstance(event, AssetDeclared))
    assert (declared.name, declared.owners) == ("A", ("ada",))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("acme.scored", "acme.scored"),
        ("prefect.never.seen", "prefect.never.seen"),
        ("flow_run.started", "prefect.event.flow_run.started"),
        ("plain", "prefect.event.plain"),
    ],
)
def test_an_event_of_ones_own_keeps_its_name(name, kept):
    """Unless it would pass for one of ours; a type of Prefect's that nobody has seen passes too."""
    (event,) = other_events(message(name, payload={"score": 1}), {})
    assert isinstance(event, UserEvent)
    assert (event.type, event.payload) == (kept, {"score": 1})


# --- bad input ----------------------------------------------------------------------------------------------------


def test_an_id_that_is_no_uuid_is_the_same_each_time():
    assert is_id(run_id("not-a-uuid"))
    assert run_id("not-a-uuid") == run_id("not-a-uuid") != run_id("another")
    assert run_id("7d9ecc88-6237-4362-963b-ccdb954551f8") == "7d9ecc8862374362963bccdb954551f8"


@pytest.mark.parametrize("text", [None, "", "soon", "2026-13-99T00:00:00Z", "0"])
def test_a_time_that_is_none(text):
    assert moment(text) is None


def test_a_moment_goes_there_and_back():
    """To the microsecond, whatever the zone and however many digits."""
    assert moment("1970-01-01T00:00:01+00:00") == 1_000_000
    assert moment("2026-11-24T13:00:00.123456789+01:00") == moment(NOON)
    assert moment(iso(moment(NOON))) == moment(NOON)


@pytest.mark.parametrize("value", [None, [], "x", {"name": "no id"}, {"id": "x", "tags": 3}, {"id": 7}], ids=repr)
def test_a_document_of_another_shape_is_none(value):
    assert read_document(value, FlowRun) is None


def test_a_message_without_its_payload_says_nothing():
    assert task_runs.run_of_message(message("prefect.task-run.Running")) is None
    assert asset_events(message("prefect.asset.referenced"), {}) == []
    assert asset_events(replace(message("prefect.asset.unheard"), resource={"prefect.resource.id": "a"}), {}) == []


@pytest.mark.parametrize(
    ("api", "ui", "page"),
    [
        ("http://h:4200/api", "", "http://h:4200/runs/flow-run/x"),
        ("http://h:4200/api/", "https://ui/", "https://ui/runs/flow-run/x"),
        (
            "https://api.prefect.cloud/api/accounts/A/workspaces/W",
            "",
            "https://app.prefect.cloud/account/A/workspace/W/runs/flow-run/x",
        ),
    ],
    ids=["own", "given", "cloud"],
)
def test_a_run_links_to_its_page(api, ui, page):
    assert Links(api, ui).flow_run("x") == page
