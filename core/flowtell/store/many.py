"""INSERT of many rows, two hundred to a statement.

The driver lets go of the interpreter's lock around each step of a statement. With one row a step, every row waits for
whatever thread took the lock meanwhile; with many, the other threads run while SQLite works. It is also a fifth cheaper.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from sqlalchemy import Connection

ROWS: Final = 200
"""Rows a statement: 22 columns make 4,400 parameters, of SQLite's 32,766."""


class ManyRows:
    """An INSERT for rows of so many columns; `rest` follows the values, such as ON CONFLICT."""

    def __init__(self, insert: str, columns: int, rest: str = "") -> None:
        row = f"({', '.join('?' * columns)})"
        self._columns = columns
        self._one = f"{insert} VALUES {row} {rest}"
        self._full = f"{insert} VALUES {', '.join([row] * ROWS)} {rest}"

    def execute(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert the rows in their order."""
        whole = len(rows) - len(rows) % ROWS
        width = ROWS * self._columns
        values = tuple(chain.from_iterable(rows[:whole]))
        for start in range(0, len(values), width):
            connection.exec_driver_sql(self._full, values[start : start + width])
        if whole < len(rows):
            connection.exec_driver_sql(self._one, list(rows[whole:]))
