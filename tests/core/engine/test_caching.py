"""A task whose result is kept is computed once for each key, and its runs tell so."""

from __future__ import annotations

import asyncio
import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flowtell import allow_failure, flow, materialize, task, task_input_hash
from flowtell.cache_policies import (
    DEFAULT,
    FLOW_PARAMETERS,
    INPUTS,
    NO_CACHE,
    RUN_ID,
    TASK_SOURCE,
    CacheKeyFnPolicy,
    CachePolicy,
)
from flowtell.errors import BadCaching
from flowtell.events import LogRecorded, TaskRunFinished, TaskRunStarted
from flowtell.testing import recorder


class Counted:
    """Tasks that count how often they computed."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def double(self, **options: Any) -> Any:
        @task(**options)
        def double(x: Any, y: int = 1) -> Any:
            self.calls.append(x)
            return [x, x, y]

        return double


@pytest.fixture
def counted() -> Counted:
    return Counted()


def states(seen: Any) -> list[str]:
    return [event.state for event in seen.of(TaskRunFinished)]


def warnings(seen: Any) -> list[str]:
    return [line.message for line in seen.of(LogRecorded) if line.level == "WARNING"]


def test_the_second_run_takes_the_firsts_result(counted: Counted) -> None:
    """In a run of its own, without starting; the end tells the key, whose result it is and where that is kept."""
    double = counted.double(cache_policy=INPUTS)

    @flow
    def twice() -> Any:
        return double(2)

    with recorder() as seen:
        assert twice() == twice() == [2, 2, 1]
    first, second = seen.of(TaskRunFinished)
    assert counted.calls == [2]
    assert [run.task_run for run in seen.of(TaskRunStarted)] == [first.task_run]
    assert (first.state, first.cached_from) == ("completed", "")
    assert (second.state, second.cached_from) == ("cached", first.task_run)
    assert first.cache_key == second.cache_key != ""
    assert first.result == second.result
    assert os.path.isfile(first.result.location)
    assert first.result.checksum.startswith("sha256:")


def test_a_flow_that_failed_takes_what_it_had(counted: Counted) -> None:
    """Of ten tasks the seventh fails; the next run computes only from there."""
    double, broken = counted.double(cache_policy=INPUTS + TASK_SOURCE), [True]

    @flow
    def ten() -> None:
        for number in range(10):
            if number == 6 and broken[0]:
                raise RuntimeError("the disk was full")
            double(number)

    with pytest.raises(RuntimeError):
        ten()
    broken[0] = False
    with recorder() as seen:
        ten()
    assert states(seen) == ["cached"] * 6 + ["completed"] * 4
    assert counted.calls == list(range(10))


@pytest.mark.parametrize("how", ["submit", "map", "async"])
def test_it_is_the_same_on_other_threads_and_loops(how: str, counted: Counted) -> None:
    double = counted.double(cache_policy=INPUTS)

    @task(cache_policy=INPUTS)
    async def later(x: int) -> Any:
        counted.calls.append(x)
        return [x]

    @flow
    def on_threads() -> Any:
        return double.submit(1).result() if how == "submit" else double.map([1, 1, 1]).result()

    @flow
    async def on_a_loop() -> Any:
        return await asyncio.gather(later(1), later(1))

    with recorder() as seen:
        for _ in range(2):
            asyncio.run(on_a_loop()) if how == "async" else on_threads()
    assert counted.calls == [1]
    assert states(seen).count("completed") == 1


def test_arguments_count_by_what_they_are_not_by_how_they_are_passed(counted: Counted) -> None:
    double = counted.double(cache_policy=INPUTS)
    with recorder() as seen:
        double(2)
        double(x=2)
        double(2, y=1)
        double(2, y=2)
        double(2.0)
        double(True)
    assert states(seen) == ["completed", "cached", "cached", "completed", "completed", "completed"]


def test_futures_count_by_their_results(counted: Counted) -> None:
    double = counted.double(cache_policy=INPUTS)

    @task
    def one() -> int:
        return 1

    @flow
    def run() -> None:
        double(1)
        double.submit(one.submit()).result()
        double([one.submit()])
        double([1])

    with recorder() as seen:
        run()
    assert [event.state for event in seen.of(TaskRunFinished) if event.task == "double"] == [
        "completed", "cached", "completed", "cached"
    ]  # fmt: skip


def test_a_run_whose_upstream_failed_is_skipped(counted: Counted) -> None:
    """Unless it may fail: then the exception is an argument like any other."""
    double = counted.double(cache_policy=INPUTS)

    @task
    def broken() -> int:
        raise ValueError("no")

    @flow
    def run() -> None:
        future = broken.submit()
        double.submit(future).wait()
        double.submit(allow_failure(future)).wait()

    with recorder() as seen:
        run()
    assert [event.state for event in seen.of(TaskRunFinished) if event.task == "double"] == ["skipped", "completed"]
    assert len(counted.calls) == 1


def test_policies_add_up_and_leave_out(counted: Counted) -> None:
    """`+` takes both, in any order; `-` leaves a parameter out, of inputs alone."""
    without = counted.double(cache_policy=(TASK_SOURCE + INPUTS) - "y")
    with recorder() as seen:
        without(1, y=1)
        without(1, y=2)
        without(2, y=2)
        counted.double(cache_policy=(INPUTS - "y") + TASK_SOURCE)(1, y=3)
    assert states(seen) == ["completed", "cached", "completed", "cached"]
    assert repr(DEFAULT - "y").endswith("Inputs(exclude=['y'])")
    assert INPUTS + NO_CACHE is INPUTS
    assert NO_CACHE + INPUTS is INPUTS
    with pytest.raises(TypeError, match="name of a parameter"):
        INPUTS - 1  # type: ignore[operator]
    with pytest.raises(TypeError):
        INPUTS + 1  # type: ignore[operator]


def test_a_task_without_inputs_is_not_known_by_them(counted: Counted) -> None:
    """As in Prefect: nothing says that it would return the same."""

    @task(cache_policy=INPUTS)
    def now() -> int:
        counted.calls.append(1)
        return 1

    assert (now(), now(), counted.calls) == (1, 1, [1, 1])


def test_the_code_counts(counted: Counted) -> None:
    """Another constant, default or closed-over value is other code; a comment or a line more is not."""
    sources = ["return x + 1", "return x + 2", "# why\n\n    return x + 1"]
    with recorder() as seen:
        for source in sources:
            names: dict[str, Any] = {}
            exec(f"def add(x):\n    {source}", names)
            task(cache_policy=INPUTS + TASK_SOURCE)(names["add"])(1)
    assert states(seen) == ["completed", "completed", "cached"]


def test_other_tasks_have_other_keys(counted: Counted) -> None:
    """The same inputs of another function are no hit, unless a key of one's own says so."""

    @task(cache_policy=INPUTS)
    def one(x: int) -> str:
        return "one"

    @task(cache_policy=INPUTS)
    def other(x: int) -> str:
        return "other"

    def key(context: Any, parameters: dict[str, Any]) -> str:
        return f"all of {parameters['x']}"

    assert (one(1), other(1)) == ("one", "other")
    assert one.with_options(cache_policy=None, cache_key_fn=key)(1) == "one"
    assert other.with_options(cache_policy=None, cache_key_fn=key)(1) == "one"


