"""All runs in memory, as columns: loaded once, the newest first, and kept as the store has them.

A view of a year is a pass over numbers, not a query that groups a table. What changed is noted by id and read again from
the store before the next view is drawn, so a view is never older than the `seq` it was asked at.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, Select, select, tuple_

from flowtell.store.reading import list_flows
from flowtell.store.tables import runs
from flowtell_dashboard.timeline.blocks import STATES
from flowtell_dashboard.timeline.columns import OPEN, Columns, Rows
from flowtell_dashboard.timeline.kinds import Kind, Kinds
from flowtell_dashboard.timeline.names import Names
from flowtell_dashboard.timeline.promises import Deadline, deadlines_of

if TYPE_CHECKING:
    from flowtell.store.reading import Read

MOST: Final = 2_000_000
"""Runs that are kept in memory, the newest; about 40 MB a million."""

PAGE: Final = 20_000
"""Runs that one query of the loading reads."""

AHEAD: Final = 5_000
"""Runs to come that are kept."""

MANY: Final = 5_000
"""Changed runs that wait for a view, before they are read again without one."""

UNSTARTED: Final = 20_000
"""Runs without a start that the loading reads, the newest: those to come, and those that ended before they began."""

NAMED: Final = 200_000
"""Runs whose own names are looked for, the newest that have one; about 30 MB."""

_A_QUERY: Final = 500
_FLOWS: Final = 20_000
_CODES: Final = {state: code for code, state in enumerate(STATES)}
_UNKNOWN: Final = _CODES["unknown"]
_READ: Final = (
    runs.c.id, runs.c.flow, runs.c.environment, runs.c.deployment, runs.c.source, runs.c.tags,
    runs.c.state, runs.c.due, runs.c.started, runs.c.ended, runs.c.name,
)  # fmt: skip


class Ahead(NamedTuple):
    """A run that has not started: what it is due for."""

    due: int
    kind: int
    state: str


class Index:
    """For many threads: `note` from the plugin's, everything else from those that answer pages."""

    def __init__(self, read: Read, *, most: int = MOST) -> None:
        self.lock = threading.Lock()
        self.kinds = Kinds()
        self.columns = Columns()
        self.ahead: dict[str, Ahead] = {}
        self.owners: dict[tuple[str, str], tuple[str, ...]] = {}
        self.deadlines: dict[tuple[str, str], tuple[Deadline, ...]] = {}
        """Of flows that state any, by name and environment."""
        self.names = Names(NAMED)
        self.expected: dict[str, int] = {}
        """When runs that go on are predicted to end, in µs."""
        self.since: int | None = None
        """Runs that began earlier are not in memory; None where all are."""
        self._read, self._most = read, most
        self._noted: set[str] = set()
        self._noting = threading.Lock()
        self._predicted: dict[str, int] = {}
        self._flows_changed = True
        self._open: dict[tuple[int, int], int] = {}
        """Runs whose row may still move: by id, the start that they have there."""
        self._wanted = self._loaded = False

    # --- what changed ---------------------------------------------------------------------------------------------

    def note(self, changed: Iterable[str], *, flows: bool = False) -> None:
        """These runs are to be read again. From any thread; waits for nothing.

        Before anybody looked there is nothing to bring up to date, so nothing is kept.
        """
        with self._noting:
            self._flows_changed |= flows
            if self._wanted:
                self._noted.update(changed)

    def catch_up(self) -> None:
        """Read what was noted where it has become much, and nobody else is at it."""
        if len(self._noted) > MANY and self.lock.acquire(blocking=False):
            try:
                self.refresh()
            finally:
                self.lock.release()

    def load(self) -> None:
        """Read all runs, so that the first view need not wait. On a thread of its own, at the pages' start."""
        with self.lock:
            self.refresh()

    def refresh(self) -> None:
        """Read what was noted. Called with `lock` held."""
        if not self._loaded:
            self._load()
        with self._noting:
            noted, self._noted = self._noted, set()
            flows, self._flows_changed = self._flows_changed, False
        try:
            if flows:
                self._read_flows()
            if noted:
                self._read_again(sorted(noted))
            if self._predicted or (noted and self.expected):
                self._take_predictions()
        except BaseException:
            self.note(noted, flows=flows)  # the next view tries again
            raise

    def _read_flows(self) -> None:
        known = {(flow.flow, flow.environment): flow for flow in list_flows(self._read, limit=_FLOWS)}
        self.owners = {name: flow.owners for name, flow in known.items()}
        found = {name: deadlines_of(flow.rules) for name, flow in known.items() if flow.rules}
        self.deadlines = {name: deadlines for name, deadlines in found.items() if deadlines}

    def predict(self, expected: Mapping[str, int]) -> None:
        """These runs are predicted to end at these moments. From any thread; the last word on a run counts."""
        with self._noting:
            self._predicted.update(expected)

    def _take_predictions(self) -> None:
        """Of runs that go on, at most `AHEAD`."""
        with self._noting:
            told, self._predicted = self._predicted, {}
        kept = {**self.expected, **told}
        self.expected = {run: at for run, at in kept.items() if self.kind_of_open(run) is not None}
        for run in list(self.expected)[:-AHEAD]:
            del self.expected[run]

    def kind_of_open(self, run: str) -> int | None:
        """The number of a run's kind, while the run goes on."""
        key = _halves(run)
        started = self._open.get(key)
        place = self.columns.find(key, started) if started is not None else None
        return int(self.columns.rows.kind[place]) if place is not None else None

    def _read_again(self, ids: Sequence[str]) -> None:
        new: list[Row[Any]] = []
        for at in range(0, len(ids), _A_QUERY):
            asked = ids[at : at + _A_QUERY]
            found = {row.id: row for row in self._read(select(*_READ).where(runs.c.id.in_(asked)))}
            for run in asked:
                self.ahead.pop(run, None)
                row = found.get(run)
                if row is None:
                    self._forget(run)
                elif not self._settle(row):
                    new.append(row)
        self._add(new)

    def _settle(self, row: Row[Any]) -> bool:
        """Write a known run's new state into its place. False where it has none, or another start now."""
        key, started = _halves(row.id), _start(row)
        known = self._open.get(key)
        if known is not None and known != started:
            self._forget(row.id)
            return False
        place = self.columns.find(key, started) if started is not None else None
        if place is None:
            return False
        self.columns.change(place, max(_end(row), started or 0), _code(row.state))
        if row.ended is not None and row.started is not None:
            self._open.pop(key, None)
        return True

    def _forget(self, run: str) -> None:
        key = _halves(run)
        self.names.forget(key)
        place = self.columns.find(key, self._open.pop(key, None))
        if place is not None:
            self.columns.remove(place)

    # --- reading --------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        """The newest runs page by page, by an index; then those that have not started."""
        self._wanted = True
        self.columns, self.kinds, self._open, self.ahead = Columns(), Kinds(), {}, {}
        self.names = Names(NAMED)
        pages: list[Rows] = []
        place: tuple[int, str] | None = None
        count = 0
        while count < self._most:
            rows = self._read(_older(place).limit(PAGE))
            pages.append(self._rows(rows))
            count += len(rows)
            if len(rows) < PAGE:
                break
            place = (rows[-1].started, rows[-1].id)
        else:
            self.since = place[0] if place else None
        self.columns.add(Rows(*(np.concatenate(parts) for parts in zip(*pages, strict=True))))
        self._add(self._read(select(*_READ).where(runs.c.started.is_(None)).order_by(runs.c.id.desc()).limit(UNSTARTED)))
        self._loaded = True

    def _add(self, rows: Sequence[Row[Any]]) -> None:
        for row in rows:
            if row.started is None and row.ended is None and row.due is not None and len(self.ahead) < AHEAD:
                self.ahead[row.id] = Ahead(row.due, self._kind(row), row.state)
        begun = [row for row in rows if _start(row) is not None and _start(row) >= (self.since or 0)]
        self.columns.add(self._rows(begun))

    def _rows(self, rows: Sequence[Row[Any]]) -> Rows:
        for row in rows:
            if row.name:
                self.names.add(_halves(row.id), row.name)
            if row.ended is None or row.started is None:
                self._open[_halves(row.id)] = _start(row)
        return Rows.of(
            [row.id for row in rows],
            [_start(row) for row in rows],
            [_end(row) for row in rows],
            [self._kind(row) for row in rows],
            [_code(row.state) for row in rows],
        )

    def _kind(self, row: Row[Any]) -> int:
        tags = _tags(row.tags) if row.tags else ()
        return self.kinds.number(Kind(row.flow, row.environment, row.deployment or "", row.source, tags))

    def owners_of(self, kind: Kind) -> tuple[str, ...]:
        return self.owners.get((kind.flow, kind.environment), ())


def _older(place: tuple[int, str] | None) -> Select[Any]:
    newest_first = select(*_READ).where(runs.c.started.is_not(None))
    if place is not None:
        newest_first = newest_first.where(tuple_(runs.c.started, runs.c.id) < place)
    return newest_first.order_by(runs.c.started.desc(), runs.c.id.desc())


def _start(row: Row[Any]) -> Any:
    """A run that ended without a known start is drawn where it ended."""
    return row.started if row.started is not None else row.ended


def _end(row: Row[Any]) -> int:
    return OPEN if row.ended is None else int(row.ended)


def _code(state: str) -> int:
    return _CODES.get(state, _UNKNOWN)


def _halves(run: str) -> tuple[int, int]:
    return int(run[:16], 16), int(run[16:], 16)


def _tags(text: str) -> tuple[str, ...]:
    return tuple(msgspec.json.decode(text, type=list[str]))


def mask_of_states(states: Iterable[str]) -> NDArray[np.bool_]:
    """Of each number of a state, whether it is among these; all where there are none."""
    wanted = set(states) or set(STATES)
    return np.array([state in wanted for state in STATES])
