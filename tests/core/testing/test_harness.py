"""`flowtell.testing.harness`, as somebody uses it who tests flows of his own."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowtell import (
    Asset,
    apause_flow_run,
    cron,
    current_run,
    emit_event,
    failed,
    flow,
    get_run_logger,
    late,
    materialize,
    measure,
    pause_flow_run,
    stale,
    task,
    task_input_hash,
)
from flowtell.artifacts import create_markdown_artifact
from flowtell.bus import settings
from flowtell.errors import FlowPauseTimeout, NobodyAnswers
from flowtell.testing import FlowHarness, harness
from flowtell.testing.simulated_time import timed_modules


@pytest.fixture
def h():
    with harness() as opened:
        yield opened


@task
def load(number: int) -> int:
    measure("rows", number)
    return number


@materialize("s3://lake/clean", asset_deps=["postgres://shop/orders"])
def clean(number: int) -> int:
    return number


@flow(tags=["shop"], rules=[failed()])
def nightly(day: str, numbers: int = 2) -> int:
    get_run_logger().info("working on %s", day)
    emit_event("shop.begun", resource=day)
    return clean(sum(load.map(range(numbers)).result()))


@flow(rules=[failed()])
def broken() -> None:
    raise ValueError("no rows")


# --- what was told


def test_runs_tasks_events_logs_and_edges_are_there_to_look_at(h: FlowHarness) -> None:
    """Each by its kind, with the filters that its attributes are."""
    assert nightly("2026-11-20") == 1
    run = h.run("nightly")
    assert (run.state, run.flow, run.tags, run.parameters) == (
        "completed", "nightly", ("shop",), {"day": "2026-11-20", "numbers": 2}
    )  # fmt: skip
    assert {one.map_index for one in h.task_runs("load")} == {0, 1}
    assert h.task_run("clean").run == run.id
    assert h.task_run("load", map_index=1).state == "completed"
    assert {event.value for event in h.events("measure.recorded")} == {0.0, 1.0}
    assert h.events("shop.begun", run=run.id)[0].resource == {"id": "2026-11-20"}
    assert h.edges() == [("postgres://shop/orders", "s3://lake/clean")]
    assert [line.level for line in h.logs("2026-11-20")] == ["INFO"]
    assert h.runs(parameters=lambda given: given["numbers"] > 2) == []


def test_assertions_hold_and_give_what_they_found(h: FlowHarness) -> None:
    """So that a test goes on from there."""
    nightly("2026-11-20")
    with pytest.raises(ValueError, match="no rows"):
        broken()
    assert h.assert_completed("nightly").deployment == ""
    assert h.assert_failed("broken", error="ValueError").error.message == "no rows"
    assert h.assert_failed("broken", error="no rows") == h.assert_state("broken", "failed")
    assert h.assert_event("measure.recorded", value=lambda value: value > 0).name == "rows"
    assert h.assert_logged("working").logger == "flowtell.run"
    h.assert_edge(Asset("postgres://shop/orders"), "s3://lake/clean")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            lambda h: h.assert_completed("broken"),
            r"^not completed: flow run broken, failed \(ValueError: no rows\)(?s:.*)rais",
        ),
        (
            lambda h: h.assert_completed("nightyl"),
            r"^no flow run with flow='nightyl'; there is\s+flow run nightly, comp",
        ),
        (lambda h: h.assert_failed("broken", error="KeyError"), r"does not have 'KeyError' for its error"),
        (lambda h: h.assert_event("shop.ended"), r"^no event with type='shop.ended'; there is(?s:.*)shop.begun"),
        (lambda h: h.assert_event("shop.begun", flow="x"), r"^no event with type='shop.begun', flow='x'(?s:.*)UserEvent"),
        (lambda h: h.assert_logged("resting"), r"^no log line with containing='resting'; there is\s+INFO working on"),
        (lambda h: h.assert_edge("s3://a", "s3://b"), r"there is\s+postgres://shop/orders -> s3://lake/clean"),
        (lambda h: h.run("nightly", state="failed"), r"^no flow run with flow='nightly', state='failed'; there is"),
        (lambda h: h.task_run("load"), r"^2 task runs with task='load', not one:\s+task run load-\d, completed\s+task"),
        (lambda h: h.assert_incident("late"), r"^no incident with rule='late', resolved=False; there is\s+failed of broken"),
        (lambda h: h.assert_no_incident(), r"^there is one:\s+failed of broken"),
    ],
    ids=["failed", "misspelt", "error", "type", "event", "line", "edge", "run", "two", "incident", "no incident"],
)
def test_what_does_not_hold_is_told_with_what_there_is(h: FlowHarness, wrong, told: str) -> None:
    """A misspelt name is seen at once, and a failed run brings its traceback."""
    nightly("2026-11-20")
    with pytest.raises(ValueError, match="no rows"):
        broken()
    with pytest.raises(AssertionError, match=told):
        wrong(h)


def test_a_filter_that_there_is_not_is_told(h: FlowHarness) -> None:
    """A misspelt one would find nothing, and a test of what must not be would hold; of all events, some have it."""
    with pytest.raises(TypeError, match=r"'sate' filters nothing here; there is id, run, flow, state"):
        h.runs(sate="failed")
    nightly("2026-11-20")
    with pytest.raises(AttributeError, match="vlaue"):
        h.events("measure.recorded", vlaue=1)
    assert {event.type for event in h.events(name="rows")} == {"measure.recorded"}


# --- a home of its own


def test_nothing_stays_and_nothing_comes_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever home, store, server and environment are set outside."""
    outside = {
        "HOME": str(tmp_path),
        "URL": "http://127.0.0.1:9",
        "STORE": f"sqlite:///{tmp_path}/x.db",
        "ENVIRONMENT": "prod",
    }
    for name, value in outside.items():
        monkeypatch.setenv(f"FLOWTELL_{name}", value)
    with harness() as h:
        nightly("2026-11-20")
        assert h.run("nightly").id
        assert {event.environment for event in h.events()} == {"test"}
        assert settings()["url"] == ""
        assert settings().store_url == f"sqlite:///{h.home}/flowtell.db"
    assert not os.path.exists(h.home)
    assert list(tmp_path.iterdir()) == []
    assert os.environ["FLOWTELL_HOME"] == str(tmp_path)