def test_a_key_function_gets_the_run_and_may_decline(counted: Counted) -> None:
    def key(context: Any, parameters: dict[str, Any]) -> str | None:
        assert context.task.name == "double"
        assert context.task_run.flow_run_id == ""
        assert context.parameters == parameters == {"x": parameters["x"], "y": 1}
        return None if parameters["x"] == 0 else "a/key of: any text"

    double = counted.double(cache_key_fn=key)
    double(0), double(0), double(1), double(2)
    assert counted.calls == [0, 0, 1]
    assert CachePolicy.from_cache_key_fn(key).cache_key_fn is CacheKeyFnPolicy(key).cache_key_fn


def test_task_input_hash(counted: Counted) -> None:
    double = counted.double(cache_key_fn=task_input_hash, cache_expiration=timedelta(hours=24))
    assert double(1) == double(1) == [1, 1, 1]
    assert counted.calls == [1]


def test_a_policy_of_ones_own(counted: Counted) -> None:
    class Even(CachePolicy):
        def compute_key(self, task_ctx: Any, inputs: Any, flow_parameters: Any, **more: Any) -> str:
            return str(inputs["x"] % 2)

    double = counted.double(cache_policy=Even())
    double(1), double(3), double(2)
    assert counted.calls == [1, 2]


def test_a_runs_id_counts(counted: Counted) -> None:
    """Within one flow run, and its retries, results are shared; `persist_result` alone means that."""
    double, failures = counted.double(persist_result=True), [RuntimeError("once")]

    @flow(retries=1)
    def run() -> None:
        double(1)
        if failures:
            raise failures.pop()
        double(1)

    run()
    run()
    assert counted.calls == [1, 1]
    assert RUN_ID.compute_key is not None


