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


def bound_arguments(
    signature: inspect.Signature, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """All parameters by name, defaults included; of a bound method its instance too.

    Raises:
        TypeError: the arguments do not fit.
    """
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    if inspect.ismethod(function):
        return {"self": function.__self__, **bound.arguments}
    return bound.arguments
