"""Random flows: whatever is passed on however, the edges are those that an oracle knows, and what is missing is named."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowtell import flow, materialize, task
from flowtell.events import AssetMaterialized
from flowtell.testing import recorder


class Frame:
    """What tasks return: an object of its own each time."""


class Step(NamedTuple):
    makes: bool
    submits: bool
    takes: tuple[tuple[int, str], ...]
    """Earlier steps by their distance, and how their result is handed over."""


HANDED = {
    "itself": lambda result: result,
    "in a list": lambda result: [result],
    "in a dict": lambda result: {"a": result},
    "in a tuple": lambda result: (result, None),
    "unrelated": lambda _: Frame(),
    "too deep": lambda result: [[[result]]],
}
UNKNOWN = ("unrelated", "too deep")

STEPS = st.lists(
    st.builds(
        Step,
        makes=st.booleans(),
        submits=st.booleans(),
        takes=st.lists(st.tuples(st.integers(1, 4), st.sampled_from(sorted(HANDED))), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=8,
)


def key(number: int) -> str:
    return f"file://step/{number}"


def body(a: Any = None, b: Any = None, c: Any = None) -> Frame:
    return Frame()


def run(steps: list[Step]) -> dict[str, AssetMaterialized]:
    @flow
    def program() -> None:
        results: list[Any] = []
        for number, step in enumerate(steps):
            given = [HANDED[how](results[number - back]) for back, how in step.takes if back <= number]
            work = materialize(key(number))(body) if step.makes else task(body)
            results.append(work.submit(*given).result() if step.submits else work(*given))

    with recorder() as seen:
        program()
    return {event.asset: event for event in seen.of(AssetMaterialized)}


def oracle(steps: list[Step]) -> dict[str, tuple[set[str], set[str]]]:
    """By asset: what is upstream, and which arguments are named."""
    brings: list[set[str]] = []
    loses: list[bool] = []
    told: dict[str, tuple[set[str], set[str]]] = {}
    for number, step in enumerate(steps):
        takes = [(number - back, how) for back, how in step.takes if back <= number]
        edges = {one for source, how in takes if how not in UNKNOWN for one in brings[source]}
        named = {argument for argument, (source, how) in zip("abc", takes, strict=False) if how in UNKNOWN or loses[source]}
        if step.makes:
            told[key(number)] = edges, named
        brings.append({key(number)} if step.makes else edges)
        loses.append(bool(named) and not step.makes)
    return told


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_the_edges_are_the_oracles(steps: list[Step]) -> None:
    """None too many, none missing, and the arguments that may hide one."""
    told = {asset: ({one.asset for one in event.upstream}, set(event.unfollowed)) for asset, event in run(steps).items()}
    assert told == oracle(steps)
