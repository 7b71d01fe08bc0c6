"""The ways in which data goes from one task that makes an asset to another: the edge, or the argument's name."""

from __future__ import annotations

import asyncio
import copy
import functools
import multiprocessing
import pickle
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from flowtell import bind, flow, materialize, task, unmapped
from flowtell.assets import Asset
from flowtell.events import AssetMaterialized
from flowtell.testing import recorder

RAW, OTHER, OUT = "file://shop/raw", "file://shop/other", "file://shop/out"


class Frame:
    """Stands for a data frame: an object that can be referenced weakly."""

    def __init__(self) -> None:
        self.values = [1, 2]
        self.inner = bytearray(b"x")


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass
class Box:
    inside: Any


class Wrapper:
    def __init__(self, inside: Any) -> None:
        self.inside = inside


@materialize(RAW)
def make(value: Any = None) -> Any:
    return Frame() if value is None else value


@materialize(OTHER)
def make_other() -> Frame:
    return Frame()


@materialize(OUT)
def load(rows: Any) -> None: ...


@materialize(OUT)
def load_each(number: int, rows: Any) -> None: ...


@task
def hand_on(rows: Any) -> Any:
    return rows


@task
def derive(rows: Any) -> Any:
    return Frame()


@task
def calls_make() -> Any:
    return make()


@task
def asks_make() -> Any:
    return make.submit().result().inner


@materialize(RAW)
def chunks() -> Iterator[Frame]:
    yield Frame()


@task
def hand_on_each(rows: Any) -> Iterator[Any]:
    yield rows


@materialize(RAW)
async def make_async() -> Frame:
    await asyncio.sleep(0)
    return Frame()


@materialize(RAW)
async def chunks_async() -> AsyncIterator[Frame]:
    yield Frame()


@materialize(OUT)
async def load_async(rows: Any) -> None: ...


@flow
def makes() -> Any:
    return make()


@flow
def makes_a_dict() -> Any:
    return {"rows": make(), "count": 1}


@flow
def loads(rows: Any) -> None:
    load(rows)


@flow
def loads_boxed(rows: list[Box]) -> None:
    load(rows[0])


@flow
def makes_and_boxes() -> Any:
    return Box(make())


def in_thread(function: Callable[[], Any]) -> Any:
    result: list[Any] = []
    thread = threading.Thread(target=bind(lambda: result.append(function())))
    thread.start()
    thread.join()
    return result[0]


def make_lists() -> list[int]:
    return list(make([1, 2]))


