"""From a moment to a place on the picture, also where idle gaps are folded away."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

FOLDED: Final = 14.0
"""Pixels that remain of a gap."""

_GAP: Final = 0.04
"""Part of the window that must be idle to be folded."""

_EDGE: Final = 4.0
"""Pixels between the end of a bar and a fold, so that they do not touch."""


class Axis(NamedTuple):
    """Places are pixels from 0 to `width`. `knots` are (moment, place) between which it is even; at least two."""

    begin: int
    end: int
    width: float
    moments: tuple[int, ...]
    places: tuple[float, ...]

    @classmethod
    def even(cls, begin: int, end: int, width: float) -> Axis:
        return cls(begin, end, width, (begin, end), (0.0, width))

    @classmethod
    def folded(cls, begin: int, end: int, width: float, started: NDArray[np.int64], ended: NDArray[np.int64]) -> Axis:
        """Without the times in which nothing ran.

        Args:
            started: of all runs of the window, in order.
            ended: of the same runs.
        """
        gaps = _gaps(begin, end, started, ended)
        busy = (end - begin) - sum(gap_end - gap_begin for gap_begin, gap_end in gaps)
        edge = min(int(busy * _EDGE / width), int((end - begin) * _GAP / 4))
        gaps = [(gap_begin + edge, gap_end - edge) for gap_begin, gap_end in gaps]
        scale = max(width - FOLDED * len(gaps), width / 2) / max(busy, 1)
        moments, places = [begin], [0.0]
        for gap_begin, gap_end in gaps:
            moments += [gap_begin, gap_end]
            upto = places[-1] + (gap_begin - moments[-3]) * scale
            places += [upto, upto + FOLDED]
        last = places[-1] + (end - moments[-1]) * scale
        return cls(begin, end, width, (*moments, end), tuple(place * width / last for place in (*places, last)))

    @property
    def is_folded(self) -> bool:
        return len(self.moments) > 2

    def place(self, moments: NDArray[np.int64]) -> NDArray[np.float64]:
        """Where the moments are; those outside are at the picture's edge."""
        if self.is_folded:
            return np.interp(moments, self.moments, self.places)
        clipped = np.clip(moments, self.begin, self.end) - self.begin
        return np.asarray(clipped * (self.width / max(self.end - self.begin, 1)))


def _gaps(begin: int, end: int, started: NDArray[np.int64], ended: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Times in which nothing ran, of some length, in order."""
    if not len(started):
        return []
    reached = np.concatenate(([begin], np.maximum.accumulate(np.clip(ended, begin, end))))
    resumed = np.concatenate((np.clip(started, begin, end), [end]))
    longest = (end - begin) * _GAP
    wide = np.flatnonzero(resumed - reached > longest)
    return [(int(reached[at]), int(resumed[at])) for at in wide]
