"""Equal data has the same fingerprint, in every process; other data has another."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import subprocess
import sys
import threading
from collections import OrderedDict, defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from flowtell.engine.fingerprint import NoFingerprint, code_fingerprint, fingerprint

PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.complex_numbers()
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        | st.sets(st.text() | st.integers(), max_size=4)
    ),
    max_leaves=12,
)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Order:
    id: int
    lines: dict[str, set[str]]


class Pair(NamedTuple):
    one: int
    other: int


class Model(BaseModel):
    name: str
    tags: set[str] = set()


DIFFERENT: list[Any] = [
    0, False, 0.0, -0.0, 0j, "0", b"0", None, "None", "", b"", [], (), {}, set(), frozenset(), [[]], [()],
    ["a", "b"], ["ab"], ["a', 'b"], ("a", "b"), {"a": 1}, {"a": 1.0}, [("a", 1)], {1: "a"}, {"1": "a"}, {"a", "b"},
    frozenset({"a", "b"}), [1, [2]], [[1], 2], [1, 2], 10**5000, 10**5000 + 1, [10**5000], Colour.RED, Colour.BLUE, "red",
    Pair(1, 2), (1, 2), Order(1, {}), Order(2, {}), date(2026, 11, 21), datetime(2026, 11, 21, tzinfo=UTC),
    Decimal("1.0"), Decimal(1), UUID(int=1), Path("a"),
    OrderedDict(a=1), defaultdict(int, a=1), Model(name="a"), Model(name="b"), int, str, len, max, "\ud800", "\\ud800",
    bytearray(b"0"), range(3), slice(1), Ellipsis,
]  # fmt: skip


@given(VALUES)
def test_a_copy_has_the_same(value: Any) -> None:
    import copy
    import pickle

    assert fingerprint(copy.deepcopy(value)) == fingerprint(value) == fingerprint(pickle.loads(pickle.dumps(value)))


@given(VALUES, VALUES)
def test_two_that_differ_do_so(one: Any, other: Any) -> None:
    """By `repr`, which tells plain values apart where `==` does not: 1, True and 1.0."""
    same = _ordered(one) == _ordered(other)
    assert (fingerprint(one) == fingerprint(other)) is same


def _ordered(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(sorted(f"{_ordered(key)}: {_ordered(one)}" for key, one in value.items())) + "}"
    if isinstance(value, set):
        return f"set({sorted(map(_ordered, value))})"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}{[_ordered(one) for one in value]}"
    return repr(value)


def test_each_of_these_is_told_from_all_others() -> None:
    prints = [fingerprint(value) for value in DIFFERENT]
    for (i, one), (j, other) in itertools.combinations(enumerate(prints), 2):
        assert one != other, (repr(DIFFERENT[i])[:80], repr(DIFFERENT[j])[:80])


def test_order_counts_only_where_it_is_one() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint([1, 2]) != fingerprint([2, 1])
    assert fingerprint(Order(1, {"x": {"a", "b"}})) == fingerprint(Order(1, {"x": {"b", "a"}}))


def test_one_object_twice_is_as_two_equal_ones() -> None:
    """Where pickle notes that it is the same one."""
    text = "ab" * 100
    assert fingerprint([[text], [text]]) == fingerprint([["ab" * 100], ["".join(["ab"] * 100)]])


def test_what_holds_itself_has_one_too() -> None:
    ring: list[Any] = [1]
    ring.append(ring)
    other: list[Any] = [1]
    other.append(other)
    assert fingerprint(ring) == fingerprint(other)


def test_tables_and_arrays() -> None:
    array = np.arange(6)
    assert fingerprint(array) == fingerprint(np.arange(6))
    assert fingerprint(array) != fingerprint(array.reshape(2, 3))
    assert fingerprint(np.zeros(2, "i4")) != fingerprint(np.zeros(1, "i8"))
    frame = {"a": [1, 2], "b": ["x", None]}
    assert fingerprint(pd.DataFrame(frame)) == fingerprint(pd.DataFrame(frame)) != fingerprint(pd.DataFrame({"a": [1, 2]}))
    assert fingerprint(pl.DataFrame(frame)) == fingerprint(pl.DataFrame(frame)) != fingerprint(pl.DataFrame({"a": [1, 2]}))
    changed = pd.DataFrame(frame)
    changed.loc[0, "a"] = 3
    assert fingerprint(changed) != fingerprint(pd.DataFrame(frame))


@pytest.mark.parametrize(
    "value", [threading.Lock(), (n for n in [1]), [{"a": threading.Lock()}]], ids=["lock", "generator", "lock inside"]
)
def test_what_belongs_to_this_process_has_none(value: Any) -> None:
    with pytest.raises(NoFingerprint, match="cannot be told apart"):
        fingerprint(value)


def test_what_is_nested_too_deeply_has_none() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(NoFingerprint, match="nested too deeply"):
        fingerprint(deep)
    while deep:  # taken apart by hand, as freeing it all at once needs a deep stack as well
        deep = deep[0]


def test_functions_count_by_their_code() -> None:
    def maker(factor: int) -> Any:
        def times(x: int, by: list[int] | None = None) -> Any:
            return [x * factor for _ in (by or ["once"])]

        return times

    assert code_fingerprint(maker(2)) == code_fingerprint(maker(2)) != code_fingerprint(maker(3))
    assert code_fingerprint(lambda x, y=threading.Lock: x) != code_fingerprint(lambda x, y=threading.RLock: x)


SCRIPT = """
import datetime, enum
from dataclasses import dataclass
import numpy
from flowtell.engine.fingerprint import code_fingerprint, fingerprint
@dataclass
class Order:
    id: int
    tags: set
def work(x, y=frozenset({"a", "b", "c"})):
    return {n for n in x if n in {"p", "q", "r"}}
print(fingerprint({"z", "y", "x"}, {"k": Order(1, {"s", "t", "u"}), "j": datetime.timedelta(1)}, "ab" * 9,
      numpy.arange(3), object.__reduce__, code_fingerprint(work)))
"""


def test_it_is_the_same_in_another_process() -> None:
    """Whose sets are in another order, by another seed of the hash."""
    environment = {"PATH": ""}
    found = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment | {"PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
