"""The names of `prefect.states`, so that a script changes only its import: states that a flow returns to end so.

    return Failed(message="3 of 40 files are missing")

A flow that returns one ends in that state, and whoever called it gets its data, or its error; with `return_state=True` the
state itself.
"""

from __future__ import annotations

from typing import Any

from flowtell.engine.states import State
from flowtell.errors import FailedRun


def Completed(*, message: str = "", data: Any = None) -> State:  # noqa: N802  # reads as the state that it makes
    """The run has completed; its result is `data`."""
    return State("completed", None, data, message)


def Failed(*, message: str = "", data: Any = None) -> State:  # noqa: N802  # as above
    """The run has failed; with `data` an exception, by that, else by a `FailedRun` with this message."""
    return _bad("failed", message, data)


def Cancelled(*, message: str = "", data: Any = None) -> State:  # noqa: N802  # as above
    """The run ends as cancelled."""
    return _bad("cancelled", message, data)


def Crashed(*, message: str = "", data: Any = None) -> State:  # noqa: N802  # as above
    """The run ends as crashed."""
    return _bad("crashed", message, data)


def get_state_exception(state: State) -> BaseException | None:
    """What the run raised; None where it ended well."""
    return state.error


def raise_state_exception(state: State) -> None:
    """Raise what the run raised, if it did."""
    if state.error is not None:
        raise state.error


async def aget_state_exception(state: State) -> BaseException | None:
    """As `get_state_exception`, to be awaited."""
    return state.error


async def araise_state_exception(state: State) -> None:
    """As `raise_state_exception`, to be awaited."""
    raise_state_exception(state)


def _bad(name: str, message: str, data: Any) -> State:
    error = data if isinstance(data, BaseException) else FailedRun(name, message)
    return State(name, error, None, message)


__all__ = [
    "Cancelled",
    "Completed",
    "Crashed",
    "Failed",
    "State",
    "aget_state_exception",
    "araise_state_exception",
    "get_state_exception",
    "raise_state_exception",
]
