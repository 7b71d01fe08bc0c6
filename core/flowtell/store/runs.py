"""Runs and task runs as tables, moved in the transaction that appends their events.

The batch is folded in memory first, so that a task run which starts and ends in one batch costs one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Final

from msgspec.structs import force_setattr
from sqlalchemy import Connection

from flowtell.events import Event
from flowtell.fold import FLOW_RUN_TYPES, TASK_RUN_TYPES, RunFacts
from flowtell.store.statements import RUN_COLUMNS, TASK_RUN_COLUMNS, merge
from flowtell.store.tables import runs, task_runs

_KEYS_A_QUERY: Final = 400
Facts = dict[tuple[str, str], RunFacts]


class RunTables:
    """Folds events into `runs` and `task_runs`, and marks the events that come after an end as contrary."""

    def __init__(self, prepared: Callable[..., Any]) -> None:
        self._prepared = prepared
        self._task_row = attrgetter(*TASK_RUN_COLUMNS)
        self._run_row = attrgetter(*RUN_COLUMNS)
        self._sql: dict[str, str] = {}

    def fold(self, connection: Connection, events: Iterable[Event], writer: int) -> int:
        """Take the events in. Returns how many ends contradicted an earlier one."""
        flow_events = [event for event in events if event.type in FLOW_RUN_TYPES and event.run]
        task_events = [event for event in events if event.type in TASK_RUN_TYPES and event.task_run]
        corrections = 0
        if flow_events:
            facts = self._known(connection, "runs", {("", event.run) for event in flow_events})
            corrections += _take(facts, flow_events, writer)
            self._merge(connection, "runs", facts)
        if task_events:
            facts = self._known(connection, "task_runs", {(event.run, event.task_run) for event in task_events})
            corrections += _take(facts, task_events, writer)
            self._merge(connection, "task_runs", facts)
        return corrections

    def _known(self, connection: Connection, table: str, keys: set[tuple[str, str]]) -> Facts:
        """Facts to fold into, which know of an end that the table has already."""
        facts = {key: RunFacts(*key) for key in keys}
        wanted = sorted(keys)
        for start in range(0, len(wanted), _KEYS_A_QUERY):
            for key, ended in _ends(connection, table, wanted[start : start + _KEYS_A_QUERY]):
                facts[key].ended = ended
        return facts

    def _merge(self, connection: Connection, name: str, facts: Facts) -> None:
        row = self._run_row if name == "runs" else self._task_row
        connection.exec_driver_sql(self._merge_sql(connection, name), [row(one) for one in facts.values()])

    def _merge_sql(self, connection: Connection, name: str) -> str:
        if name not in self._sql:
            table, columns = (runs, RUN_COLUMNS) if name == "runs" else (task_runs, TASK_RUN_COLUMNS)
            compiled = merge(connection.dialect, table).compile(dialect=connection.dialect, column_keys=list(columns))
            assert compiled.positiontup == list(columns), "the merge has values of its own"
            self._sql[name] = str(compiled)
        return self._sql[name]


def _ends(connection: Connection, table: str, keys: Sequence[tuple[str, str]]) -> Iterable[tuple[tuple[str, str], int]]:
    if table == "runs":
        marks = ",".join("?" * len(keys))
        rows = connection.exec_driver_sql(f"SELECT '', id, ended FROM runs WHERE id IN ({marks}) AND ended IS NOT NULL", tuple(key[1] for key in keys))
    else:
        marks = ",".join(["(?,?)"] * len(keys))
        values = tuple(part for key in keys for part in key)
        rows = connection.exec_driver_sql(
            f"WITH wanted(run, id) AS (VALUES {marks}) SELECT t.run, t.id, t.ended FROM wanted w "
            "CROSS JOIN task_runs t ON t.run = w.run AND t.id = w.id WHERE t.ended IS NOT NULL",
            values,
        )
    return [((row[0], row[1]), row[2]) for row in rows]


def _take(facts: Facts, events: Iterable[Event], writer: int) -> int:
    corrections = 0
    for event in events:
        fact = facts[(event.run, event.task_run)] if event.task_run else facts[("", event.run)]
        if not fact.take(event, writer):
            force_setattr(event, "contrary", True)
    corrections = sum(fact.corrections for fact in facts.values())
    return corrections
