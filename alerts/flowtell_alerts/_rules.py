"""A rule as the evaluator understands it: which flow it is about, what it asks, and the key it is known by."""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from flowtell.events import RuleData

MAX_CONSECUTIVE: Final = 100
"""Bad ends in a row that are remembered of one flow, and so the most that a rule can ask for."""

_TEN_YEARS: Final = 10 * 365 * 86_400.0
_KIND_SHOWN: Final = 40


class Failed(Struct, frozen=True, forbid_unknown_fields=True):
    """Runs end well: fewer than `consecutive` in a row end badly."""

    consecutive: Annotated[int, Meta(ge=1, le=MAX_CONSECUTIVE)] = 1


class TooLong(Struct, frozen=True, forbid_unknown_fields=True):
    """A run ends within `bound` seconds of its start."""

    bound: Annotated[float, Meta(ge=0, le=_TEN_YEARS)]


Demand = Failed | TooLong

_KINDS: Final[dict[str, type[Demand]]] = {"failed": Failed, "too_long": TooLong}


class Rule(Struct, frozen=True):
    """One rule of one flow in one environment. Flow, environment, kind and arguments make its key.

    Severity, labels and runbook may change under the same key: they say what to do about an incident, not what is one.
    """

    key: str
    flow: str
    environment: str
    data: RuleData
    demand: Demand | None = None
    """None where this version does not understand the rule; then `problem` says why, and it is never judged."""
    problem: str = ""


def understand(flow: str, environment: str, data: RuleData) -> Rule:
    """The rule that a flow declared. Never raises: what is not understood is kept, to be shown."""
    key = rule_key(flow, environment, data)
    kind = _KINDS.get(data.kind)
    if kind is None:
        problem = f"this version knows no rule of kind '{data.kind[:_KIND_SHOWN]}'"
        return Rule(key, flow, environment, data, problem=problem)
    try:
        return Rule(key, flow, environment, data, demand=msgspec.convert(data.arguments, kind))
    except msgspec.ValidationError as error:
        return Rule(key, flow, environment, data, problem=str(error)[:200])


def rule_key(flow: str, environment: str, data: RuleData) -> str:
    """Short enough for any vendor's deduplication key; the kind leads for whoever reads it."""
    identity = msgspec.json.encode([flow, environment, data.kind, data.arguments], order="deterministic")
    return f"{data.kind[:_KIND_SHOWN]}-{blake2b(identity, digest_size=10).hexdigest()}"
