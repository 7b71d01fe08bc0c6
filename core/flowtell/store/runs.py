"""Runs and task runs as tables, moved in the transaction that appends their events.

The batch is folded in memory first, so that a task run which starts and ends in one batch costs one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from msgspec.structs import force_setattr
from sqlalchemy import Connection

from flowtell.events import Event
from flowtell.fold import FLOW_RUN_TYPES, TASK_RUN_TYPES, RunFacts
from flowtell.store.statements import RUN_COLUMNS, TASK_RUN_COLUMNS, merge
from flowtell.store.tables import runs, task_runs

_KEYS_A_QUERY: Final = 400
Facts = dict[tuple[str, str], RunFacts]


class Folded(NamedTuple):
    """What a batch says of runs, by run and task run."""

    flow_runs: Facts
    task_runs: Facts

    @property
    def corrections(self) -> int:
        """Ends that contradicted an earlier one."""
        return sum(facts.corrections for part in self for facts in part.values())


class RunTables:
    """`fold`, then `merge`, in one transaction."""

    def __init__(self) -> None:
        self._task_row = attrgetter(*TASK_RUN_COLUMNS)
        self._run_row = attrgetter(*RUN_COLUMNS)
        self._sql: dict[str, str] = {}

    def fold(self, connection: Connection, events: Sequence[Event], writer: int) -> Folded:
        """Facts of the runs that the events speak of. Marks those that come after an end as contrary; writes nothing."""
        flow_events = [event for event in events if event.type in FLOW_RUN_TYPES and event.run]
        task_events = [event for event in events if event.task_run and event.type in TASK_RUN_TYPES]
        flow_runs = self._known(connection, "runs", {("", event.run) for event in flow_events}) if flow_events else {}
        task_runs = (
            self._known(connection, "task_runs", {(event.run, event.task_run) for event in task_events})
            if task_events
            else {}
        )
        for event in flow_events:
            if not flow_runs["", event.run].take(event, writer):
                force_setattr(event, "contrary", True)
        for event in task_events:
            if not task_runs[event.run, event.task_run].take(event, writer):
                force_setattr(event, "contrary", True)
        return Folded(flow_runs, task_runs)

    def merge(self, connection: Connection, folded: Folded) -> None:
        """Add the facts to those in the tables."""
        self._merge(connection, "runs", folded.flow_runs)
        self._merge(connection, "task_runs", folded.task_runs)

    def _known(self, connection: Connection, table: str, keys: set[tuple[str, str]]) -> Facts:
        """Facts to fold into, which know of an end that the table has already."""
        facts = {key: RunFacts(*key) for key in keys}
        wanted = sorted(keys)
        for start in range(0, len(wanted), _KEYS_A_QUERY):
            for key, ended in _ends(connection, table, wanted[start : start + _KEYS_A_QUERY]):
                facts[key].ended = ended
        return facts

    def _merge(self, connection: Connection, name: str, facts: Facts) -> None:
        if not facts:
            return
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
        rows = connection.exec_driver_sql(
            f"SELECT '', id, ended FROM runs WHERE id IN ({marks}) AND ended IS NOT NULL", tuple(key[1] for key in keys)
        )
    else:
        marks = ",".join(["(?,?)"] * len(keys))
        values = tuple(part for key in keys for part in key)
        rows = connection.exec_driver_sql(
            f"WITH wanted(run, id) AS (VALUES {marks}) SELECT t.run, t.id, t.ended FROM wanted w "
            "CROSS JOIN task_runs t ON t.run = w.run AND t.id = w.id WHERE t.ended IS NOT NULL",
            values,
        )
    return [((row[0], row[1]), row[2]) for row in rows]
