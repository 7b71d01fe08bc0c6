"""The plugin `alerts`: keeps what is known of each flow, judges its rules on every tick, opens and resolves incidents.

A projection. Events only add to what is known; the verdicts are passed in `tick`, which no reading command calls and no
plugin gets before it has caught up: history opens no incident but for what is still bad, and nothing is judged twice.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import bindparam, delete, select

from flowtell.errors import UnknownKey
from flowtell.events import (
    Event,
    FlowDeclared,
    FlowRunFinished,
    FlowRunRemoved,
    FlowRunStarted,
)
from flowtell.ids import derived_id, moment_of
from flowtell.plugin import BasePlugin, Context
from flowtell_alerts import tables
from flowtell_alerts._arrivals import Arrivals, FlowKey
from flowtell_alerts._facts import MAX_RULES, FlowFacts
from flowtell_alerts._memory import Memory
from flowtell_alerts._replacing import Replacing
from flowtell_alerts._rows import as_json, incident_of, incident_row
from flowtell_alerts._rules import Rule
from flowtell_alerts._timers import Timers
from flowtell_alerts._unread import FAR_BEHIND, Unread
from flowtell_alerts._verdict import Verdict, judge
from flowtell_alerts.incidents import RULE_REMOVED, Change, Incident, event_of, follow, name_of, resolved

RULES_A_TICK: Final = 2_000
"""Rules judged in one tick, so that its write set stays small; the others come in the next."""

KEPT: Final = 365 * 86_400_000_000
"""µs that a resolved incident is kept."""

_DAY: Final = 86_400_000_000

_RULES = Replacing(tables.rules)
_INCIDENTS = Replacing(tables.incidents)
_DELETE_OLD = delete(tables.incidents).where(tables.incidents.c.resolved < bindparam("before"))


def create(settings: Mapping[str, Any]) -> Evaluator:
    """The factory that the entry point names. There is nothing to set."""
    for key in settings:
        raise UnknownKey(key, "[plugin.alerts]")
    return Evaluator()


class Evaluator(BasePlugin):
    """Judges the rules that flows declare.

    An open incident and all that is known are in its tables, so a restart forgets nothing and opens nothing twice.
    """

    wants = ("flow.declared", "flow_run.started", "flow_run.finished", "flow_run.removed")
    tables = tables.metadata
    tick_seconds = 0.5

    def open(self, context: Context) -> None:
        super().open(context)
        self._memory = Memory(context)
        self._unread = Unread(context, self.wants)
        self._arrivals = Arrivals(self._memory.keys(), context.clock())
        self._timers = Timers()
        self._unjudged = self._memory.keys()
        self._cleaned = 0
        self._open: dict[FlowKey, dict[str, Incident]] = defaultdict(dict)
        for row in context.read(select(tables.incidents).where(tables.incidents.c.resolved.is_(None))):
            self._open[row.flow, row.environment][row.key] = incident_of(row)
        rules = select(tables.rules.c.key, tables.rules.c.verdict)
        self._verdicts: dict[str, str] = {row.key: row.verdict for row in context.read(rules)}

    # --- what is known --------------------------------------------------------------------------------------------

    def handle(self, events: Sequence[Event]) -> None:
        now = self.context.clock()
        touched: set[FlowKey] = set()
        for event in events:
            if self._unread.passed(event) and event.flow and not event.contrary:
                key = (event.flow, event.environment)
                self._arrivals.note(key, event)
                self._take(self._memory.of(key), event, now)
                touched.add(key)
        for key in touched:
            self._memory.of(key).forget_history(now)
            self._memory.changed(key)
        self._unjudged |= touched
        self._memory.save()

    def _take(self, facts: FlowFacts, event: Event, now: int) -> None:
        match event:
            case FlowRunStarted():
                facts.start(event)
            case FlowRunFinished():
                facts.finish(event, now)
            case FlowDeclared():
                self._declare(facts, event)
            case FlowRunRemoved():
                facts.remove(event.run)
            case _:
                raise AssertionError(event.type)  # not one of `wants`

    def _declare(self, facts: FlowFacts, event: FlowDeclared) -> None:
        before = facts.rules
        if not facts.declare(event) or facts.rules == before:
            return
        if len(event.rules) > MAX_RULES:
            self.context.logger.warning("flow %.200s: only the first %d rules are heeded", facts.flow, MAX_RULES)
        for key in before:
            self._verdicts.pop(key, None)
        if before:
            self.context.write(_RULES.delete, [{"key": key} for key in before])
        _RULES.write(self.context, [_rule_row(rule) for rule in facts.rules.values()])

    # --- what is judged -------------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        if not self.context.live:
            return
        self._news: list[Event] | None = None
        budget = RULES_A_TICK
        due, self._unjudged = self._unjudged | self._timers.due(now), set()
        for key in due:
            if budget <= 0 or self._arrivals.are_expected(key, now):
                self._unjudged.add(key)
            else:
                budget -= 1 + len(self._memory.of(key).rules)
                self._judge(key, now)
        self._memory.save()
        self._clean(now)

    def _judge(self, key: FlowKey, now: int) -> None:
        facts = self._memory.of(key)
        verdicts = [(rule, judge(rule, facts, now)) for rule in facts.rules.values()]
        changes = [*self._removed(key, now), *self._changes(key, verdicts, now)]
        if self._is_behind(facts, changes):
            self._unjudged.add(key)
            return
        for change in changes:
            self._apply(key, change)
        self._note(verdicts, now)
        self._timers.put(key, min((verdict.again for _, verdict in verdicts if verdict.again), default=None))
        if facts.settle(now):
            self._memory.changed(key)

    def _removed(self, key: FlowKey, now: int) -> list[Change]:
        facts = self._memory.of(key)
        orphans = [incident for rule, incident in self._open[key].items() if rule not in facts.rules]
        return [resolved(incident, RULE_REMOVED, now, facts.declaration) for incident in orphans]

    def _changes(self, key: FlowKey, verdicts: list[tuple[Rule, Verdict]], now: int) -> list[Change]:
        facts, incidents = self._memory.of(key), self._open[key]
        return [
            change
            for rule, verdict in verdicts
            for change in follow(incidents.get(rule.key), rule, facts, verdict, now=now, new_id=self._new_id)
        ]

    def _is_behind(self, facts: FlowFacts, changes: list[Change]) -> bool:
        """Whether the log has news of the flow that may take back what is about to be opened.

        A plugin counts as live some batches before the log's end; after a restart the end of a run may lie there.
        """
        if all(change.kind != "opened" for change in changes):
            return False
        if self._news is None:
            self._news = self._unread.read()
        return len(self._news) >= FAR_BEHIND or any(event.flow == facts.flow for event in self._news)

    def _new_id(self, key: str, cause: str) -> str:
        """Derived from rule and cause; numbered where a late event made one cause begin two incidents."""
        column = tables.incidents.c.incident
        for number in itertools.count():
            incident = derived_id(moment_of(cause), "incident", key, cause, str(number))
            if not self.context.read(select(column).where(column == incident)):
                return incident
        raise AssertionError  # an endless loop has no end

    def _apply(self, key: FlowKey, change: Change) -> None:
        incident = change.incident
        if change.kind == "resolved":
            self._open[key].pop(incident.key, None)
        else:
            self._open[key][incident.key] = incident
        _INCIDENTS.write(self.context, [incident_row(incident)])
        self.context.emit(event_of(change), cause=change.cause, name=name_of(change))

    def _note(self, verdicts: list[tuple[Rule, Verdict]], now: int) -> None:
        rows = [_rule_row(rule, verdict, now) for rule, verdict in verdicts]
        rows = [row for row in rows if self._verdicts.get(row["key"]) != row["verdict"]]
        self._verdicts.update({row["key"]: row["verdict"] for row in rows})
        _RULES.write(self.context, rows)

    def _clean(self, now: int) -> None:
        if now - self._cleaned > _DAY:
            self._cleaned = now
            self.context.write(_DELETE_OLD, [{"before": now - KEPT}])


def _rule_row(rule: Rule, verdict: Verdict | None = None, now: int | None = None) -> dict[str, Any]:
    """A rule with its verdict as it is shown; not judged yet where there is none."""
    reason = str(verdict.reason) if verdict else ""
    return {
        "key": rule.key,
        "flow": rule.flow,
        "environment": rule.environment,
        "rule": as_json(rule.data),
        "verdict": f"{reason}: {rule.problem}" if reason and rule.problem else reason,
        "holds": int(verdict.holds) if verdict and not rule.problem else None,
        "changed": now,
    }
