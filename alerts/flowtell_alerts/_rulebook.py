"""Which rules hold for which subjects, with their last verdicts, in memory and in the evaluator's table of rules."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from flowtell.events import Event, RuleDeclared, RuleRemoved
from flowtell.ids import derived_id
from flowtell.plugin import Context
from flowtell_alerts import tables
from flowtell_alerts._declarations import Declarations, Held, Name, rule_digest
from flowtell_alerts._known import MAX_RULES, Known
from flowtell_alerts._memory import Memory
from flowtell_alerts._pages import every_row
from flowtell_alerts._past import past_runs
from flowtell_alerts._replacing import Replacing
from flowtell_alerts._rows import as_json
from flowtell_alerts._rules import Rule, understand
from flowtell_alerts._stated import Stated
from flowtell_alerts._subject import FLOW, SubjectKey, runs_of
from flowtell_alerts._verdict import Verdict
from flowtell_alerts._watched_file import WatchedFile
from flowtell_alerts.kinds import kind_of

_RULES: Final = Replacing(tables.rules)

RECALLS: Final = 500
"""Subjects whose past is read at once, where a rule comes for many; the others learn from then on."""


class Rulebook:
    """Rules are stated for the runs of flows. One about assets or events holds for those that such runs told of."""

    def __init__(self, context: Context, memory: Memory, rules_path: str) -> None:
        self._context, self._memory = context, memory
        self._declarations = Declarations(context)
        self._file = WatchedFile(rules_path, context.logger)
        self._stale: set[SubjectKey] = set()
        """Subjects for which other rules may hold than were found last."""
        self._recalls = 0
        self._verdicts: dict[str, str] = {
            sys.intern(row.key): sys.intern(row.verdict) for row in every_row(context, tables.rules)
        }
        for key in memory.subjects():
            self._know_rules(key)

    # --- what is stated -------------------------------------------------------------------------------------------

    def take(self, event: Event) -> SubjectKey | None:
        """Keep what a declaration says. The runs that it is about, with an empty name where it is about a rule of a file;
        None where it is old news.
        """
        name = self._declarations.take(event)
        if name is None:
            return None
        runs = _runs_named(name)
        self._stale.update(self._concerned(runs))
        return runs

    def _concerned(self, runs: SubjectKey) -> Iterable[SubjectKey]:
        """A flow's word is about all of its deployments; one about a deployment is also about its runs of none, which owe
        less where there are deployments.
        """
        if not runs.name:
            return self._memory.subjects()
        everyone = self._memory.keys_of(runs.name, runs.environment)
        if not runs.deployment:
            return everyone
        return [key for key in (runs, runs_of(runs.name, runs.environment)) if self._memory.knows(key)]

    def doubt(self, key: SubjectKey) -> None:
        """Find out anew, at the next `refresh`, which rules hold for a subject."""
        self._stale.add(key)

    def refresh(self, keys: Iterable[SubjectKey] | None = None) -> set[SubjectKey]:
        """Find out anew, of all that are doubted or of those among `keys`, and write what has changed. Those it was."""
        self._recalls = 0 if keys is None else self._recalls
        doubted = {key for key in keys if key in self._stale} if keys is not None else set(self._stale)
        self._stale -= doubted
        flows = [key for key in doubted if key.kind == FLOW]
        for key in flows:
            self._refresh(key)
        others = {key for key in doubted if key.kind != FLOW}.union(*(self._memory.told_by(runs) for runs in flows))
        for key in others:
            self._refresh(key)
        return {*flows, *others}

    def _refresh(self, key: SubjectKey) -> None:
        before = self._memory.of(key).rules
        self._know_rules(key)
        after = self._memory.of(key).rules
        if after != before:
            self._rewrite(before, after)
            self._recall(key)

    def _recall(self, key: SubjectKey) -> None:
        """What ended before a rule asked; not of more subjects at once than the call has time for."""
        lacking = list(self._memory.of(key).lacking())
        if not lacking:
            return
        self._recalls += 1
        past = past_runs(self._context.read, self._context.name, key) if self._recalls <= RECALLS else []
        for facts, demands in lacking:
            facts.recall(past, demands)
        self._memory.changed(key)

    def _rewrite(self, before: Sequence[Rule], after: Sequence[Rule]) -> None:
        for rule in before:
            self._verdicts.pop(rule.key, None)
        _RULES.remove(self._context, [{"key": rule.key} for rule in before])
        _RULES.write(self._context, [_row(rule) for rule in after])

    # --- what holds -----------------------------------------------------------------------------------------------

    def _know_rules(self, key: SubjectKey) -> None:
        known = self._memory.of(key)
        held = self._held_by(known.runs)
        known.owners, known.tags, known.declaration = held.owners, held.tags, held.declaration
        known.hold(list(self._of_runs(key, held) if key.kind == FLOW else self._of_told(known))[:MAX_RULES])

    def _held_by(self, runs: SubjectKey) -> Held:
        source = self._memory.of(runs).source if self._memory.knows(runs) else ""
        return self._declarations.held_by(runs, source)

    def _of_runs(self, runs: SubjectKey, held: Held) -> Iterator[Rule]:
        """Those about the runs; of the others those that are not understood, to be shown. What they name is known then."""
        for stated in held.stated:
            rule = understand(runs, stated)
            if rule.kind is None or rule.kind.facts.about == FLOW:
                if not self._is_owed_by_others(runs, rule):
                    yield rule
                continue
            for named in rule.kind.names(rule.demand, runs):
                if self._memory.tell(named, runs):
                    self._memory.of(named).facts(rule.kind.facts).named(self._context.clock())
                    self._stale.add(named)

    def _is_owed_by_others(self, runs: SubjectKey, rule: Rule) -> bool:
        if rule.kind is None or not rule.kind.of_deployments or runs.deployment:
            return False
        return any(key.deployment for key in self._memory.keys_of(runs.name, runs.environment))

    def _of_told(self, known: Known) -> Iterator[Rule]:
        """Those of everybody who told of the subject."""
        for runs in known.tellers:
            for stated in self._held_by(runs).stated:
                rule = self._about(known.subject, stated, runs)
                if rule is not None:
                    yield rule

    def _about(self, subject: SubjectKey, stated: Stated, runs: SubjectKey) -> Rule | None:
        kind = kind_of(stated.rule)
        if kind is None or kind.facts.about != subject.kind:
            return None
        rule = understand(subject, stated, runs)
        return rule if rule.kind is not None and kind.fits(rule.demand, subject) else None

    # --- the rules of a file --------------------------------------------------------------------------------------

    def tell_of_file(self, now: int, news: Sequence[Event]) -> None:
        """Tell the log what the file states and what it states no longer; what is told comes back as an event.

        Args:
            news: what the log holds that was not handed over yet: no word of a rule may be among it.
        """
        told = self._file.difference(self._declarations.file_rules(), now)
        if not told or any(event.type in ("rule.declared", "rule.removed") for event in news):
            return
        for each in told.new:  # before those that are gone: a rule whose severity changed holds without a gap
            self._emit(RuleDeclared(time=now, rule=each.rule, origin=each.origin))
        for rule, origin in told.gone:
            self._emit(RuleRemoved(time=now, rule=rule, origin=origin))

    def _emit(self, said: RuleDeclared | RuleRemoved) -> None:
        assert said.rule is not None
        digest = rule_digest(said.rule)
        cause = derived_id(said.time, "rules of a file", digest)
        self._context.emit(said, cause=cause, name=f"{digest} {said.origin}")

    # --- verdicts -------------------------------------------------------------------------------------------------

    def note(self, verdicts: Iterable[tuple[Rule, Verdict]], now: int) -> None:
        """Keep the verdicts that are others than before, to be shown."""
        rows = [_row(rule, verdict, now) for rule, verdict in verdicts]
        rows = [row for row in rows if self._verdicts.get(row["key"]) != row["verdict"]]
        self._verdicts.update({sys.intern(row["key"]): sys.intern(row["verdict"]) for row in rows})
        _RULES.write(self._context, rows)


def _runs_named(name: Name) -> SubjectKey:
    kind, flow, environment, own = name
    return runs_of(flow, environment, own if kind == "deployment" else "")


def _row(rule: Rule, verdict: Verdict | None = None, now: int | None = None) -> dict[str, Any]:
    """A rule with its verdict as it is shown; not judged yet where there is none."""
    reason = str(verdict.reason) if verdict else ""
    return {
        "key": rule.key,
        "flow": rule.runs.name,
        "environment": rule.subject.environment,
        "deployment": rule.runs.deployment,
        "about": rule.subject.kind,
        "subject_name": rule.subject.name,
        "rule": as_json(rule.data),
        "place": rule.place,
        "origin": rule.origin,
        "verdict": f"{reason}: {rule.problem}" if reason and rule.problem else reason,
        "holds": int(verdict.holds) if verdict and verdict.known else None,
        "changed": now,
    }
