"""What a back-fill runs its flow with: one set of parameters a run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from flowtell.engine.backfill.dates import MOST
from flowtell.errors import BadBackfill, ParameterError

if TYPE_CHECKING:
    from flowtell.engine.flows import Flow

_DATES = ("date", "datetime", "datetime.date", "datetime.datetime")
"""Annotations as text, which all are in a file with `from __future__ import annotations`."""


class Case(NamedTuple):
    """One run's parameters."""

    key: str
    """The same for the same parameters, for ever."""
    parameters: dict[str, Any]


def cases_of(flow: Flow[..., Any], values: Mapping[str, Sequence[Any]]) -> list[Case]:
    """Each value of each parameter with each of the others, the last parameter changing fastest; no case twice.

    Raises:
        BadBackfill: there are none or too many, or the flow does not take one of them.
    """
    total = 1
    for given in values.values():
        total *= len(given)
    if not 0 < total <= MOST:
        raise BadBackfill(flow.name, f"that is {total:,} runs; a back-fill has 1 to {MOST:,}")
    found = {}
    for combination in product(*values.values()):
        case = _case(dict(zip(values, combination, strict=True)))
        _try(flow, case)
        found[case.key] = case
    return list(found.values())


def _case(parameters: dict[str, Any]) -> Case:
    encoded = msgspec.json.encode(parameters, order="deterministic")
    return Case(blake2b(encoded, digest_size=8).hexdigest(), parameters)


def _try(flow: Flow[..., Any], case: Case) -> None:
    """Before the first run rather than at the three-hundredth."""
    try:
        flow.parameters.fit((), dict(case.parameters))
    except ParameterError as error:
        raise BadBackfill(flow.name, "; ".join(error.problems)) from error


def dated_parameter(flow: Flow[..., Any], given: Mapping[str, Any]) -> str:
    """The parameter that takes the dates where nobody names it: the one annotated as a date, else the only one left.

    Raises:
        BadBackfill: none or several could be meant.
    """
    free = [one for one in inspect.signature(flow.fn).parameters.values() if one.name not in given]
    dated = [one.name for one in free if _is_date(one.annotation)]
    names = dated or [one.name for one in free]
    if len(names) == 1:
        return names[0]
    has = f"it could be {' or '.join(names)}" if names else "there is none"
    raise BadBackfill(flow.name, f"which parameter takes the dates is to be said by --into NAME, as {has}")


def _is_date(annotation: Any) -> bool:
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return name.replace("dt.", "datetime.") in _DATES
