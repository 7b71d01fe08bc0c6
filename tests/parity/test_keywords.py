"""A keyword that is called the same changes what it says, given to the decorator and by `with_options` alike."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from flowtell import (
    Flow,
    State,
    Task,
    ThreadPoolTaskRunner,
    concurrency,
    current_run,
    emit_event,
    flow,
    materialize,
    task,
    task_input_hash,
)
from flowtell.cache_policies import INPUTS, NO_CACHE, CachePolicy
from flowtell.errors import BadLimit, RunTimedOut, UpstreamFailed
from flowtell.futures import as_completed, resolve_futures_to_results, resolve_futures_to_states, wait
from flowtell.states import Cancelled, Completed, Failed, get_state_exception, raise_state_exception
from flowtell.testing import FlowHarness, harness

Make = Callable[..., Any]
"""`make(function, **options)`: the flow or task that has these options."""


@pytest.fixture
def h() -> Iterator[FlowHarness]:
    with harness() as opened:
        yield opened


def one() -> int:
    return 1


def fails() -> None:
    raise ValueError("no rows")


def prints() -> None:
    print("three rows")


def takes_long() -> None:
    time.sleep(5)


def add_one(number: int = 1) -> Any:
    COMPUTED.append(number)
    return number + 1


COMPUTED: list[int] = []


class Torn(BaseException):
    """No `Exception`."""


def interrupted() -> None:
    raise KeyboardInterrupt


def torn() -> None:
    raise Torn


def run_with(error: type[BaseException], work: Any) -> None:
    with pytest.raises(error):
        work()


# --- of flows and tasks: `seen` gives the one run -----------------------------------------------------------------


def seen(h: FlowHarness, work: Any) -> Any:
    return (h.runs() if isinstance(work, Flow) else h.task_runs())[-1]


def name(h: FlowHarness, make: Make) -> None:
    work = make(one, name="uno")
    work()
    assert (seen(h, work).task or seen(h, work).flow) == "uno"


def description(h: FlowHarness, make: Make) -> None:
    assert make(one, description="Counts.").description == "Counts."


def version(h: FlowHarness, make: Make) -> None:
    work = make(one, version="7")
    work()
    assert work.version == "7"
    assert not isinstance(work, Flow) or h.run().version == "7"


def retries(h: FlowHarness, make: Make) -> None:
    work = make(fails, retries=2)
    run_with(ValueError, work)
    assert seen(h, work).attempts == 3


def retry_delay_seconds(h: FlowHarness, make: Make) -> None:
    run_with(ValueError, make(fails, retries=2, retry_delay_seconds=[10, 20]))
    assert h.time.now == datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)


def timeout_seconds(h: FlowHarness, make: Make) -> None:
    work = make(takes_long, timeout_seconds=0.05)
    run_with(RunTimedOut, work)
    assert seen(h, work).state == "timed_out"


def log_prints(h: FlowHarness, make: Make) -> None:
    quiet, loud = make(prints), make(prints, log_prints=True)

    @flow
    def around(inner: Any) -> None:
        inner()

    quiet()
    around(quiet)
    assert h.logs("three rows") == []
    loud()
    around(loud)
    assert len(h.logs("three rows")) == 2


def hook_at(option: str, function: Callable[[], Any], state: str, error: type[BaseException] | None) -> Callable[..., None]:
    def proof(h: FlowHarness, make: Make) -> None:
        told = []
        work = make(function, **{option: [lambda work, run, state: told.append((work, run.id, state))]})
        run_with(error, work) if error is not None else work()
        assert told == [(work, seen(h, work).id, state)]
        assert isinstance(told[0][2], State)

    return proof


SHARED = {
    "name": name,
    "description": description,
    "version": version,
    "retries": retries,
    "retry_delay_seconds": retry_delay_seconds,
    "timeout_seconds": timeout_seconds,
    "log_prints": log_prints,
    "on_completion": hook_at("on_completion", one, "completed", None),
    "on_failure": hook_at("on_failure", fails, "failed", ValueError),
    "on_running": hook_at("on_running", one, "running", None),
}


# --- of flows alone


def flow_run_name(h: FlowHarness, make: Make) -> None:
    make(add_one, flow_run_name="plus-{number}")(4)
    make(add_one, flow_run_name=lambda: "chosen")()
    assert [run.name for run in h.runs()] == ["plus-4", "chosen"]


def task_runner(h: FlowHarness, make: Make) -> None:
    @task
    def where(_number: int) -> int:
        time.sleep(0.01)
        return threading.get_ident()

    def several() -> int:
        return len(set(where.map(range(4)).result()))

    assert make(several, task_runner=ThreadPoolTaskRunner(max_workers=1))() == 1
    assert make(several)() > 1


def validate_parameters(h: FlowHarness, make: Make) -> None:
    def kind(number: int) -> str:
        return type(number).__name__

    assert make(kind)("3") == "int"
    assert make(kind, validate_parameters=False)("3") == "str"


FLOWS = SHARED | {
    "flow_run_name": flow_run_name,
    "task_runner": task_runner,
    "validate_parameters": validate_parameters,
    "on_cancellation": hook_at("on_cancellation", interrupted, "cancelled", KeyboardInterrupt),
    "on_crashed": hook_at("on_crashed", torn, "crashed", Torn),
}


# --- of tasks alone


def tags(h: FlowHarness, make: Make) -> None:
    make(one, tags=["b", "a"])()
    assert h.task_run().tags == ("a", "b")


def task_run_name(h: FlowHarness, make: Make) -> None:
    make(add_one, task_run_name="plus-{number}")(4)
    assert h.task_run().name == "plus-4"


def retry_jitter_factor(h: FlowHarness, make: Make) -> None:
    run_with(ValueError, make(fails, retries=3, retry_delay_seconds=10, retry_jitter_factor=1.0))
    delays = [event.delay for event in h.events("task_run.retrying")]
    assert all(10 < delay <= 20 for delay in delays)
    assert len(set(delays)) == 3


def retry_condition_fn(h: FlowHarness, make: Make) -> None:
    asked = []
    run_with(ValueError, make(fails, retries=3, retry_condition_fn=lambda task, run, state: asked.append(state.error)))
    assert [str(error) for error in asked] == ["no rows"]
    assert h.task_run().attempts == 1


def states_after(h: FlowHarness, work: Any, *hours: float) -> list[str]:
    """Of runs with the same argument, one after the other, in one flow run."""

    @flow
    def around() -> None:
        for passed in hours:
            h.time.advance(hours=passed)
            work(3)

    around()
    return [run.state for run in h.task_runs()]


def cache_policy(h: FlowHarness, make: Make) -> None:
    assert states_after(h, make(add_one, cache_policy=INPUTS), 0, 0) == ["completed", "cached"]


def cache_key_fn(h: FlowHarness, make: Make) -> None:
    assert states_after(h, make(add_one, cache_key_fn=task_input_hash), 0, 0) == ["completed", "cached"]
    assert make(add_one, cache_key_fn=lambda context, given: f"own-{given['number']}")(3) == 4
    assert h.events("task_run.finished")[-1].cache_key == "own-3"


def cache_expiration(h: FlowHarness, make: Make) -> None:
    work = make(add_one, cache_policy=INPUTS, cache_expiration=timedelta(hours=2))
    assert states_after(h, work, 0, 1, 2) == ["completed", "cached", "completed"]


def refresh_cache(h: FlowHarness, make: Make) -> None:
    assert states_after(h, make(add_one, cache_policy=INPUTS, refresh_cache=True), 0, 0) == ["completed", "completed"]


def persist_result(h: FlowHarness, make: Make) -> None:
    make(add_one, persist_result=True)(3)
    make(add_one, cache_policy=INPUTS, persist_result=False)(3)
    kept, not_kept = h.events("task_run.finished")
    assert kept.result.location
    assert not not_kept.result.location


def result_storage(h: FlowHarness, make: Make) -> None:
    make(add_one, persist_result=True, result_storage=f"{h.home}/elsewhere")(3)
    assert h.events("task_run.finished")[0].result.location.startswith(f"{h.home}/elsewhere")


def result_serializer(h: FlowHarness, make: Make) -> None:
    make(add_one, persist_result=True, result_serializer="json")(3)
    with open(h.events("task_run.finished")[0].result.location, "rb") as file:
        assert file.read().endswith(b"4")


def asset_deps(h: FlowHarness, make: Make) -> None:
    read = make(lambda: [1, 2], asset_deps=["postgres://shop/orders"])
    written = materialize("s3://lake/orders", asset_deps=["postgres://shop/items"])(lambda value: None)

    @flow
    def both() -> None:
        written(read())

    both()
    assert set(h.edges()) == {(f"postgres://shop/{table}", "s3://lake/orders") for table in ("orders", "items")}


TASKS = SHARED | {
    proof.__name__: proof
    for proof in (
        tags, task_run_name, retry_jitter_factor, retry_condition_fn, cache_policy, cache_key_fn, cache_expiration,
        refresh_cache, persist_result, result_storage, result_serializer, asset_deps,
    )
}  # fmt: skip


def decorated(decorator: Callable[..., Any]) -> Make:
    return lambda function, **options: decorator(**options)(function)


def made_anew(decorator: Callable[..., Any]) -> Make:
    return lambda function, **options: decorator(function).with_options(**options)


@pytest.mark.parametrize("how", [decorated, made_anew])
@pytest.mark.parametrize("keyword", FLOWS)
def test_of_flows(h: FlowHarness, keyword: str, how: Callable[..., Make]) -> None:
    """Each of its own."""
    FLOWS[keyword](h, how(flow))


@pytest.mark.parametrize("how", [decorated, made_anew])
@pytest.mark.parametrize("keyword", TASKS)
def test_of_tasks(h: FlowHarness, keyword: str, how: Callable[..., Make]) -> None:
    """Each of its own."""
    TASKS[keyword](h, how(task))


@pytest.mark.parametrize(
    ("path", "proven"),
    [
        ("prefect.flow", FLOWS),
        ("prefect.flows.Flow.with_options", FLOWS),
        ("prefect.task", TASKS),
        ("prefect.tasks.Task.with_options", TASKS),
    ],
)
def test_no_keyword_is_said_to_be_the_same_without_proof(page, path: str, proven: dict[str, Any]) -> None:
    """One that is added needs its own."""
    same = {row.name for row in page.all_rows()[path] if row.here}
    assert same - set(proven) == set()


# --- calls --------------------------------------------------------------------------------------------------------


@task
def double(number: int) -> int:
    return 2 * number


@task
def refuse() -> int:
    raise ValueError("refused")


def test_return_state_of_a_call(h: FlowHarness) -> None:
    """Of a flow and of a task: how it ended, in place of a result or an exception."""
    state = double(3, return_state=True)
    assert (state, state.name, state.is_completed(), state.result()) == ("completed", "Completed", True, 6)
    state = flow(fails)(return_state=True)
    assert (state.name, state.is_failed(), state.message) == ("Failed", True, "ValueError: no rows")
    assert isinstance(state.result(raise_on_failure=False), ValueError)
    with pytest.raises(ValueError, match="no rows"):
        state.result()
    with pytest.raises(ValueError, match="no rows"):
        raise_state_exception(state)
    assert get_state_exception(state) is state.error
    with pytest.raises(KeyboardInterrupt):
        flow(interrupted)(return_state=True)


def test_return_state_of_a_coroutine(h: FlowHarness) -> None:
    """It is awaited."""
    asyncio.run(states_of_coroutines())


async def states_of_coroutines() -> None:

    @flow
    async def later(number: int) -> int:
        return 1 // number

    assert await (await later(1, return_state=True)).aresult() == 1
    assert isinstance((await later(0, return_state=True)).error, ZeroDivisionError)


def test_a_generator_has_no_state_to_return(h: FlowHarness) -> None:
    """It has not ended when its call returns."""

    @flow
    def numbers() -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match="is a generator"):
        numbers(return_state=True)


def test_return_state_of_what_is_submitted(h: FlowHarness) -> None:
    """Waited for."""
    assert double.submit(3, return_state=True).result() == 6
    assert [state.result() for state in double.map([1, 2], return_state=True)] == [2, 4]
    assert refuse.submit(return_state=True) == "failed"
    assert double.submit(3).wait().state.result() == 6


def test_wait_for(h: FlowHarness) -> None:
    """A call, a submitted task and a subflow begin when it has ended, and do not where it failed."""
    order = []

    @task
    def slow() -> None:
        time.sleep(0.05)
        order.append("slow")

    @flow
    def inner() -> None:
        order.append("inner")

    @task
    def other() -> None:
        order.append("other")

    @flow
    def outer() -> None:
        inner(wait_for=[slow.submit()])
        other(wait_for=[slow.submit()])
        other.submit(wait_for=slow.submit()).wait()
        bad = refuse.submit()
        assert inner(wait_for=[bad], return_state=True) == "skipped"
        with pytest.raises(UpstreamFailed):
            other(wait_for=[bad])

    outer()
    assert order == ["slow", "inner", "slow", "other", "slow", "other"]
    assert [run.state for run in h.runs("inner")] == ["completed", "skipped"]


def test_a_flow_ends_in_the_state_that_it_returns(h: FlowHarness) -> None:
    """With its data, its error, or a word."""
    assert flow(lambda: Completed(message="nothing to do", data=3))() == 3
    state = flow(lambda: Failed(message="3 of 40 files are missing"))(return_state=True)
    assert (state, str(state.error)) == ("failed", "3 of 40 files are missing")
    with pytest.raises(KeyError):
        flow(lambda: Failed(data=KeyError("day")))()
    assert flow(lambda: Cancelled(message="not today"))(return_state=True).is_cancelled()
    assert flow(lambda: refuse(return_state=True))(return_state=True).is_failed()
    assert [run.state for run in h.runs()] == ["completed", "failed", "failed", "cancelled", "failed"]


def test_hooks_are_hung_by_decorators(h: FlowHarness) -> None:
    """Beside those of the options, on flows and tasks."""
    told = []
    hung = flow(on_failure=[lambda *_: told.append("option")])(fails)

    @hung.on_failure
    @hung.on_running
    def say(_flow: Flow[..., Any], run: Any, state: State) -> None:
        told.append(state.name)

    @double.on_completion
    def say_too(_task: Task[..., Any], run: Any, state: State) -> None:
        told.append(run.name)

    hung(return_state=True)
    double(3)
    assert told == ["Running", "option", "Failed", "double-0"]


# --- futures, events, limits ----------------------------------------------------------------------------------------


def test_waiting_for_several_futures(h: FlowHarness) -> None:
    """All, for a time, or one after the other as they end."""
    free = threading.Event()

    @task
    def held() -> str:
        free.wait(10)
        return "held"

    @flow
    def both() -> list[Any]:
        first, second = held.submit(), double.submit(2)
        second.wait()
        done, not_done = wait([first, second], timeout=0.01)
        assert (done, not_done) == ({second}, {first})
        with pytest.raises(TimeoutError, match="1 futures"):
            list(as_completed([first, second], timeout=0.01))
        called: list[Any] = []
        second.add_done_callback(called.append)
        assert called == [second]
        ended = as_completed([first, second])
        assert next(ended) is second
        free.set()
        assert next(ended) is first
        assert resolve_futures_to_states({"a": [first]}) == {"a": ["completed"]}
        return resolve_futures_to_results([first, {"b": second}])

    assert both() == ["held", {"b": 4}]


def test_events_of_ones_own(h: FlowHarness) -> None:
    """With a time, an id and a cause that are given."""
    cause = emit_event(event="shop.opened", resource={"prefect.resource.id": "shop"})
    own = uuid4()
    when = datetime(2025, 12, 31, 23, tzinfo=UTC)
    payload, related = {"rows": 3}, [{"prefect.resource.id": "till"}]
    told = emit_event("shop.sold", {"x": "y"}, occurred=when, payload=payload, related=related, id=own, follows=cause)
    event = h.assert_event("shop.sold")
    assert told == event.id == own.hex
    assert (event.time, event.caused_by) == (int(when.timestamp() * 1e6), cause)
    assert (event.payload, event.related) == (payload, tuple(related))
    with pytest.raises(ValueError, match="needs a zone"):
        emit_event("shop.sold", occurred=when.replace(tzinfo=None))
    with pytest.raises(ValueError, match="is no UUID"):
        emit_event("shop.sold", id="seven")


def test_a_strict_limit_has_to_be_there(h: FlowHarness) -> None:
    """With, and async with."""
    with concurrency("database", occupy=2), pytest.raises(BadLimit, match="'database'"):
        concurrency("database", strict=True).__enter__()
    with pytest.raises(BadLimit):
        asyncio.run(concurrency(["database"], strict=True).__aenter__())


# --- deployments --------------------------------------------------------------------------------------------------


def test_keywords_of_deployments(h: FlowHarness, page) -> None:
    """Each is in what is declared."""
    given: dict[str, Any] = {
        "name": "berlin", "interval": 60, "cron": "0 2 * * *", "paused": True, "schedule": "0 3 * * *",
        "schedules": ["0 4 * * *"], "parameters": {"number": 3}, "description": "Adds.", "tags": ["eu"], "version": "7",
    }  # fmt: skip
    flow(add_one).to_deployment(**given).declare()
    event = h.assert_event("deployment.declared")
    assert {schedule.expression for schedule in event.schedules} == {"0 4 * * *", "0 3 * * *", "0 2 * * *", "60s"}
    told = (event.deployment, event.paused, event.parameters, event.description, event.tags, event.version)
    assert told == ("berlin", True, {"number": 3}, "Adds.", ("eu",), "7")
    same = {row.name for row in page.all_rows()["prefect.flows.Flow.to_deployment"] if row.here}
    assert same == set(given)
    of_serve = {row.name for row in page.all_rows()["prefect.flows.Flow.serve"] if row.here}
    assert of_serve == {*given, "limit"}


# --- what surrounds a run -----------------------------------------------------------------------------------------


def test_the_run_around_by_prefects_names(h: FlowHarness) -> None:
    """Inside a flow, inside its task, inside a subflow, and outside."""
    from flowtell.runtime import deployment, flow_run, task_run

    seen: list[Any] = []

    @task(tags=["t"])
    def inner(number: int, scale: int = 2) -> None:
        seen.append((task_run.name, task_run.task_name, task_run.tags, task_run.parameters, task_run.run_count, task_run.id))
        seen.append((flow_run.name, flow_run.flow_name, flow_run.parameters, flow_run.id))

    @flow
    def sub() -> None:
        seen.append((flow_run.flow_name, flow_run.parent_flow_run_id, flow_run.root_flow_run_id))

    @flow(flow_run_name="named", version="7", retries=1, tags=["f"])
    def outer(number: int) -> None:
        if flow_run.run_count == 1:
            raise ConnectionError
        inner.submit(number).wait()
        sub()
        seen.append((flow_run.flow_version, flow_run.tags, flow_run.run_count, flow_run.scheduled_start_time, task_run.id))

    outer(3)
    run = h.run("outer").id
    assert seen == [
        ("inner-0", "inner", ["t"], {"number": 3, "scale": 2}, 1, h.task_run("inner").id),
        ("named", "outer", {"number": 3}, run),
        ("sub", run, run),
        ("7", ["f"], 2, datetime(2026, 1, 1, tzinfo=UTC), None),
    ]
    assert (flow_run.id, flow_run.name, flow_run.tags, flow_run.parameters, flow_run.run_count) == (None, None, [], {}, 0)
    assert (task_run.id, task_run.parameters, task_run.run_count, task_run.tags) == (None, {}, 0, [])
    assert (deployment.name, deployment.flow_run_id) == (None, None)
    with pytest.raises(AttributeError, match="it has flow_name, flow_version, id"):
        _ = flow_run.ui_url


def test_the_deployment_around(h: FlowHarness) -> None:
    """Of what a schedule began, and of its subflows."""
    from flowtell.runtime import deployment, flow_run

    seen: list[Any] = []

    @flow
    def sub() -> None:
        seen.append((deployment.name, deployment.flow_run_id, flow_run.scheduled_start_time))

    @flow
    def outer() -> None:
        sub()

    h.serve(outer.to_deployment("berlin", cron="0 2 * * *"))
    h.time.advance(hours=3)
    assert seen == [("berlin", h.run("outer").id, datetime(2026, 1, 1, 2, tzinfo=UTC))]


def test_a_task_without_cache_is_not_kept(h: FlowHarness) -> None:
    """The policy that says so."""
    assert states_after(h, task(cache_policy=NO_CACHE)(add_one), 0, 0) == ["completed", "completed"]
    assert current_run() is None


def test_a_list_of_futures_has_a_time(h: FlowHarness) -> None:
    """One for all of it; and its failures may be results."""
    free = threading.Event()

    @task
    def held(number: int) -> float:
        free.wait(10)
        return 1 / number

    @flow
    def around() -> list[Any]:
        futures = held.map([1, 0])
        assert not any(future.done() for future in futures.wait(timeout=0.01))
        with pytest.raises(TimeoutError):
            futures.result(timeout=0.01)
        free.set()
        with pytest.raises(ZeroDivisionError):
            futures.result(timeout=10)
        return [type(one) for one in futures.result(raise_on_failure=False)]

    assert around() == [float, ZeroDivisionError]


def test_a_policy_of_a_key_function(h: FlowHarness) -> None:
    """As `cache_key_fn`, and can be added to others."""
    policy = CachePolicy.from_cache_key_fn(lambda context, given: "always")
    assert states_after(h, task(cache_policy=policy)(add_one), 0, 0) == ["completed", "cached"]
    assert h.events("task_run.finished")[-1].cache_key == "always"
