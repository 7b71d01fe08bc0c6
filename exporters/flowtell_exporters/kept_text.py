"""The totals' lines as last read from the store, by row: a scrape reads only what was written since the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, select

from flowtell_exporters.exposition import KINDS, label_text
from flowtell_exporters.tables import totals

_newer: Final = select(totals).where(totals.c.version > bindparam("after")).order_by(totals.c.id)


class _Row:
    """A row's label text, which never changes, and its lines in each family of its kind."""

    __slots__ = ("_kind", "_labels", "lines")

    def __init__(self, kind: str, labels: str) -> None:
        self._kind = KINDS[kind]
        self._labels = label_text(self._kind.labels, msgspec.json.decode(labels))
        self.lines: list[str] = []

    def render(self, data: str) -> None:
        totals = msgspec.json.decode(data, type=self._kind.totals)
        self.lines = [lines(self._labels, totals) for _, lines in self._kind.parts]


class KeptText:
    """Not thread-safe: one scrape at a time."""

    def __init__(self, read: Callable[[Any], Sequence[Any]]) -> None:
        self._read = read
        self._rows: dict[str, dict[int, _Row]] = {kind: {} for kind in KINDS}
        self._version = 0

    def refresh(self) -> None:
        """Take in what was committed since the last call."""
        for key, kind, labels, version, data in self._read(_newer.params(after=self._version)):
            rows = self._rows[kind]
            row = rows.get(key)
            if row is None:
                row = rows[key] = _Row(kind, labels)
            row.render(data)
            self._version = max(self._version, version)

    def texts(self) -> dict[str, Iterable[str]]:
        """The lines of each family by its name."""
        return {
            family.name: [row.lines[at] for row in self._rows[kind].values()]
            for kind, shape in KINDS.items()
            for at, (family, _) in enumerate(shape.parts)
        }
