"""No edge is guessed: what identity proves, what it does not, and that nothing is kept alive for it."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from flowtell import flow, task
from flowtell.events import TaskRunStarted
from flowtell.testing import recorder


class Frame:
    """Stands for a data frame: an object that can be referenced weakly."""


@task
def give(value: Any) -> Any:
    return value


@task
def take(value: Any) -> None: ...


def upstream(seen: Any) -> list[str]:
    [taken] = [run for run in seen.of(TaskRunStarted) if run.task == "take"]
    return [one.argument for one in taken.upstream]


@pytest.mark.parametrize("value", [7, True, None, "eu", b"raw", ("a", "b"), 1.5, frozenset({1})])
def test_a_shared_value_is_never_an_edge(value: Any) -> None:
    """Small numbers, text and constants are one object in unrelated places."""

    @flow
    def unrelated() -> None:
        give(value)
        take(value)

    with recorder() as seen:
        unrelated()
    assert upstream(seen) == []


def test_text_inside_a_returned_dict_is_never_an_edge() -> None:
    """A later literal that equals a key or value is the same interned object, and says nothing."""

    @flow
    def unrelated() -> None:
        give({"region": "eu"})
        take("region")

    with recorder() as seen:
        unrelated()
    assert upstream(seen) == []


@pytest.mark.parametrize("make", [list, dict, bytearray, Frame], ids=["list", "dict", "bytearray", "object"])
def test_a_reused_address_is_never_an_edge(make: Any) -> None:
    """An object that has gone leaves its address to others, which have nothing to do with it."""
    held: list[Any] = []

    @flow
    def unrelated() -> None:
        for _ in range(50):
            give(make())
        held.extend(make() for _ in range(200))
        for value in held:
            take(value)

    with recorder() as seen:
        unrelated()
    assert [run.upstream for run in seen.of(TaskRunStarted) if run.task == "take"] == [()] * 200


@pytest.mark.parametrize(
    "pass_on",
    [lambda x: x, lambda x: [x], lambda x: {"a": x}, lambda x: (x, 1)],
    ids=["itself", "in a list", "in a dict", "in a tuple"],
)
def test_the_very_object_is_an_edge(pass_on: Any) -> None:
    """Itself, or as an element of a container."""

    @flow
    def passed() -> None:
        take(pass_on(give(Frame())))

    with recorder() as seen:
        passed()
    assert upstream(seen) == ["value"]


def test_an_element_of_a_result_is_an_edge() -> None:
    """A task that returns several objects has made each of them."""

    @flow
    def unpacked() -> None:
        first, _second = give((Frame(), [1]))
        take(first)

    with recorder() as seen:
        unpacked()
    assert upstream(seen) == ["value"]


def test_objects_live_no_longer_for_it() -> None:
    """What a flow lets go of is freed while it runs."""
    seen_alive: list[int] = []

    @flow
    def streams() -> None:
        alive: list[weakref.ref[Frame]] = []
        for _ in range(20):
            frame = give(Frame())
            alive.append(weakref.ref(frame))
            del frame
        gc.collect()
        seen_alive.append(sum(one() is not None for one in alive))

    streams()
    assert seen_alive == [0]


def test_lists_are_let_go_of_soon() -> None:
    """What cannot be referenced weakly is held, but only until nobody else does and a few more tasks have run."""
    alive: list[weakref.ref[Frame]] = []
    most = 0

    @task
    def chunk() -> list[Any]:
        frame = Frame()
        alive.append(weakref.ref(frame))
        return [[frame]]  # deeper than what is looked at: it lives as long as the list does

    @flow
    def streams() -> None:
        nonlocal most
        for _ in range(50):
            rows = chunk()
            take(rows)
            most = max(most, sum(one() is not None for one in alive))

    streams()
    assert most <= 6
    gc.collect()
    assert sum(one() is not None for one in alive) == 0
