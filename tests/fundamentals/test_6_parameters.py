"""A flow's parameters are checked, converted, and kept with the run."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pydantic import BaseModel

from flowtell import flow
from flowtell.errors import ParameterError
from flowtell.events import FlowRunFinished, FlowRunStarted
from flowtell.testing import recorder


class Window(BaseModel):
    start: dt.date
    days: int = 1


def test_values_become_what_they_are_annotated_with() -> None:
    """Text from a command line becomes numbers, dates, models; what is not annotated is left alone."""

    @flow
    def typed(count: int, window: Window, day: dt.date, anything) -> tuple[Any, ...]:  # type: ignore[no-untyped-def]
        return count, window, day, anything

    given: Any = ("3", {"start": "2026-11-20"}, "2026-11-21", "4")
    count, window, day, anything = typed(*given)
    assert (count, anything) == (3, "4")
    assert window == Window(start=dt.date(2026, 11, 20))
    assert day == dt.date(2026, 11, 21)


def test_what_does_not_fit_fails_the_run() -> None:
    """`ParameterError` names every problem; the run has failed without its function having run, or being tried again."""
    ran = []

    @flow(retries=3)
    def typed(count: int, day: dt.date) -> None:
        ran.append(1)

    with recorder() as seen, pytest.raises(ParameterError) as caught:
        typed("many", day="someday")  # type: ignore[arg-type]
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["count", "day"]
    assert "Parameters of flow 'typed' do not fit: count: Input should be a valid integer" in str(caught.value)
    assert not ran
    [finished] = seen.of(FlowRunFinished)
    assert (finished.state, finished.attempts) == ("failed", 1)


def test_a_missing_parameter_is_named() -> None:
    """As is one that the flow does not have."""

    @flow
    def typed(day: str) -> None: ...

    with pytest.raises(ParameterError, match="missing a required argument: 'day'"):
        typed()  # type: ignore[call-arg]
    with pytest.raises(ParameterError, match="unexpected keyword argument 'dya'"):
        typed(day="x", dya="y")  # type: ignore[call-arg]


def test_values_are_kept_with_the_run() -> None:
    """As they were after conversion, defaults included."""

    @flow
    def kept(count: int, names: tuple[str, ...] = ("a",), **more: Any) -> None: ...

    with recorder() as seen:
        kept("3", extra=1.5)  # type: ignore[arg-type]
    assert seen.of(FlowRunStarted)[0].parameters == {"count": 3, "names": ["a"], "more": {"extra": 1.5}}


def test_secrets_are_left_out() -> None:
    """A value whose name speaks of a secret is not written down, nor is one inside a value."""

    @flow
    def connects(url: str, api_token: str, options: dict[str, str]) -> str:
        return api_token

    with recorder() as seen:
        assert connects("postgres://", "hunter2", {"password": "hunter2", "user": "me"}) == "hunter2"
    assert seen.of(FlowRunStarted)[0].parameters == {
        "url": "postgres://",
        "api_token": "********",
        "options": {"password": "********", "user": "me"},
    }


def test_what_json_cannot_say_is_described() -> None:
    """An object becomes its type and repr, a value that is too large its type and size. None of it fails a run."""

    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError("no words")

    loop: list[Any] = []
    loop.append(loop)

    @flow
    def takes(odd: Any, large: Any, looping: Any, thing: Any) -> str:
        return "ran"

    with recorder() as seen:
        assert takes(Odd(), "x" * 100_000, loop, {1, 2}) == "ran"
    parameters = seen.of(FlowRunStarted)[0].parameters
    assert parameters["odd"]["type"].endswith("Odd")
    assert parameters["large"] == {"type": "str", "size": 100_000}
    assert parameters["looping"] == {"type": "list", "repr": "[[...]]"}
    assert parameters["thing"] == [1, 2]


def test_checking_can_be_switched_off() -> None:
    """With `validate_parameters=False` values reach the function as they are."""

    @flow(validate_parameters=False)
    def trusting(count: int) -> int:
        return count

    assert trusting("3") == "3"  # type: ignore[arg-type,comparison-overlap]
