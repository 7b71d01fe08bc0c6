"""OpenTelemetry's words for what runs do: the CI/CD conventions (semantic-conventions, docs/cicd), the nearest there are."""

from __future__ import annotations

from typing import Any, Final

from flowtell_exporters.otel.spans import ERROR, UNSET

RESULT: Final = {
    "completed": "success",
    "cached": "success",
    "skipped": "skip",
    "failed": "failure",
    "timed_out": "timeout",
    "cancelled": "cancellation",
    "crashed": "error",
}
"""By end state. A run that fails by itself is a `failure`; one that something killed is an `error` of the system."""

_BAD: Final = frozenset({"failed", "timed_out", "crashed"})


def result_of(state: str) -> str:
    """The convention's word for an end state; a state that nobody knows is passed on."""
    return RESULT.get(state, state)


def status_of(state: str) -> int:
    """Unset for what went well, was cancelled or skipped (docs/general/recording-errors)."""
    return ERROR if state in _BAD else UNSET


def error_type(state: str, error: Any) -> str:
    """A word of few values for `error.type`: the exception's class, else the state."""
    return (error.type if error is not None else "") or state


def pruned(attributes: dict[str, Any]) -> dict[str, Any]:
    """Without what is not known."""
    return {name: value for name, value in attributes.items() if value is not None and value not in ("", [])}


def exception(error: Any) -> dict[str, Any]:
    """The attributes of an exception (docs/exceptions)."""
    told = {"exception.type": error.type, "exception.message": error.message, "exception.stacktrace": error.traceback}
    return pruned(told)
