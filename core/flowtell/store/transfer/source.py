"""What can be loaded into a store: the header that says what comes, and the rows of table after table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import msgspec

from flowtell.store.transfer.layout import TableLayout
from flowtell.store.transfer.rows import Row

FORMAT: Final = 1
"""Of the export file. What reads it refuses later ones."""

BATCH: Final = 5_000
"""Rows that are in memory at a time."""

Progress = Callable[[str, int], None]
"""Told a table and how many more of its rows are done."""


class Header(msgspec.Struct, frozen=True):
    """What a source holds."""

    flowtell_export: int
    """The format's version."""
    schema: int
    """Of the core's tables, SCHEMA_VERSION."""
    version: str
    """Of flowtell."""
    made: int
    """When, in µs since the epoch."""
    tables: tuple[TableLayout, ...]
    rows: dict[str, int]
    """How many each table has."""
    numbers: dict[str, int]
    """The highest number ever given by a table that numbers its rows, also to rows that are gone."""


class Source(Protocol):
    """Read once, table after table in the header's order."""

    name: str
    """For messages."""
    header: Header

    def batches(self, layout: TableLayout) -> Iterator[Sequence[tuple[bytes, Row]]]:
        """The rows of one table, each as a line and as values.

        Raises:
            BadExport: the source is damaged.
        """
        ...
