"""What is known of all flows, in memory and in the evaluator's tables."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import select

from flowtell.events import RuleData
from flowtell.plugin import Context
from flowtell_alerts import tables
from flowtell_alerts._arrivals import FlowKey
from flowtell_alerts._facts import FlowFacts
from flowtell_alerts._replacing import Replacing
from flowtell_alerts._rows import flow_of, flow_row, span_of, span_row
from flowtell_alerts._rules import understand

_FLOWS: Final = Replacing(tables.flows)
_RUNS: Final = Replacing(tables.runs)


class Memory:
    """Facts by flow and environment. `changed` marks what `save` is to write."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._facts = {(row.flow, row.environment): flow_of(row) for row in context.read(select(tables.flows))}
        self._changed: set[FlowKey] = set()
        self._stored: set[str] = set()
        self._read_runs()
        self._read_rules()

    def _read_runs(self) -> None:
        for row in self._context.read(select(tables.runs)):
            self._facts[row.flow, row.environment].spans[row.run] = span_of(row)
            self._stored.add(row.run)

    def _read_rules(self) -> None:
        for row in self._context.read(select(tables.rules)):
            rule = understand(row.flow, row.environment, msgspec.json.decode(row.rule, type=RuleData))
            self._facts[row.flow, row.environment].rules[row.key] = rule

    def keys(self) -> set[FlowKey]:
        return set(self._facts)

    def of(self, key: FlowKey) -> FlowFacts:
        """What is known of one flow: nothing yet, where it is new."""
        facts = self._facts.get(key)
        if facts is None:
            facts = self._facts[key] = FlowFacts(*key)
        return facts

    def changed(self, key: FlowKey) -> None:
        self._changed.add(key)

    def save(self) -> None:
        """Add what changed to the write set."""
        facts = [self._facts[key] for key in self._changed]
        self._changed.clear()
        _FLOWS.write(self._context, [flow_row(known) for known in facts])
        self._save_runs(facts)

    def _save_runs(self, facts: list[FlowFacts]) -> None:
        """A run that started and ended between two savings is never written."""
        touched = {run for known in facts for run in known.touched}
        rows = [span_row(known, known.spans[run]) for known in facts for run in known.touched if run in known.spans]
        for known in facts:
            known.touched.clear()
        gone = touched & self._stored
        if gone:
            self._context.write(_RUNS.delete, [{"run": run} for run in gone])
        if rows:
            self._context.write(_RUNS.insert, rows)
        self._stored -= gone
        self._stored.update(row["run"] for row in rows)