def test_what_another_process_of_the_home_tells_is_seen(h: FlowHarness) -> None:
    """A child that the flow begins has the home too."""
    pid = os.fork()
    if pid == 0:
        try:
            emit_event("child.spoke")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert h.assert_event("child.spoke").environment == "test"


def test_there_is_one_at_a_time(h: FlowHarness) -> None:
    """A process has one clock; after one comes another."""
    with pytest.raises(RuntimeError, match="open already"), harness():
        pass


# --- time


def test_the_clock_stands_until_it_is_moved(h: FlowHarness) -> None:
    """Whatever tells a time tells this one."""
    seen = []

    @flow
    def look() -> None:
        seen.append(current_run().started)
        create_markdown_artifact("# day")

    look()
    h.time.advance(hours=26, minutes=1)
    look()
    h.time.move_to("2026-02-01T00:00Z")
    look()
    assert seen == [
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 2, 2, 1, tzinfo=UTC),
        datetime(2026, 2, 1, tzinfo=UTC),
    ]
    times = {event.time for event in h.events()}
    assert len(times) == 3
    assert all(int(event.id[:12], 16) * 1000 == event.time for event in h.events())
    assert h.time.advance("90m") == h.time.now == datetime(2026, 2, 1, 1, 30, tzinfo=UTC)
    assert h.time.advance(timedelta(seconds=1.5)).microsecond == 500_000


def test_the_clock_does_not_go_back_and_has_a_zone(h: FlowHarness) -> None:
    """As the log's order would not be that of its times any more."""
    with pytest.raises(ValueError, match="does not go back"):
        h.time.advance(hours=-1)
    with pytest.raises(ValueError, match="needs a zone"):
        h.time.move_to("2027-01-01T00:00")


def test_it_is_the_systems_clock_again_afterwards() -> None:
    """Every name that stood for the system's stands for it again, also where the block raised."""
    before = [dict(vars(module)) for module in timed_modules()]
    with pytest.raises(KeyError), harness():
        raise KeyError
    assert [dict(vars(module)) for module in timed_modules()] == before


def test_no_module_of_the_engine_asks_the_system_meanwhile(h: FlowHarness) -> None:
    """One that is added is found too."""
    loaded = [module for name, module in list(sys.modules.items()) if re.fullmatch(r"flowtell\.engine\.\w+", name)]
    assert {module.__name__ for module in timed_modules()} > {"flowtell.engine.runs", "flowtell.engine.reuse"}
    asking = {
        f"{module.__name__}.{name}"
        for module in (*timed_modules(), *(one for one in loaded if hasattr(one, "__file__")))
        for name, value in vars(module).items()
        if value is time or value in (time.time_ns, time.perf_counter_ns, time.time)
    }
    assert asking == set()


def test_delays_of_retries_pass_at_once(h: FlowHarness) -> None:
    """The clock is moved on by them: events, durations and what is looked at later agree."""
    tries = []

    @task(retries=3, retry_delay_seconds=[60, 3600])
    def flaky() -> int:
        tries.append(current_run().attempt)
        if len(tries) < 4:
            raise ConnectionError("refused")
        return 1

    began = time.monotonic()
    assert flaky() == 1
    assert time.monotonic() - began < 5
    assert h.time.now == datetime(2026, 1, 1, 2, 1, tzinfo=UTC)
    run = h.task_run("flaky")
    assert (run.attempts, run.ended - run.started) == (4, timedelta(hours=2, minutes=1))
    assert run.duration == pytest.approx(7260, abs=5)
    assert [event.delay for event in h.events("task_run.retrying")] == [60, 3600, 3600]


def test_delays_of_async_retries_pass_too(h: FlowHarness) -> None:
    """On the loop of the test."""
    tries = []

    @flow(retries=1, retry_delay_seconds=600)
    async def flaky() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError("refused")
        return "well"

    assert asyncio.run(flaky()) == "well"
    assert h.time.now == datetime(2026, 1, 1, 0, 10, tzinfo=UTC)