def in_process(function: Callable[[], Any]) -> Any:
    """In a forked child, which has this run around it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and later, of a fork beside threads: the child uses none
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
            return pool.submit(function).result()


attempts: list[int] = []


@materialize(RAW, retries=1)
def fails_once() -> Frame:
    attempts.append(1)
    if len(attempts) % 2:
        raise ValueError("at first")
    return Frame()


@functools.cache
def cached_make() -> Any:
    return make()


def from_cache() -> Any:
    cached_make.cache_clear()
    cached_make()
    return cached_make()


kept: list[Any] = []


@task
def returns_kept() -> Any:
    return kept.pop()


def keep_and_return() -> Any:
    kept.append(make())
    return returns_kept()


async def gathered() -> None:
    frame, _ = await asyncio.gather(make_async(), make_async())
    await load_async(frame)


async def streamed() -> None:
    async for frame in chunks_async():
        await load_async(frame)


def each_chunk() -> None:
    for frame in chunks():
        load(frame)


def waits() -> None:
    load.submit(1, wait_for=[make.submit()])


FOLLOWED: dict[str, tuple[Callable[[], Any], str]] = {
    "object": (lambda: load(make()), "object"),
    "list": (lambda: load(make([1, 2])), "object"),
    "dict": (lambda: load(make({"a": 1})), "object"),
    "named tuple": (lambda: load(make(Pair(1, 2))), "object"),
    "through a plain task": (lambda: load(hand_on(make())), "object"),
    "derived in a plain task": (lambda: load(derive(make())), "object"),
    "element of a returned dict": (lambda: load(make({"frame": Frame()})["frame"]), "object"),
    "element of a returned tuple": (lambda: load(make((Frame(), 1))[0]), "object"),
    "attribute of a returned data class": (lambda: load(make(Box(Frame())).inside), "object"),
    "attribute of a returned named tuple": (lambda: load(make(Pair(Frame(), 1)).left), "object"),
    "in a list": (lambda: load([make()]), "object"),
    "in a data class": (lambda: load(Box(make())), "object"),
    "future": (lambda: load.submit(make.submit()), "future"),
    "future of a number": (lambda: load.submit(make.submit(7)), "future"),
    "future of a text": (lambda: load(make.submit("eu")), "future"),
    "future in a dict": (lambda: load.submit({"a": make.submit()}), "future"),
    "result of a future": (lambda: load(make.submit().result()), "object"),
    "map": (lambda: load.map(make.map([[1], [2]])).result(), "future"),
    "mapped and gathered": (lambda: load(make.map([[1], [2]])), "future"),
    "unmapped": (lambda: load_each.map([1], unmapped(make.submit())).result(), "future"),
    "wait_for": (waits, "wait_for"),
    "made in a task that was called": (lambda: load(calls_make()), "object"),
    "asked for in a task that was called": (lambda: load(asks_make()), "object"),
    "out of a subflow": (lambda: load(makes()), "object"),
    "out of a subflow in a dict": (lambda: load(makes_a_dict()["rows"]), "object"),
    "out of a subflow in a data class": (lambda: load(makes_and_boxes()), "object"),
    "into a subflow": (lambda: loads(make()), "object"),
    "into a subflow and through its types": (lambda: loads_boxed([make(Box(Frame()))]), "object"),
    "both ways": (lambda: loads(makes()), "object"),
    "in a thread": (lambda: in_thread(lambda: load(make())), "object"),
    "out of a thread": (lambda: load(in_thread(make)), "object"),
    "async": (lambda: asyncio.run(gathered()), "object"),
    "async generator": (lambda: asyncio.run(streamed()), "object"),
    "generator": (each_chunk, "object"),
    "through a plain generator": (lambda: [load(one) for one in hand_on_each(make())], "object"),
    "submitted generator": (lambda: load(chunks.submit().result()), "object"),
    "after a retry": (lambda: load(fails_once()), "object"),
    "kept aside and returned by another task": (lambda: load(keep_and_return()), "object"),
    "from a cache": (lambda: load(from_cache()), "object"),
}


def told(pattern: Callable[[], Any]) -> AssetMaterialized:
    """What was told of `OUT` at last."""
    with recorder() as seen:
        flow(name="pattern")(lambda: pattern() and None)()
    return [event for event in seen.of(AssetMaterialized) if event.asset == OUT][-1]


@pytest.mark.parametrize("pattern", FOLLOWED)
def test_what_can_be_followed_is_an_edge(pattern: str) -> None:
    """One edge, by the evidence that it is known by, and nothing that is missing."""
    run, evidence = FOLLOWED[pattern]
    event = told(run)
    assert ([(one.asset, one.evidence) for one in event.upstream], event.unfollowed) == ([(RAW, evidence)], ())


UNFOLLOWED: dict[str, Callable[[], Any]] = {
    "small number": lambda: load(make(7)),
    "large number": lambda: load(make(10**9)),
    "truth": lambda: load(make(True)),
    "text": lambda: load(make("eu")),
    "equal text": lambda: (make({"region": "eu"}), load("eu")),
    "bytes": lambda: load(make(b"raw")),
    "tuple": lambda: load(make((1, 2))),
    "derived number": lambda: load(make(7) + 1),
    "length": lambda: load(len(make([1, 2, 3]))),
    "derived text": lambda: load(f"{make('eu')}-west"),
    "derived list": lambda: load([one + 1 for one in make([1, 2])]),
    "attribute": lambda: load(make().values),
    "attribute of a container's kind": lambda: load(make().inner),
    "wrapped in an object": lambda: load(Wrapper(make())),
    "a copy": lambda: load(copy.copy(make())),
    "pickled": lambda: load(pickle.loads(pickle.dumps(make([1, 2])))),
    "out of another process": lambda: load(in_process(make_lists)),
    "derived and a plain task": lambda: load(hand_on(list(make([1, 2])))),
    "derived number and a plain task": lambda: load(derive(len(make([1, 2])))),
    "derived and a subflow": lambda: loads(list(make([1, 2]))),
    "derived number into a subflow": lambda: loads(len(make([1, 2]))),
    "too deep": lambda: load({"a": [[make()]]}),
}


@pytest.mark.parametrize("pattern", UNFOLLOWED)
def test_what_cannot_be_followed_is_named(pattern: str) -> None:
    """No edge is guessed; the argument is named."""
    event = told(UNFOLLOWED[pattern])
    assert ([one.asset for one in event.upstream], event.unfollowed) == ([], ("rows",))


def test_a_container_is_followed_only_as_a_whole() -> None:
    """An edge for what is known in it, and its argument's name for the rest: not all of it is known."""
    event = told(lambda: load([make(), Wrapper(make_other())]))
    assert ([one.asset for one in event.upstream], event.unfollowed) == ([RAW], ("rows",))


