"""A whole table, some rows at a time: what is read at start is never held as rows all at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Row, Table, select, tuple_

from flowtell.plugin import Context

ROWS: Final = 2_000
"""Rows of one page."""


def every_row(context: Context, table: Table) -> Iterator[Row[Any]]:
    """By its primary key, so that each page begins where the one before ended."""
    key = list(table.primary_key)
    wanted = select(table).order_by(*key).limit(ROWS)
    page = context.read(wanted)
    while page:
        yield from page
        last = tuple(getattr(page[-1], column.name) for column in key)
        page = context.read(wanted.where(tuple_(*key) > last)) if len(page) == ROWS else ()
