"""What judging a rule gives, whatever its kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Self

from msgspec import Struct
from msgspec.structs import replace

RUNS_NAMED: Final = 20
"""Runs that one incident lists: the newest."""


class Spell(Struct, frozen=True, kw_only=True):
    """A stretch of time in which the rule did not hold."""

    runs: tuple[str, ...] = ()
    since: int
    cause: str
    """Id of the event that began it."""
    until: int | None = None
    """None while it lasts."""
    closed_by: str = ""
    text: str
    evidence: dict[str, Any]
    due: int | None = None
    """Due time that it is about: each has an incident of its own."""
    apart: str = ""
    """Tells its incident from others of the same rule, where that is not the due time; such as a run's id."""
    end: str = ""
    """Why it is over, as a named reason; empty where the verdict's reason says that."""
    opens: bool = True
    """False where it may keep or close an incident, but opens none: it is history, or another one is told."""

    @property
    def identity(self) -> str:
        """Empty where a rule has one incident at a time."""
        return self.apart or ("" if self.due is None else str(self.due))


class Verdict(Struct, frozen=True):
    """Whether the rule holds now, and the spells in which it did not since it was last judged, in order."""

    reason: str
    """A named reason of the kind."""
    spells: tuple[Spell, ...] = ()
    again: int | None = None
    """When to judge next though no event came, by the clock."""
    needs: int | None = None
    """The watermark at which to judge next though no event came."""
    closed_by: str = ""
    until: int | None = None
    known: bool = True
    """False where nobody can tell; then nothing is resolved that no spell closes."""
    unknown: tuple[str, ...] = ()
    """Identities of which nobody can tell."""

    @property
    def holds(self) -> bool:
        return all(spell.until is not None for spell in self.spells)

    def apart(self, identities: Iterable[str]) -> Iterator[tuple[str, Self]]:
        """What it says of each incident by itself: of those that are open, by what tells them apart, and of new ones."""
        for identity in dict.fromkeys((*identities, *(spell.identity for spell in self.spells))):
            own = tuple(spell for spell in self.spells if spell.identity == identity)
            yield identity, replace(self, spells=own, known=self.known and identity not in self.unknown)
