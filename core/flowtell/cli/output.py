"""Where a command's words go: data on stdout, messages on stderr; tables for people, lines for pipes, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flowtell.cli.cells import Cell, Value, cell

if TYPE_CHECKING:
    from rich.console import Console

_GAP: Final = 2
_NARROWEST: Final = 6


class Output:
    """One command's output. rich is imported only for a terminal."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        """Whether the user asked for JSON."""
        self.rich = sys.stdout.isatty() and not json
        """Whether a person looks at stdout."""

    @cached_property
    def console(self) -> Console:
        """For data."""
        from rich.console import Console

        return Console(highlight=False, markup=False, emoji=False)

    @cached_property
    def messages(self) -> Console:
        """For messages about the data."""
        from rich.console import Console

        return Console(stderr=True, highlight=False, markup=False, emoji=False)

    def say(self, message: str) -> None:
        """A message to the person, beside the data."""
        if sys.stderr.isatty():
            self.messages.print(message, style="dim")
        else:
            print(message, file=sys.stderr)

    def print_json(self, value: Any) -> None:
        """One JSON document: indented for a person, on one line for a pipe. Structs lose fields at their default."""
        document = msgspec.json.encode(value, enc_hook=str)
        print((msgspec.json.format(document, indent=2) if sys.stdout.isatty() else document).decode())

    def print_json_line(self, value: Any) -> None:
        """One JSON object of a stream that may have no end."""
        print(msgspec.json.encode(value, enc_hook=str).decode())

    def print_row(self, values: Iterable[str]) -> None:
        """One line of a stream, its values divided by tabs."""
        print("\t".join(_on_one_line(value) for value in values))

    def print_text(self, text: str) -> None:
        """Text as it is, of several lines."""
        print(text)

    def flush(self) -> None:
        """Let a pipe see what was printed so far."""
        sys.stdout.flush()

    def print_table(self, columns: Sequence[str], rows: Iterable[Sequence[Value]], *, wrap: bool = False) -> None:
        """A table on a terminal; elsewhere one line a row, its values divided by tabs, without a heading.

        Where the terminal is too narrow, text is cut; with `wrap` it goes on below.
        """
        cells = [[cell(value) for value in row] for row in rows]
        if self.rich:
            self._print_rich_table(columns, cells, wrap=wrap)
        else:
            for row in cells:
                self.print_row(value.plain for value in row)

    def _print_rich_table(self, columns: Sequence[str], rows: list[list[Cell]], *, wrap: bool) -> None:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, _GAP, 0, 0))
        for place, width in enumerate(_widths(columns, rows, self.console.width)):
            right = any(row[place].right for row in rows)
            table.add_column(columns[place], justify="right" if right else "left", no_wrap=not wrap, width=width)
        for row in rows:
            table.add_row(*(_text(value, wrap=wrap) for value in row))
        self.console.print(table)

    def print_facts(self, facts: Iterable[tuple[str, Value]]) -> None:
        """Names and values below each other; those that are unknown are left out."""
        known = [(name, value) for name, value in ((name, cell(value)) for name, value in facts) if value.plain]
        if not self.rich:
            for name, value in known:
                self.print_row((name, value.plain))
            return
        width = max((len(name) for name, _ in known), default=0)
        for name, value in known:
            self.console.print(_label(name.ljust(width)), _text(value), sep="  ", soft_wrap=True)

    def print_heading(self, text: str) -> None:
        """A heading between parts, on a terminal."""
        if self.rich:
            self.console.print(f"\n{text}", style="bold")


def _widths(columns: Sequence[str], rows: list[list[Cell]], room: int) -> list[int]:
    """How wide each column is; where the terminal is too narrow, the widest of those that may be cut give way."""
    widths = [max(len(name), *(len(row[place].shown) for row in rows), 0) for place, name in enumerate(columns)]
    may_be_cut = [place for place in range(len(columns)) if not all(row[place].whole for row in rows)]
    room -= _GAP * (len(columns) - 1)
    while sum(widths) > room and any(widths[place] > _NARROWEST for place in may_be_cut):
        widths[max(may_be_cut, key=lambda place: widths[place])] -= 1
    return widths


def _text(value: Cell, *, wrap: bool = False) -> Any:
    from rich.text import Text

    return Text(_on_one_line(value.shown), value.style, overflow="fold" if wrap else "ellipsis", no_wrap=not wrap)


def _label(name: str) -> Any:
    from rich.text import Text

    return Text(name, "dim")


def _on_one_line(text: str) -> str:
    return " ".join(text.split()) if any(character in text for character in "\t\n\r") else text
