"""What one view of the timeline asks, as its address says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from flowtell_dashboard.states import LOOKS
from flowtell_dashboard.timeline.kinds import LANES, Kind

LONGEST: Final = 200
"""Characters of one value; what is longer was not made by these pages."""

WIDEST: Final = 8_000
"""Pixels that are drawn at most."""

_MOST_LANES: Final = 200
_SHORTEST_WINDOW: Final = 1_000
_LONGEST_WINDOW: Final = 20 * 366 * 86_400_000_000
_LATEST: Final = 2**53

ORDERS: Final = ("trouble", "name", "runs")
"""Lanes with the most bad ends first, by name, or by number of runs."""


class Question(msgspec.Struct, frozen=True):
    """One window of time with its filters. Moments in µs; an empty filter lets everything through."""

    begin: int
    end: int
    width: int = 1200
    by: str = "flow"
    order: str = "trouble"
    state: tuple[str, ...] = ()
    flow: str = ""
    deployment: str = ""
    tag: str = ""
    owner: str = ""
    source: str = ""
    environment: str = ""
    text: str = ""
    first_lane: int = 0
    lanes: int = 60
    fold: bool = False
    margin: float = 0.0
    """Windows that are drawn on each side of this one, so that it can be moved."""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Question:
        """What the parameters of a request say.

        Raises:
            ValueError: no window of time, or a number that is none; the text says which.
        """
        begin, end = _number(given, "from", 0, _LATEST), _number(given, "to", 0, _LATEST)
        if not _SHORTEST_WINDOW <= end - begin <= _LONGEST_WINDOW:
            raise ValueError("'to' must be later than 'from', by a millisecond or more and 20 years at most")
        words = {name: given.get(name, "")[:LONGEST] for name in ("flow", "deployment", "tag", "owner", "source")}
        return cls(
            begin=begin,
            end=end,
            width=_number(given, "width", 50, WIDEST, 1200),
            by=_one_of(given, "by", tuple(LANES)),
            order=_one_of(given, "order", ORDERS),
            state=tuple(state for state in given.get("state", "").split(",") if state in LOOKS),
            environment=given.get("environment", "")[:LONGEST],
            text=given.get("text", "")[:LONGEST].strip().lower(),
            first_lane=_number(given, "first", 0, 1_000_000, 0),
            lanes=_number(given, "lanes", 1, _MOST_LANES, 60),
            fold=given.get("fold") == "1",
            margin=_number(given, "margin", 0, 200, 0) / 100,
            **words,
        )

    @property
    def drawn(self) -> tuple[int, int]:
        """From when to when is drawn."""
        more = int((self.end - self.begin) * self.margin)
        return max(self.begin - more, 0), self.end + more

    @property
    def drawn_width(self) -> float:
        """Pixels of what is drawn, as wide as the window's."""
        begin, end = self.drawn
        return self.width * (end - begin) / (self.end - self.begin)

    @property
    def without_text(self) -> Question:
        """The same but for the text."""
        return msgspec.structs.replace(self, text="")

    def wants(self, kind: Kind, owners: tuple[str, ...]) -> bool:
        """Whether runs of this kind pass. Text is looked for in all names at once; ids are looked for elsewhere."""
        asked = (self.flow, self.deployment, self.source, self.environment)
        has = (kind.flow, kind.deployment, kind.source or "flowtell", kind.environment)
        if any(want and want != value for want, value in zip(asked, has, strict=True)):
            return False
        if (self.tag and self.tag not in kind.tags) or (self.owner and self.owner not in owners):
            return False
        return self.text in "\n".join((kind.flow, kind.deployment, *kind.tags, *owners)).lower()


def _number(given: Mapping[str, str], name: str, least: int, most: int, default: int | None = None) -> int:
    said = given.get(name, "")
    if not said and default is not None:
        return default
    if not said.isascii() or not said.isdecimal() or len(said) > 17:
        raise ValueError(f"'{name}' must be a whole number")
    return min(max(int(said), least), most)


def _one_of(given: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    said = given.get(name, known[0])
    return said if said in known else known[0]
