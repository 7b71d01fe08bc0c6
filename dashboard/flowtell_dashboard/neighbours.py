"""Figures of distributions that may not be installed, through the read models that they publish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtell.store.reading import Read

MOST: Final = 1000


class Figure(NamedTuple):
    """One number of another distribution."""

    key: str
    words: str
    amount: int
    address: str = ""
    """Of the page that shows what is counted; empty where there is none."""


def figures(read: Read) -> list[Figure]:
    """What the installed ones say. One that is missing, or switched off and so without tables, is left out."""
    found = []
    for key, words, count, address in _ASKED:
        try:
            found.append(Figure(key, words, count(read), address))
        except (ImportError, AttributeError, DBAPIError):
            continue
    return found


def _open_incidents(read: Read) -> int:
    from flowtell_alerts import reading

    return len(reading.incidents(read, open_only=True, limit=MOST))


def _assets(read: Read) -> int:
    from flowtell_lineage import reading

    return len(reading.assets(read, limit=MOST))


_ASKED: Final[tuple[tuple[str, str, Callable[[Read], int], str], ...]] = (
    ("incidents", "Open incidents", _open_incidents, "/alerts"),
    ("assets", "Assets", _assets, ""),
)
