"""The totals' lines as last read from the store, by row: a scrape reads only what was written since the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, select

from flowtell_exporters.exposition import KINDS, Kind, label_text
from flowtell_exporters.families import TASK_DURATION
from flowtell_exporters.histogram import Histogram
from flowtell_exporters.tables import totals
from flowtell_exporters.totals import OwnTotals, TaskTotals

_newer: Final = select(totals).where(totals.c.version > bindparam("after")).order_by(totals.c.id)
_ids: Final = select(totals.c.id)


class _Row:
    """A row's label text, which never changes, and its lines in each family of its kind."""

    __slots__ = ("labels", "lines")

    def __init__(self, kind: str, labels: str) -> None:
        self.labels = label_text(KINDS[kind].labels, msgspec.json.decode(labels))
        self.lines: list[str] = []


class KeptText:
    """Not thread-safe: one scrape at a time."""

    def __init__(self, read: Callable[[Any], Sequence[Any]], *, exemplars: bool = False) -> None:
        self._read, self._exemplars = read, exemplars
        self._rows: dict[str, dict[int, _Row]] = {kind: {} for kind in KINDS}
        self._version = self._expired = 0
        self._task_histograms = False

    @property
    def histograms(self) -> tuple[str, ...]:
        """Families that are histograms now, whatever the registry calls them: one asks for it, and a family has one type."""
        return (TASK_DURATION.name,) if self._task_histograms else ()

    def refresh(self) -> None:
        """Take in what was committed since the last call."""
        rows = self._read(_newer.params(after=self._version))
        if rows and rows[0].kind == "own" and self._follow(KINDS["own"].decode(rows[0].data)):
            rows = self._read(_newer.params(after=0))
        for key, kind, labels, version, data in rows:  # thousands: a loop as short as it can be
            self._version = max(self._version, version)
            shape = KINDS.get(kind)
            if shape is None:  # a later version's, before this one was started again
                continue
            kept = self._rows[kind].get(key)
            if kept is None:
                kept = self._rows[kind][key] = _Row(kind, labels)
            kept.lines = self._render(shape, kept.labels, data)

    def _render(self, shape: Kind, labels: str, data: str) -> list[str]:
        totals = shape.decode(data)
        if shape.has_exemplars and not self._exemplars:
            totals.exemplars = {}
        if self._task_histograms and shape.totals is TaskTotals and totals.histogram is None:
            totals.histogram = Histogram(bounds=())
        return [lines(labels, totals) for lines in shape.lines]

    def _follow(self, own: OwnTotals) -> bool:
        """Forget the rows that are no more, where any were deleted. Whether all text is to be made anew."""
        if own.expired != self._expired:
            self._expired = own.expired
            there = {row.id for row in self._read(_ids)}
            for rows in self._rows.values():
                for key in rows.keys() - there:
                    del rows[key]
        anew, self._task_histograms = own.task_histograms != self._task_histograms, own.task_histograms
        return anew

    def texts(self) -> dict[str, Iterable[str]]:
        """The lines of each family by its name."""
        return {
            family.name: [row.lines[at] for row in self._rows[kind].values()]
            for kind, shape in KINDS.items()
            for at, (family, _) in enumerate(shape.parts)
        }
