"""A rule as the evaluator understands it: what it is about, what it asks, and the key it is known by."""

from __future__ import annotations

import sys
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import Struct

from flowtell.decoders import convert
from flowtell.events import RuleData
from flowtell_alerts._kind import Kind
from flowtell_alerts._stated import Stated
from flowtell_alerts._subject import FLOW, SubjectKey
from flowtell_alerts.kinds import kind_of

_KIND_SHOWN: Final = 40


class Rule(Struct, frozen=True):
    """One rule about one subject. Subject, kind and arguments make its key.

    Severity, labels and runbook may change under the same key: they say what to do about an incident, not what is one.
    """

    key: str
    subject: SubjectKey
    runs: SubjectKey
    """Of the flow that it is stated for: the subject itself, or who told of it."""
    data: RuleData
    demand: Any = None
    """Its arguments as its kind has them; None where this version does not understand the rule, which is never judged."""
    problem: str = ""
    """Why it is not understood."""
    place: str = ""
    """Who states it: `tag`, `file` or `code`."""
    origin: str = ""
    """The tag, or file and line."""

    @property
    def kind(self) -> Kind | None:
        """None where nothing judges it."""
        return kind_of(self.data) if self.demand is not None else None


def understand(subject: SubjectKey, stated: Stated, runs: SubjectKey | None = None) -> Rule:
    """The rule that was stated for `runs`, by default the subject. Never raises: what is not understood is kept, to be
    shown.
    """
    data = stated.rule
    demand, problem = (None, stated.problem) if stated.problem else demand_of(data)
    return Rule(
        rule_key(subject, data),
        subject,
        runs or subject,
        data,
        demand=demand,
        problem=problem,
        place=stated.place,
        origin=stated.origin,
    )


def demand_of(data: RuleData) -> tuple[Any, str]:
    """What the rule asks, and why that is not understood."""
    kind = kind_of(data)
    if kind is None:
        return None, f"this version knows no rule of kind '{data.kind[:_KIND_SHOWN]}'"
    return _converted(kind, msgspec.json.encode(data.arguments, order="deterministic"))


@lru_cache(maxsize=10_000)
def _converted(kind: Kind, arguments: bytes) -> tuple[Any, str]:
    """One object for all rules that ask the same: a hundred thousand deployments have the rules of a few flows."""
    try:
        return convert(msgspec.json.decode(arguments), kind.demand), ""
    except msgspec.ValidationError as error:
        return None, str(error)[:200]


def rule_key(subject: SubjectKey, data: RuleData) -> str:
    """Short enough for any vendor's deduplication key; the kind leads for whoever reads it."""
    about = [] if subject.kind == FLOW else [subject.kind]
    last = [subject.deployment] if subject.deployment else []
    parts = [*about, subject.name, subject.environment, data.kind, data.arguments, *last]
    identity = msgspec.json.encode(parts, order="deterministic")
    return sys.intern(
        f"{data.kind[:_KIND_SHOWN]}-{blake2b(identity, digest_size=10).hexdigest()}"
    )  # the rulebook keeps it too
