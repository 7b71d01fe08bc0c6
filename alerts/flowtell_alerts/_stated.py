"""What somebody states of some runs, and whose word holds where several speak of one kind of rule.

The nearest to the run goes first: the tags of its deployment, then a configuration file, then the flow's own code. A
place that says anything of a kind is the one that is heard of that kind; all that it says of it holds, together. Of
measures, assets and events each is a topic of its own: a file that speaks of `rows` leaves what code says of `cost`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

from flowtell.events import RuleData
from flowtell.rules import SEVERITIES

Place = Literal["tag", "file", "code", "default"]

NEAREST_FIRST: Final[tuple[Place, ...]] = ("tag", "file", "code", "default")


class Stated(Struct, frozen=True):
    """A rule, who states it, and where."""

    rule: RuleData
    place: Place
    origin: str = ""
    """File and line, or the tag."""
    problem: str = ""
    """Why it is no rule that can be judged; then it is shown, and nothing else."""

    @property
    def is_off(self) -> bool:
        """Whether it only says that what stands farther away does not hold."""
        return self.rule.arguments.get("off") is True


def holding(stated: Iterable[Stated]) -> list[Stated]:
    """Those that hold of all that is stated about the same runs; in any order, the same ones."""
    everything = list(stated)
    heard: dict[Topic, int] = {}
    for each in everything:
        if not each.problem:
            heard[_topic(each)] = min(_distance(each), heard.get(_topic(each), _distance(each)))
    return sorted((each for each in everything if _is_heard(each, heard)), key=_order)


def _is_heard(stated: Stated, heard: Mapping[Topic, int]) -> bool:
    """Whether nobody nearer speaks of the same, or says that nothing farther off does. A slip is shown in any case."""
    nearest = min(heard.get(topic, _FARTHEST) for topic in (_topic(stated), (stated.rule.kind, OFF)))
    return bool(stated.problem) or (not stated.is_off and _distance(stated) <= nearest)


Topic = tuple[str, str]
"""A kind, and of what it speaks: two measures of one flow are two topics."""

OFF: Final = "off"
_FARTHEST: Final = len(NEAREST_FIRST)
_OBJECTS: Final = {"measured": "name", "stale": "asset", "absent": "event"}


def _topic(stated: Stated) -> Topic:
    rule = stated.rule
    if stated.is_off:
        return rule.kind, OFF
    return rule.kind, f"of {rule.arguments.get(_OBJECTS.get(rule.kind, ''), '')}"


def _distance(stated: Stated) -> int:
    return NEAREST_FIRST.index(stated.place)


def _order(stated: Stated) -> tuple[int, str, str]:
    """The more severe last: of two that differ in nothing else it is the one that stays."""
    severity = stated.rule.severity
    return SEVERITIES.index(severity) if severity in SEVERITIES else -1, stated.rule.kind, stated.origin
