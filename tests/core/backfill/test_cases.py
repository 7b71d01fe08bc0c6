"""Which runs a back-fill has, by its parameters."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from flowtell import flow
from flowtell.engine.backfill.cases import cases_of, dated_parameter
from flowtell.errors import BadBackfill


@flow
def dated(shop: str, day: date = date(2026, 1, 1)) -> None: ...


@flow
def plain(count: int) -> None: ...


@flow
def twice(first: datetime, second: datetime) -> None: ...


def test_each_value_goes_with_each() -> None:
    """The last parameter changes fastest; what is asked for twice is there once."""
    cases = cases_of(dated, {"day": ["2026-11-01", "2026-11-02"], "shop": ["a", "b", "a"]})
    assert [tuple(case.parameters.values()) for case in cases] == [
        ("2026-11-01", "a"), ("2026-11-01", "b"), ("2026-11-02", "a"), ("2026-11-02", "b"),
    ]  # fmt: skip


def test_a_case_is_known_by_its_parameters() -> None:
    """In whatever order they were named."""
    one = cases_of(dated, {"day": ["2026-11-01"], "shop": ["a"]})
    other = cases_of(dated, {"shop": ["a"], "day": ["2026-11-01", "2026-11-02"]})
    assert one[0].key == other[0].key
    assert len({case.key for case in other}) == 2


@pytest.mark.parametrize(
    ("work", "values", "said"),
    [
        (plain, {"count": ["1", "many"]}, "count"),
        (plain, {"counts": ["1"]}, "missing a required argument"),
        (plain, {"count": []}, "0 runs"),
        (dated, {"day": range(1000), "shop": range(1000)}, "1,000,000 runs"),
    ],
)
def test_what_the_flow_does_not_take_is_refused(work: Any, values: Any, said: str) -> None:
    """Before anything runs."""
    with pytest.raises(BadBackfill, match=said):
        cases_of(work, values)


def test_the_parameter_for_the_dates() -> None:
    """The one annotated as a date, else the only one that is left; else it is to be named."""
    assert dated_parameter(dated, {}) == "day"
    assert dated_parameter(plain, {}) == "count"
    assert dated_parameter(twice, {"first": 1}) == "second"
    with pytest.raises(BadBackfill, match="it could be first or second"):
        dated_parameter(twice, {})
    with pytest.raises(BadBackfill, match="there is none"):
        dated_parameter(plain, {"count": 1})
