"""Lines of journals that are no events, kept for whoever looks for the cause."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from sqlalchemy import Connection

from flowtell.store.statements import insert_for
from flowtell.store.tables import rejected

_LINE_BYTES: Final = 2_000
"""How much of such a line is kept."""
_PROBLEM_LETTERS: Final = 500


class Rejected(NamedTuple):
    """A line that is no event."""

    n: int
    """Where it stands in its journal."""
    problem: str
    line: bytes


def reject(n: int, line: bytes, problem: str) -> Rejected:
    """The line cut to what is kept, with what is wrong with it."""
    return Rejected(n, problem[:_PROBLEM_LETTERS], line[:_LINE_BYTES])


def reject_torn(n: int, line: bytes) -> Rejected:
    """The end of a journal whose writer died while it wrote."""
    return reject(n, line, "cut by the death of its writer")


def keep(connection: Connection, lines: Iterable[tuple[int, Rejected]], now: int) -> None:
    """Write them down, each beside the number of its writer; one that is there already stays as it is."""
    rows = [{"writer": writer, "received": now, **line._asdict()} for writer, line in lines]
    if rows:
        connection.execute(insert_for(connection.dialect, rejected).on_conflict_do_nothing(), rows)
