"""Runs and task runs as tables, moved in the transaction that appends their events.

The batch is folded in memory first, so that a task run which starts and ends in one batch costs one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from msgspec.structs import force_setattr
from sqlalchemy import Connection

from flowtell.events import Event
from flowtell.fold import FLOW_RUN_EVENTS, TASK_RUN_EVENTS, RunFacts
from flowtell.store.many import ManyRows
from flowtell.store.statements import RUN_COLUMNS, TASK_RUN_COLUMNS, merge
from flowtell.store.tables import runs, task_runs

_KEYS_A_QUERY: Final = 400

Key = tuple[str, str]
"""Run and task run; the latter is empty for a flow run."""


class Folded(NamedTuple):
    """What a batch says of runs."""

    flow_runs: dict[Key, RunFacts]
    task_runs: dict[Key, RunFacts]

    @property
    def corrections(self) -> int:
        """Ends that contradicted an earlier one."""
        return sum(facts.corrections for part in self for facts in part.values())


class RunTables:
    """`fold`, then `merge`, in one transaction."""

    def __init__(self) -> None:
        self._inserts: dict[str, ManyRows] = {}

    def fold(self, connection: Connection, events: Sequence[Event], writer: int) -> Folded:
        """Facts of the runs that the events speak of. Marks those that come after an end as contrary; writes nothing."""
        flow_events = [event for event in events if event.__class__ in FLOW_RUN_EVENTS and event.run]
        task_events = [event for event in events if event.__class__ in TASK_RUN_EVENTS and event.task_run]
        flow_runs = {(event.run, ""): RunFacts("", event.run) for event in flow_events}
        task_keys = [(event.run, event.task_run) for event in task_events]
        task_runs = {key: RunFacts(*key) for key in dict.fromkeys(task_keys)}
        _learn_ends(flow_runs, _ended_flow_runs, connection)
        _learn_ends(task_runs, _ended_task_runs, connection)
        for event in flow_events:
            if not flow_runs[event.run, ""].take(event, writer):
                force_setattr(event, "contrary", True)
        for key, event in zip(task_keys, task_events, strict=True):
            if not task_runs[key].take(event, writer):
                force_setattr(event, "contrary", True)
        return Folded(flow_runs, task_runs)

    def merge(self, connection: Connection, folded: Folded) -> None:
        """Add the facts to those in the tables."""
        self._merge(connection, "runs", folded.flow_runs)
        self._merge(connection, "task_runs", folded.task_runs)

    def _merge(self, connection: Connection, name: str, facts: dict[Key, RunFacts]) -> None:
        if not facts:
            return
        columns = RUN_COLUMNS if name == "runs" else TASK_RUN_COLUMNS
        self._insert(connection, name).execute(connection, [one.row(columns) for one in facts.values()])

    def _insert(self, connection: Connection, name: str) -> ManyRows:
        if name not in self._inserts:
            table, columns = (runs, RUN_COLUMNS) if name == "runs" else (task_runs, TASK_RUN_COLUMNS)
            self._inserts[name] = _merging(merge(connection.dialect, table), columns, connection)
        return self._inserts[name]


def _merging(statement: Any, columns: tuple[str, ...], connection: Connection) -> ManyRows:
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(columns))
    assert compiled.positiontup == list(columns), "the merge has values of its own"
    insert, _, rest = str(compiled).partition(f" VALUES ({', '.join('?' * len(columns))}) ")
    return ManyRows(insert, len(columns), rest)


def _learn_ends(facts: dict[Key, RunFacts], ended: Callable[..., Iterable[Any]], connection: Connection) -> None:
    """Tell the facts of an end that the table has already."""
    wanted = list(facts)
    for start in range(0, len(wanted), _KEYS_A_QUERY):
        for run, task_run, moment in ended(connection, wanted[start : start + _KEYS_A_QUERY]):
            facts[run, task_run].ended = moment


def _ended_flow_runs(connection: Connection, keys: Sequence[Key]) -> Iterable[Any]:
    marks = ",".join("?" * len(keys))
    sql = f"SELECT id, '', ended FROM runs WHERE id IN ({marks}) AND ended IS NOT NULL"
    return connection.exec_driver_sql(sql, tuple(run for run, _ in keys)).all()


def _ended_task_runs(connection: Connection, keys: Sequence[Key]) -> Iterable[Any]:
    marks = ",".join(["(?,?)"] * len(keys))
    sql = (
        f"WITH wanted(run, id) AS (VALUES {marks}) SELECT t.run, t.id, t.ended FROM wanted w "
        "CROSS JOIN task_runs t ON t.run = w.run AND t.id = w.id WHERE t.ended IS NOT NULL"
    )
    return connection.exec_driver_sql(sql, tuple(part for key in keys for part in key)).all()