def test_kept_results_grow_old(h: FlowHarness) -> None:
    """`cache_expiration` is counted on the clock of the harness."""
    computed = []

    @task(cache_key_fn=task_input_hash, cache_expiration=timedelta(hours=24))
    def extract(day: str) -> str:
        computed.append(day)
        return day

    for hours in (0, 23, 2):
        h.time.advance(hours=hours)
        assert extract("2026-11-20") == "2026-11-20"
    assert len(computed) == 2
    assert [run.state for run in h.task_runs("extract")] == ["completed", "cached", "completed"]


# --- schedules and rules


@flow(rules=[late(after="15m"), stale(within="26h", asset="s3://lake/clean"), failed()])
def scheduled(fail: bool = False) -> None:
    if fail:
        raise ValueError("no rows")


def test_what_is_served_runs_when_the_clock_passes_it(h: FlowHarness) -> None:
    """In order, each at its due time, whatever becomes of it."""
    berlin = cron("0 2 * * *", tz="Europe/Berlin")
    h.serve(scheduled.to_deployment("berlin", schedule=berlin, tags=["eu"]))
    h.serve(scheduled.to_deployment("bad", schedule="30 1 * * *", parameters={"fail": True}))
    h.serve(scheduled.to_deployment("off", schedule="* * * * *", paused=True))
    h.time.advance(hours=26)
    told = [(run.deployment, run.state, run.due, run.started == run.due, run.cause) for run in h.runs()]
    hour = datetime(2026, 1, 1, tzinfo=UTC)
    assert told == [
        ("berlin", "completed", hour + timedelta(hours=1), True, "schedule"),
        ("bad", "failed", hour + timedelta(hours=1.5), True, "schedule"),
        ("berlin", "completed", hour + timedelta(hours=25), True, "schedule"),
        ("bad", "failed", hour + timedelta(hours=25.5), True, "schedule"),
    ]
    assert h.runs(deployment="berlin")[0].tags == ("eu",)


def test_a_run_that_nobody_starts_is_late(h: FlowHarness) -> None:
    """Not before its grace is over, and no longer once it has come."""
    deployment = scheduled.to_deployment("berlin", schedule=cron("0 2 * * *"))
    h.declare(deployment)
    h.time.move_to("2026-01-01T02:14Z")
    h.assert_no_incident()
    h.time.move_to("2026-01-01T02:16Z")
    incident = h.assert_incident("late", flow="scheduled")
    assert (incident.subject, incident.flow, incident.resolved) == ("scheduled/berlin", "scheduled", False)
    assert h.runs() == []


def test_a_failed_run_is_an_incident_and_a_good_one_ends_it(h: FlowHarness) -> None:
    """Rules are judged by what the runs told, as on a server."""
    with pytest.raises(ValueError, match="no rows"):
        scheduled(fail=True)
    incident = h.assert_incident("failed", flow="scheduled")
    assert incident.runs == (h.run("scheduled").id,)
    assert incident.since == h.time.now
    h.time.advance(minutes=10)
    scheduled()
    assert [one.resolved for one in h.incidents("failed")] == [True]


# --- pauses


@flow
def asks(timeout: str | None = "2h") -> bool:
    return pause_flow_run(bool, timeout=timeout, key="approve")


@flow
async def asks_on_a_loop() -> str:
    return await apause_flow_run(str, timeout="2h")


def test_an_answer_that_stands_ready_is_given(h: FlowHarness) -> None:
    """By the way that every answer goes, so that one that does not fit is refused."""
    h.answer("what?", key="approve")
    h.answer(True, key="approve", actor="anna")
    h.answer("yes", flow="asks_on_a_loop")
    assert asks() is True
    assert asyncio.run(asks_on_a_loop()) == "yes"
    assert [(event.answer, event.actor) for event in h.events("flow_run.resumed")] == [(True, "anna"), ("yes", "test")]


def test_nobody_answers_and_the_time_is_up_at_once(h: FlowHarness) -> None:
    """On the thread of the test nobody can."""
    with pytest.raises(FlowPauseTimeout):
        asks()
    assert h.assert_failed("asks").ended == datetime(2026, 1, 1, 2, tzinfo=UTC)
    with pytest.raises(FlowPauseTimeout):
        asyncio.run(asks_on_a_loop())
    with pytest.raises(NobodyAnswers, match=r"h\.start"):
        asks(timeout=None)


def test_a_flow_that_was_started_waits_for_the_test(h: FlowHarness) -> None:
    """It is answered, or its time passes, when the test says so."""
    started = h.start(asks, "2h").wait_until("paused")
    h.time.advance(hours=1)
    h.answer(False)
    assert started.result() is False
    waits = h.start(asks, "2h").wait_until("paused")
    h.time.advance(hours=2)
    with pytest.raises(FlowPauseTimeout):
        waits.result()
    assert [run.state for run in h.runs("asks")] == ["completed", "failed"]
    with pytest.raises(AssertionError, match="not paused within 0 s: flow run asks, failed"):
        waits.wait_until("paused", timeout=0)
