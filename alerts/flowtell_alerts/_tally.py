"""How many runs ended well and badly in a window of time, in little memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

STEPS: Final = 100
"""Pieces of a window: its far edge moves by a hundredth of it at a time, and counts a whole piece until then."""

Piece = tuple[int, int, int]
"""Where it begins in µs, and how many runs ended well and badly in it."""


class Tally:
    """Counts by pieces of time, of one window's length up to the newest. The same ones in whatever order ends come."""

    __slots__ = ("_pieces", "_step", "window")

    def __init__(self, window: int, pieces: Iterable[Piece] = ()) -> None:
        """Args: window: its length in µs."""
        self.window, self._step = window, max(window // STEPS, 1)
        self._pieces: list[Piece] = [(start, good, bad) for start, good, bad in pieces]

    @property
    def pieces(self) -> list[Piece]:
        return self._pieces

    def add(self, moment: int, *, good: bool) -> None:
        start = moment - moment % self._step
        place = bisect_left(self._pieces, (start, -1, -1))
        if place < len(self._pieces) and self._pieces[place][0] == start:
            _, well, badly = self._pieces.pop(place)
        else:
            well, badly = 0, 0
        self._pieces.insert(place, (start, well + good, badly + (not good)))
        del self._pieces[: self._first(self._pieces[-1][0])]

    def at(self, moment: int) -> tuple[int, int]:
        """Runs that ended well and badly in the window up to `moment`."""
        inside = self._pieces[self._first(moment) :]
        inside = [piece for piece in inside if piece[0] <= moment]
        return sum(piece[1] for piece in inside), sum(piece[2] for piece in inside)

    def changes_after(self, moment: int) -> int | None:
        """When the oldest of the pieces leaves the window; None for an empty one."""
        place = self._first(moment)
        return self._pieces[place][0] + self._step + self.window if place < len(self._pieces) else None

    def _first(self, moment: int) -> int:
        """Place of the first piece that reaches into the window up to `moment`."""
        return bisect_left(self._pieces, (moment - self.window - self._step + 1, -1, -1))
