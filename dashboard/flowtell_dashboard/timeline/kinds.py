"""What many runs have in common. Each combination is one number, so that a filter looks at combinations, not at runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Kind(NamedTuple):
    """Flow, environment, deployment, source and tags of a run."""

    flow: str
    environment: str
    deployment: str
    source: str
    tags: tuple[str, ...]


class Lane(NamedTuple):
    """A row of the picture: what its runs share, and what stands beside it in a quieter colour."""

    name: str
    beside: str = ""


LANES: Final[dict[str, Callable[[Kind], Sequence[Lane]]]] = {
    "flow": lambda kind: (Lane(kind.flow or "no flow", kind.environment),),
    "deployment": lambda kind: (
        (Lane(f"{kind.flow}/{kind.deployment}", kind.environment),)
        if kind.deployment
        else (Lane(kind.flow or "no flow", f"{kind.environment} · no deployment"),)
    ),
    "tag": lambda kind: tuple(Lane(tag) for tag in kind.tags) or (Lane("no tag"),),
    "source": lambda kind: (Lane(kind.source or "flowtell", kind.environment),),
    "all": lambda kind: (Lane("all runs"),),
}
"""Ways to part runs into lanes. A run with several tags is in the lane of each."""


class Kinds:
    """All combinations that were met, in the order in which they were."""

    def __init__(self) -> None:
        self.all: list[Kind] = []
        self._numbers: dict[Kind, int] = {}

    def number(self, kind: Kind) -> int:
        """The combination's number: its place in `all`."""
        number = self._numbers.get(kind)
        if number is None:
            number = self._numbers[kind] = len(self.all)
            self.all.append(kind)
        return number

    def which(self, wanted: Callable[[Kind], bool]) -> NDArray[np.bool_]:
        """Of each combination, whether it is wanted."""
        return np.fromiter((wanted(kind) for kind in self.all), bool, len(self.all))

    def lanes(self, by: str) -> tuple[list[Lane], NDArray[np.int32]]:
        """The lanes there may be, and of each combination the lanes that it is in; -1 where it is in fewer."""
        numbers: dict[Lane, int] = {}
        placed = [[numbers.setdefault(lane, len(numbers)) for lane in dict.fromkeys(LANES[by](kind))] for kind in self.all]
        return list(numbers), _padded(placed)


def _padded(placed: Iterable[list[int]]) -> NDArray[np.int32]:
    rows = list(placed)
    table = np.full((len(rows), max(map(len, rows), default=1)), -1, np.int32)
    for row, lanes in enumerate(rows):
        table[row, : len(lanes)] = lanes
    return table
