"""Which parameter an argument goes to."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def argument_names(function: Callable[..., Any], count: int) -> list[str]:
    """The parameter that each of `count` positional arguments goes to."""
    names: list[str] = []
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some built-ins have no signature
        return [str(place) for place in range(count)]
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            return [*names, *[parameter.name] * (count - len(names))]
        names.append(parameter.name)
    return names