def test_the_flows_parameters_count(counted: Counted) -> None:
    """In the tasks that its tasks call, too."""
    double = counted.double(cache_policy=FLOW_PARAMETERS)

    @task
    def around() -> None:
        double(3)

    @flow
    def run(day: str) -> None:
        double(1)
        around()

    run("monday")
    run("tuesday")
    assert counted.calls == [1, 1]


def test_an_expired_result_is_computed_anew(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the task says now as well as by what it said when it was kept."""
    from flowtell.engine import reuse

    clock = [1_800_000_000_000_000_000]
    monkeypatch.setattr(reuse, "time_ns", lambda: clock[0])
    hour = counted.double(cache_policy=INPUTS, cache_expiration=timedelta(hours=1))
    hour(1)
    clock[0] += 3_599 * 10**9
    hour(1)
    assert counted.calls == [1]
    hour.with_options(cache_expiration=60)(1)
    assert counted.calls == [1, 1]
    clock[0] += 61 * 10**9
    counted.double(cache_policy=INPUTS)(1)
    assert counted.calls == [1, 1, 1]


def test_a_cache_is_refreshed(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the task or by the configuration; what is computed then is kept."""
    double = counted.double(cache_policy=INPUTS)
    with recorder() as seen:
        double(1)
        double.with_options(refresh_cache=True)(1)
        double(1)
        monkeypatch.setenv("FLOWTELL_RESULTS__REFRESH_CACHE", "true")
        from flowtell import bus

        bus.renew()
        double(1)
        double.with_options(refresh_cache=False)(1)
    assert states(seen) == ["completed", "completed", "cached", "completed", "cached"]
    assert seen.of(TaskRunFinished)[2].cached_from == seen.of(TaskRunFinished)[1].task_run


def test_nothing_is_kept_where_that_is_said(counted: Counted, home: Any) -> None:
    for options in (
        {},
        {"cache_policy": NO_CACHE},
        {"persist_result": False, "cache_policy": INPUTS},
        {"refresh_cache": True},
    ):
        double = counted.double(**options)
        double(1), double(1)
    assert len(counted.calls) == 8
    assert not (home / "results").exists()


def test_a_failed_run_is_not_kept(counted: Counted) -> None:
    @task(cache_policy=INPUTS, retries=1)
    def picky(x: int) -> int:
        counted.calls.append(x)
        if len(counted.calls) < 4:
            raise ValueError("not yet")
        return x

    with recorder() as seen:
        with pytest.raises(ValueError, match="not yet"):
            picky(1)
        assert picky(1) == picky(1) == 1
    assert states(seen) == ["failed", "completed", "cached"]


def test_none_and_a_left_function_are_told_apart(counted: Counted) -> None:
    """None is a result; a function that left by `sys.exit` returned none."""

    @task(cache_policy=INPUTS)
    def quiet(x: int) -> None:
        counted.calls.append(x)
        if x:
            raise SystemExit(0)

    quiet(0), quiet(0)
    for _ in range(2):
        with pytest.raises(SystemExit):
            quiet(1)
    assert counted.calls == [0, 1, 1]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"cache_policy": INPUTS, "cache_key_fn": task_input_hash}, "Give one of them"),
        ({"cache_policy": "inputs"}, "none of flowtell.cache_policies"),
        ({"cache_policy": INPUTS, "cache_expiration": "1 h"}, "no timedelta"),
        ({"cache_policy": INPUTS, "result_serializer": "jsn"}, "no serializer 'jsn'"),
        ({"cache_policy": INPUTS, "result_serializer": object()}, "needs a name"),
        ({"result_storage": 1}, "no path"),
    ],
)
def test_options_that_cannot_be_followed_are_refused(options: dict[str, Any], problem: str, counted: Counted) -> None:
    with pytest.raises(BadCaching, match=problem):
        counted.double(**options)


