"""One measured figure beside what it must reach and the floor it was measured with."""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """`value` in `unit`; `at_most` or `at_least` is the bound; `note` says against what, with the floor's own figure."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def reached(self) -> bool:
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)

    @property
    def bound(self) -> str:
        if self.at_most is not None:
            return f"<= {self.at_most:,.6g}"
        return f">= {self.at_least:,.6g}" if self.at_least is not None else ""
