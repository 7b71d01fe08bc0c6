"""How many runs there are, never counting further than a page can say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Select, func, literal_column, select

from flowtell.store.tables import runs

if TYPE_CHECKING:
    from flowtell.store.reading import Read

MOST: Final = 10_000


def count_open(read: Read) -> dict[str, int]:
    """How many runs that have not ended are in each state, whenever they started; of `MOST` + 1 of them."""
    unended = select(runs.c.state).where(runs.c.ended.is_(None)).limit(MOST + 1).subquery()
    rows = read(select(unended.c.state, func.count().label("runs")).group_by(unended.c.state))
    return {row.state: row.runs for row in rows}


def count_runs(read: Read, since: int | None) -> int:
    """How many runs started at or after `since` (µs), or ever; `MOST` + 1 for more than that."""
    some: Select[Any] = select(literal_column("1")).select_from(runs).limit(MOST + 1)
    if since is not None:
        some = some.where(runs.c.started >= since)
    return int(read(select(func.count()).select_from(some.subquery()))[0][0])


def words(count: int) -> str:
    """The count as text, `10,000+` where it was not counted further."""
    return f"{MOST:,}+" if count > MOST else f"{count:,}"