def test_a_generators_result_cannot_be_kept() -> None:
    with pytest.raises(BadCaching, match="generator"):

        @task(cache_policy=INPUTS)
        def rows() -> Any:
            yield 1


def test_what_cannot_be_told_apart_is_computed_with_a_word_why(counted: Counted) -> None:
    double = counted.double(cache_policy=INPUTS)
    with recorder() as seen:
        double(threading.Lock())
    assert states(seen) == ["completed"]
    assert seen.of(TaskRunFinished)[0].cache_key == ""
    [warning] = warnings(seen)
    assert "[FT1324]" in warning
    assert "INPUTS - 'name'" in warning


def test_a_key_function_that_raises_stops_nothing(counted: Counted) -> None:
    double = counted.double(cache_key_fn=lambda context, parameters: parameters["nothing"])
    with recorder() as seen:
        assert double(1) == [1, 1, 1]
    assert "KeyError: 'nothing'" in warnings(seen)[0]


def test_arguments_that_do_not_fit_are_the_calls_own_error(counted: Counted) -> None:
    with pytest.raises(TypeError, match="missing 1 required"):
        counted.double(cache_policy=INPUTS)()


def test_what_cannot_be_pickled_is_returned_and_not_kept(counted: Counted) -> None:
    @task(cache_policy=INPUTS)
    def lock(x: int) -> Any:
        counted.calls.append(x)
        return threading.Lock()

    with recorder() as seen:
        lock(1), lock(1)
    assert counted.calls == [1, 1]
    assert states(seen) == ["completed", "completed"]
    assert all("[FT1321]" in line and "NO_CACHE" in line for line in warnings(seen))
    assert seen.of(TaskRunFinished)[0].result.location == ""


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "other"])
def test_a_corrupted_file_is_computed_again_and_replaced(damage: str, counted: Counted) -> None:
    double = counted.double(cache_policy=INPUTS)
    with recorder() as seen:
        double("x" * 100)
        path = seen.of(TaskRunFinished)[0].result.location
        whole = Path(path).read_bytes()
        middle = len(whole) - 20
        broken = {
            "cut": whole[:-3], "empty": b"", "other": b"not ours at all" * 20,
            "bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        }  # fmt: skip
        Path(path).write_bytes(broken[damage])
        assert double("x" * 100) == ["x" * 100, "x" * 100, 1]
        double("x" * 100)
    assert states(seen) == ["completed", "completed", "cached"]
    [warning] = warnings(seen)
    assert "[FT1322]" in warning
    assert path in warning


def test_a_full_storage_lets_the_task_succeed(counted: Counted, tmp_path: Any) -> None:
    """A device that takes nothing stands for a full disk; so does a folder that is none."""
    (tmp_path / "file").write_text("in the way")
    double = counted.double(cache_policy=INPUTS, result_storage=tmp_path / "file")
    with recorder() as seen:
        assert double(1) == [1, 1, 1]
    assert states(seen) == ["completed"]
    assert "[FT1323]" in warnings(seen)[0]


def test_a_task_may_call_one_of_its_own_key() -> None:
    """It would wait for itself: it computes."""

    def key(context: Any, parameters: dict[str, Any]) -> str:
        return str(parameters["how"])

    @task(cache_key_fn=key)
    def inner(how: str) -> int:
        return 1

    @task(cache_key_fn=key)
    def outer(how: str) -> int:
        return inner(how) + 1 if how == "call" else inner.submit(how).result() + 1

    assert outer("call") == 2
    assert outer("submit") == 2


def test_a_method_counts_with_its_instance(counted: Counted) -> None:
    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name

        @task(cache_policy=INPUTS)
        def report(self, day: str) -> str:
            counted.calls.append(day)
            return f"{self.name} on {day}"

    assert [Shop(name).report("monday") for name in ("one", "other", "one")] == [
        "one on monday", "other on monday", "one on monday"
    ]  # fmt: skip
    assert len(counted.calls) == 2


def test_hooks_see_a_cached_run(counted: Counted) -> None:
    told: list[str] = []
    double = counted.double(
        cache_policy=INPUTS,
        on_completion=[lambda task, run, state: told.append(str(state))],
        on_running=[lambda task, run, state: told.append(str(state))],
    )
    double(1), double(1)
    assert told == ["running", "completed", "cached"]


def test_a_materialization_that_is_cached_keeps_its_lineage() -> None:
    """`asset.cached` tells what the computed one told, and what is made of the value is made of the asset."""
    from flowtell.events import AssetCached, AssetMaterialized

    @task(cache_policy=INPUTS, asset_deps=["postgres://shop/public/orders"])
    def read(day: str) -> list[str]:
        return [day]

    @materialize("s3://lake/clean", cache_policy=INPUTS)
    def clean(rows: list[str]) -> list[str]:
        return [*rows]

    @materialize("s3://lake/report")
    def report(rows: list[str]) -> int:
        return len(rows)

    @flow
    def nightly() -> None:
        report(clean(read("monday")))

    with recorder() as seen:
        nightly()
        nightly()
    made = {event.asset: event for event in seen.of(AssetMaterialized)[:2]}
    [cached] = seen.of(AssetCached)
    assert (cached.asset, cached.rows) == ("s3://lake/clean", made["s3://lake/clean"].rows)
    assert cached.upstream == made["s3://lake/clean"].upstream
    assert [one.asset for one in cached.upstream] == ["postgres://shop/public/orders"]
    assert cached.run != made["s3://lake/clean"].run
    again = seen.of(AssetMaterialized)[-1]
    assert again.upstream == made["s3://lake/report"].upstream
    assert [one.asset for one in again.upstream] == ["s3://lake/clean"]


def test_what_the_body_said_it_made_is_told_again() -> None:
    from flowtell import Asset
    from flowtell.events import AssetCached

    @task(cache_policy=INPUTS)
    def load(day: str) -> list[str]:
        Asset("s3://lake/raw").materialize(rows=3, partition=day)
        return [day]

    @materialize("s3://lake/clean")
    def clean(rows: list[str]) -> None: ...

    @flow
    def nightly() -> None:
        clean(load("monday"))

    nightly()
    with recorder() as seen:
        nightly()
    [cached] = seen.of(AssetCached)
    assert (cached.asset, cached.rows, cached.partition) == ("s3://lake/raw", 3, "monday")
    from flowtell.events import AssetMaterialized

    [made] = seen.of(AssetMaterialized)
    assert [(one.asset, one.partition) for one in made.upstream] == [("s3://lake/raw", "monday")]
