"""Runs as columns of numbers, in the order of their start: what one view of the timeline reads.

About 40 bytes a run. Not locked: whoever owns it lets one thread in at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

OPEN: Final = np.iinfo(np.int64).max
"""The end of a run that has none yet."""

GONE: Final = 255
"""The state of a run that is no longer there."""

_FIELDS: Final = {
    "hi": np.uint64,
    "lo": np.uint64,
    "started": np.int64,
    "ended": np.int64,
    "kind": np.int32,
    "state": np.uint8,
}


class Rows(NamedTuple):
    """Some runs. `hi` and `lo` are the halves of the id, moments are in µs, `kind` and `state` are numbers."""

    hi: NDArray[np.uint64]
    lo: NDArray[np.uint64]
    started: NDArray[np.int64]
    ended: NDArray[np.int64]
    kind: NDArray[np.int32]
    state: NDArray[np.uint8]

    @classmethod
    def of(
        cls, ids: Sequence[str], started: Sequence[int], ended: Sequence[int], kind: Sequence[int], state: Sequence[int]
    ) -> Rows:
        """An end before the start, by a clock that was set, counts as the start."""
        halves = np.frombuffer(bytes.fromhex("".join(ids)), ">u8").reshape(-1, 2).astype(np.uint64)
        begins = np.array(started, np.int64)
        ends = np.maximum(np.array(ended, np.int64), begins)
        return cls(halves[:, 0], halves[:, 1], begins, ends, np.array(kind, np.int32), np.array(state, np.uint8))

    def at(self, places: Any) -> Rows:
        """Those at these places: numbers, a slice or a mask."""
        return Rows(*(column[places] for column in self))

    @property
    def ids(self) -> list[str]:
        pairs = np.stack((self.hi, self.lo), axis=1).astype(">u8").tobytes().hex()
        return [pairs[at : at + 32] for at in range(0, len(pairs), 32)]


def _joined(parts: Sequence[Rows]) -> Rows:
    return Rows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class Columns:
    """Room is kept for runs to come, so that one which starts now is written at the end and nothing moves."""

    def __init__(self) -> None:
        self.size = 0
        self._room = Rows(*(np.empty(0, kind) for kind in _FIELDS.values()))

    @property
    def rows(self) -> Rows:
        """All runs, as views: they are read before anything is added."""
        return self._room.at(slice(self.size))

    @property
    def newest(self) -> int:
        """When the last run began; 0 where there is none."""
        return int(self.rows.started[-1]) if self.size else 0

    def add(self, rows: Rows) -> None:
        """Put runs in their places. What begins after them is moved: little where they are new, much where they are old."""
        if not len(rows.started):
            return
        rows = rows.at(np.argsort(rows.started, kind="stable"))
        first = int(np.searchsorted(self.rows.started, rows.started[0], side="right"))
        later = _joined([self._room.at(slice(first, self.size)), rows])
        later = later.at(np.argsort(later.started, kind="stable"))
        self._make_room(first + len(later.started))
        end = first + len(later.started)
        for name in _FIELDS:
            getattr(self._room, name)[first:end] = getattr(later, name)
        self.size = end

    def _make_room(self, size: int) -> None:
        have = len(self._room.started)
        if size > have:
            more = max(size - have, have // 4, 1024)
            spare = Rows(*(np.empty(more, kind) for kind in _FIELDS.values()))
            self._room = _joined([self._room, spare])

    def find(self, run: tuple[int, int], started: int | None) -> int | None:
        """Where the run is: among those that began at `started`, or anywhere where that is None."""
        rows = self.rows
        begin, end = 0, self.size
        if started is not None:
            begin, end = (int(np.searchsorted(rows.started, started, side=side)) for side in ("left", "right"))
        same = np.flatnonzero((rows.lo[begin:end] == run[1]) & (rows.hi[begin:end] == run[0]))
        return begin + int(same[0]) if len(same) else None

    def change(self, place: int, ended: int, state: int) -> None:
        self._room.ended[place], self._room.state[place] = ended, state

    def remove(self, place: int) -> None:
        """The run is gone; its row stays where it is, in no view."""
        self._room.state[place] = GONE

    def overlapping(self, begin: int, end: int) -> NDArray[np.intp]:
        """Places of the runs that are on between the two moments: begun before `end`, and not over before `begin`."""
        rows = self.rows
        first, last = (int(np.searchsorted(rows.started, moment, side="left")) for moment in (begin, end))
        places = np.concatenate((np.flatnonzero(rows.ended[:first] >= begin), np.arange(first, last)))
        return np.asarray(places[rows.state[places] != GONE])