def test_a_long_container_is_not_said_to_be_followed() -> None:
    """Only its first elements are looked at."""
    event = told(lambda: load([make(), *([None] * 300)]))
    assert ([one.asset for one in event.upstream], event.unfollowed) == ([RAW], ("rows",))


LIMIT = 40


@pytest.mark.parametrize("settings", [lambda: (3, "orders"), lambda: (LIMIT, None)], ids=["written there", "a global"])
def test_settings_are_not_named(settings: Callable[[], Any]) -> None:
    """What stands in the code that calls came from no asset; nor did a parameter of the root flow run."""

    @materialize(OUT)
    def publish(rows: Any, limit: Any, name: Any, day: str) -> None: ...

    @flow
    def etl(day: str) -> None:
        publish(make(), 3, "orders", day) if settings()[0] == 3 else publish(make(), LIMIT, None, day)

    with recorder() as seen:
        etl("2026-11-20")
    assert seen.of(AssetMaterialized)[-1].unfollowed == ()


def test_a_list_of_settings_to_map_over_is_not_named() -> None:
    """Each of its elements stands in the code that calls."""

    @materialize(OUT)
    def publish(rows: Any, part: str) -> None: ...

    event = told(lambda: publish.map(unmapped(make.submit()), ["a", "b", "c"]).result())
    assert ([one.asset for one in event.upstream], event.unfollowed) == ([RAW], ())


def test_a_setting_of_a_task_that_calls_others_is_not_named() -> None:
    """When it was called nothing had been made that its argument could come from."""

    @materialize(OUT)
    def outer(limit: int) -> None:
        make()

    event = told(lambda: outer(int("12")))
    assert ([one.asset for one in event.upstream], event.unfollowed) == ([RAW], ())


def test_what_a_called_task_could_not_follow_is_named() -> None:
    """With the task and its argument: its result came into the body that made the asset."""

    @materialize(OUT)
    def outer() -> None:
        derive(list(make([1, 2])))

    assert told(outer).unfollowed == ("derive.rows",)


def test_several_sources_are_several_edges() -> None:
    """Each argument's, in order of their evidence."""

    @materialize(OUT, asset_deps=["s3://lake/prices"])
    def join(left: Any, right: Any) -> None: ...

    event = told(lambda: join(make(), make_other.submit()))
    assert [(one.asset, one.evidence) for one in event.upstream] == [
        ("s3://lake/prices", "declared"), (OTHER, "future"), (RAW, "object"),
    ]  # fmt: skip


def test_without_a_flow_objects_are_followed_too() -> None:
    """What can be referenced weakly; of the rest the argument is named."""
    with recorder() as seen:
        load(make())
        load(make([1, 2]))
    first, second = [event for event in seen.of(AssetMaterialized) if event.asset == OUT]
    assert ([one.asset for one in first.upstream], first.unfollowed) == ([RAW], ())
    assert ([one.asset for one in second.upstream], second.unfollowed) == ([], ("rows",))


def test_an_object_keeps_the_version_of_what_it_is_made_of() -> None:
    """The version that a task has said travels with its result."""

    @materialize(RAW)
    def versioned() -> Frame:
        Asset(RAW).materialize(version="v7", partition="2026-11-20")
        return Frame()

    event = told(lambda: load(hand_on(versioned())))
    assert [(one.asset, one.version, one.partition) for one in event.upstream] == [(RAW, "v7", "2026-11-20")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fresh",
    [list, dict, bytearray, Frame, lambda: {"region": "eu"}, lambda: "eu", lambda: 7, tuple],
    ids=["list", "dict", "bytearray", "object", "equal texts", "text", "small number", "tuple"],
)
def test_ten_thousand_rounds_make_no_false_edge(fresh: Callable[[], Any]) -> None:
    """Made and dropped, and an unrelated value of the same kind passed on: whatever its address or its text."""

    @flow
    def rounds() -> None:
        for _ in range(10_000):
            make(fresh())
            load(fresh())

    with recorder() as seen:
        rounds()
    loaded = [event for event in seen.of(AssetMaterialized) if event.asset == OUT]
    assert len(loaded) == 10_000
    assert [event.upstream for event in loaded if event.upstream] == []
