"""Runs and task runs as tables, moved in the transaction that appends their events.

The batch is folded in memory first, so that a task run which starts and ends in one batch costs one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import force_setattr
from sqlalchemy import Connection

from flowtell.events import Event
from flowtell.fold import FLOW_RUN_EVENTS, TASK_RUN_EVENTS, RunFacts
from flowtell.store.database import EndedRun, LogStatements
from flowtell.store.statements import RUN_COLUMNS, TASK_RUN_COLUMNS

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

    def __init__(self, sql: LogStatements) -> None:
        self._sql = sql

    def fold(self, connection: Connection, events: Sequence[Event], writers: Mapping[str, int]) -> Folded:
        """Facts of the runs that the events speak of; `writers` gives the row of each writer's name.

        Marks those that come after an end as contrary; writes nothing.
        """
        flow_events = [event for event in events if event.__class__ in FLOW_RUN_EVENTS and event.run]
        task_events = [event for event in events if event.__class__ in TASK_RUN_EVENTS and event.task_run]
        flow_runs = {(event.run, ""): RunFacts("", event.run) for event in flow_events}
        task_keys = [(event.run, event.task_run) for event in task_events]
        task_runs = {key: RunFacts(*key) for key in dict.fromkeys(task_keys)}
        _learn_ends(flow_runs, self._sql.ended_flow_runs(connection, [run for run, _ in flow_runs]))
        _learn_ends(task_runs, self._sql.ended_task_runs(connection, list(task_runs)))
        for event in flow_events:
            if not flow_runs[event.run, ""].take(event, writers[event.writer]):
                force_setattr(event, "contrary", True)
        for key, event in zip(task_keys, task_events, strict=True):
            if not task_runs[key].take(event, writers[event.writer]):
                force_setattr(event, "contrary", True)
        return Folded(flow_runs, task_runs)

    def merge(self, connection: Connection, folded: Folded) -> None:
        """Add the facts to those in the tables."""
        self._merge(connection, "runs", folded.flow_runs)
        self._merge(connection, "task_runs", folded.task_runs)

    def _merge(self, connection: Connection, name: str, facts: dict[Key, RunFacts]) -> None:
        if facts:
            columns = RUN_COLUMNS if name == "runs" else TASK_RUN_COLUMNS
            self._sql.merge_runs(connection, name, [one.row(columns) for one in facts.values()])


def _learn_ends(facts: dict[Key, RunFacts], ended: Iterable[EndedRun]) -> None:
    """Tell the facts of an end that the table has already."""
    for run, task_run, moment in ended:
        facts[run, task_run].ended = moment
