"""Which trace a run belongs to, and whether that trace is kept: decided at the root run, the same for all inside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Table, select

from flowtell.events import FlowRunStarted
from flowtell.store.tables import runs
from flowtell.trace_context import is_kept

_MOST: Final = 50_000
"""Roots in memory; others are read back."""
_KEYS_A_QUERY: Final = 500


class Root(Struct, frozen=True):
    """The trace of one root run."""

    trace: str
    parent_span: str = ""
    """Of the caller that began it, where that is no run."""
    sampled: bool = True


class Roots:
    """Filled by what starts, and from the tables for what started before."""

    def __init__(
        self, read: Callable[[Any], Iterable[Any]], table: Table | None = None, keeps: Callable[[str], bool] = is_kept
    ) -> None:
        """`table` has what `take` gave to keep; without one, a root that began before is taken to have begun its trace."""
        self._read, self._table, self._keeps = read, table, keeps
        self._known: dict[str, Root] = {}

    def take(self, event: FlowRunStarted) -> dict[str, Any] | None:
        """Learn of a start; the row to keep where a restart could not know the root by its run's own row."""
        root = event.root_run or event.run
        if root in self._known:
            return None
        found = Root(event.trace or root, event.parent_span if root == event.run else "", event.sampled)
        self._remember(root, found)
        if found.sampled and not found.parent_span:
            return None
        return {"run": root, "trace": found.trace, "parent_span": found.parent_span, "sampled": found.sampled}

    def look_up(self, wanted: Iterable[str]) -> None:
        """Read what is not in memory."""
        missing = sorted(set(wanted) - self._known.keys() - {""})
        for start in range(0, len(missing), _KEYS_A_QUERY):
            self._look_up(missing[start : start + _KEYS_A_QUERY])

    def _look_up(self, ids: list[str]) -> None:
        found = {row.run: Root(row.trace, row.parent_span, row.sampled) for row in self._kept(ids)}
        rest = [one for one in ids if one not in found]
        for row in self._read(select(runs.c.id, runs.c.trace).where(runs.c.id.in_(rest))) if rest else ():
            found[row.id] = Root(row.trace or row.id)
        for one in ids:
            self._remember(one, found.get(one, Root(one)))

    def _kept(self, ids: list[str]) -> Iterable[Any]:
        return () if self._table is None else self._read(select(self._table).where(self._table.c.run.in_(ids)))

    def _remember(self, run: str, root: Root) -> None:
        if len(self._known) >= _MOST:
            self._known.pop(next(iter(self._known)))
        kept = root.sampled and self._keeps(root.trace)
        self._known[run] = root if kept == root.sampled else Root(root.trace, root.parent_span, kept)

    def of(self, run: str) -> Root:
        """The root of what `run` is the root run of; `look_up` first."""
        return self._known.get(run) or Root(run)


def root_run(event: Any) -> str:
    """The root run of an event's run; a task that no flow surrounds is its own."""
    return str(event.root_run or event.run or event.task_run)
