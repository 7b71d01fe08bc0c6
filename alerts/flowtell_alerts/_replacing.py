"""Rows put in the place of those with the same key, in any store's SQL: a DELETE and then an INSERT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Executable, Table, and_, bindparam, delete, insert

from flowtell.plugin import Context


class Replacing:
    """The two statements for one table, built once."""

    def __init__(self, table: Table) -> None:
        self._keys = [column.name for column in table.primary_key]
        self.delete: Executable = delete(table).where(and_(*(table.c[name] == bindparam(name) for name in self._keys)))
        self.insert: Executable = insert(table)

    def write(self, context: Context, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add both to the write set."""
        if rows:
            self.remove(context, rows)
            context.write(self.insert, rows)

    def remove(self, context: Context, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add the DELETE alone, for rows of which the keys are looked at."""
        if rows:
            context.write(self.delete, [{name: row[name] for name in self._keys} for row in rows])
