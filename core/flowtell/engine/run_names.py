"""The name of a run, as its flow or task says: a format string over the parameters, or a function."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from flowtell.bus import warn_once
from flowtell.errors import BadRunName

if TYPE_CHECKING:
    from flowtell.engine.work import Work


def run_name(work: Work[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The chosen name, or none where choosing raises: a slip in a name fails no run."""
    try:
        if callable(work.run_name):
            wants_parameters = "parameters" in inspect.signature(work.run_name).parameters
            return str(work.run_name(parameters=_parameters(work, args, kwargs)) if wants_parameters else work.run_name())
        return str(work.run_name).format(**_parameters(work, args, kwargs))
    except Exception as error:  # noqa: BLE001  # the user's function or format
        warn_once(BadRunName(work.kind, work.name, f"{type(error).__name__}: {error}"))
        return ""


def _parameters(work: Work[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    bound = inspect.signature(work.fn).bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)
