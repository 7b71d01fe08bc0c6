"""Figures of distributions that may not be installed, through the read models that they publish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy.exc import DBAPIError

from flowtell_dashboard.costly import Costly

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtell.store.reading import Read

MOST: Final = 500
"""How far is counted: as many as the pages list that the numbers lead to."""


class Figure(NamedTuple):
    """One number of another distribution."""

    key: str
    words: str
    amount: int
    """`MOST` + 1 for more than that."""
    address: str
    """Of the page that shows what is counted."""

    @property
    def shown(self) -> str:
        return f"{MOST:,}+" if self.amount > MOST else f"{self.amount:,}"


class Neighbours:
    """Asks them all. One for all pages of a server."""

    def __init__(self) -> None:
        self._stale = Costly()

    def figures(self, read: Read) -> list[Figure]:
        """What the installed ones say. One that is missing, or switched off and so without tables, is left out."""
        asked: tuple[tuple[str, str, Callable[[Read], int], str], ...] = (
            ("incidents", "Open incidents", open_incidents, "/alerts"),
            ("stale", "Stale assets", lambda read: self._stale.of(lambda: stale_assets(read)), "/assets?only=stale"),
        )
        found = []
        for key, words, count, address in asked:
            try:
                found.append(Figure(key, words, count(read), address))
            except (ImportError, AttributeError, DBAPIError):
                continue
        return found


def open_incidents(read: Read) -> int:
    from flowtell_alerts import reading

    return len(reading.incidents(read, open_only=True, limit=MOST + 1))


def stale_assets(read: Read) -> int:
    from flowtell_lineage import catalogue

    return catalogue.count_stale(read, MOST)
