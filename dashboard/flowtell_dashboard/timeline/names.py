"""The names that runs have of their own, so that a text finds them: of the newest runs that have one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Run = tuple[int, int]
"""The halves of an id, which begins with a time: of two runs the one with the larger is the newer. Where a source's ids are
no times, which of its runs are kept is left to chance.
"""


class Names:
    """Not locked: whoever owns it lets one thread in at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._names: dict[Run, str] = {}
        self._oldest: Run = (0, 0)
        """What is older had to go."""
        self._found: tuple[str, NDArray[np.uint64]] | None = None
        """The text that was looked for last, and the lower halves of what has it."""

    def __len__(self) -> int:
        return len(self._names)

    def add(self, run: Run, name: str) -> None:
        """Once there are a quarter more than there may be, the oldest go."""
        if run < self._oldest or self._names.get(run) == (name := name.lower()):
            return
        self._names[run] = name
        self._found = None
        if len(self._names) > self._most * 5 // 4:
            kept = sorted(self._names, reverse=True)[: self._most]
            self._names = {run: self._names[run] for run in kept}
            self._oldest = kept[-1]

    def forget(self, run: Run) -> None:
        if self._names.pop(run, None) is not None:
            self._found = None

    def having(self, text: str, lo: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Of runs by the lower halves of their ids, which have `text`, in lower case, in their name."""
        if self._found is None or self._found[0] != text:
            found = [run[1] for run, name in self._names.items() if text in name]
            self._found = text, np.array(found, np.uint64)
        return np.isin(lo, self._found[1])
