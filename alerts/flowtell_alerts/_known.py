"""All that is known of one subject: its facts, and the rules that hold for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from flowtell.events import Event
from flowtell_alerts._kind import HOUR, Facts
from flowtell_alerts._rules import Rule
from flowtell_alerts._subject import FLOW, SubjectKey

MAX_RULES: Final = 100
"""Rules of one subject that are heeded; the rest is left out, and logged."""

MAX_TELLERS: Final = 50
"""Flows that tell of one asset or event whose rules are heeded."""

_F = TypeVar("_F", bound=Facts)


class Known:
    """Mutable; belongs to the evaluator's thread."""

    __slots__ = ("_facts", "declaration", "is_new", "owners", "rules", "source", "subject", "tags", "tellers", "writer")

    def __init__(self, subject: SubjectKey) -> None:
        self.subject = subject
        self.source = ""
        """Of the first run that named one."""
        self.writer = ""
        """Who declared the deployment last, a writer's name."""
        self.tellers: tuple[SubjectKey, ...] = ()
        """Whose runs told of it, or whose rules name it, where it is no flow: their rules hold."""
        self.declaration = ""
        """Id of the newest event that had a say in its rules."""
        self.owners: tuple[str, ...] = ()
        self.tags: tuple[str, ...] = ()
        self.rules: tuple[Rule, ...] = ()
        """Each key once."""
        self.is_new = True
        """Whether its row is to be written."""
        self._facts: tuple[Facts, ...] = ()

    @property
    def runs(self) -> SubjectKey:
        """Of the flow that it is about, or of one that told of it."""
        if self.subject.kind == FLOW:
            return self.subject
        return self.tellers[0] if self.tellers else SubjectKey(FLOW, "", self.subject.environment)

    def facts(self, kind: type[_F]) -> _F:
        """Those of one class: none yet, where they are asked for the first time."""
        for known in self._facts:
            if type(known) is kind:
                return known
        self._facts = (*self._facts, made := kind())
        return made

    def all_facts(self) -> Sequence[Facts]:
        return self._facts

    def take(self, kind: type[Facts], event: Event, now: int) -> None:
        demands = list(self._demands(kind))
        if demands or not kind.on_demand or self._has(kind):
            self.facts(kind).take(event, now, demands)

    def lacking(self) -> Iterator[tuple[Facts, Sequence[Any]]]:
        """Facts that lack what ended before a rule asked, with what is asked of them."""
        for kind in {rule.kind.facts for rule in self.rules if rule.kind is not None}:
            demands = list(self._demands(kind))
            if self.facts(kind).lacks(demands):
                yield self.facts(kind), demands

    def _has(self, kind: type[Facts]) -> bool:
        return any(type(known) is kind for known in self._facts)

    def _demands(self, facts: type[Facts]) -> Iterator[Any]:
        for rule in self.rules:
            if rule.kind is not None and rule.kind.facts is facts:
                yield rule.demand

    def told_by(self, runs: SubjectKey) -> bool:
        """Remember who told of it. Whether that is new."""
        if self.subject.kind == FLOW or runs in self.tellers or len(self.tellers) >= MAX_TELLERS:
            return False
        self.tellers = tuple(sorted((*self.tellers, runs)))
        self.is_new = True
        return True

    def hold(self, rules: Iterable[Rule]) -> None:
        """These rules hold from now on, and no others."""
        self.rules = tuple({rule.key: rule for rule in rules}.values())

    def settle(self, until: int) -> None:
        for facts in self._facts:
            facts.settle(until)

    def forget_history(self, now: int) -> None:
        """Settle what was over an hour ago."""
        self.settle(now - HOUR)
