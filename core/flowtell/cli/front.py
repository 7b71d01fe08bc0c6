"""The front page, `flowtell --help`: printed without parser or formatter, as importing those takes ten times as long."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

from flowtell.cli.commands import all_commands, summary

_ABOUT = "flowtell tells you what your flows are doing, what data they made, and why something is late."
_EXAMPLES = (
    ("flowtell run etl.py:nightly -p day=2026-11-20", "run a flow"),
    ("flowtell runs", "see what ran"),
    ("flowtell up", "metrics, alerts and pages on http://127.0.0.1:4727"),
)
_CODES = "Exit codes: 0 well, 1 something is wrong or not found, 2 wrong usage. --debug shows where an error came from."


def print_front_page() -> None:
    for line in _lines(min(shutil.get_terminal_size().columns, 100)):
        print(line)


def _lines(width: int) -> Iterator[str]:
    yield from textwrap.wrap(_ABOUT, width)
    yield from ("", _heading("Usage"), "  flowtell COMMAND [OPTIONS]", "  flowtell COMMAND --help", "", _heading("Examples"))
    yield from _aligned(_EXAMPLES, width)
    heading = ""
    commands = all_commands()
    column = max(len(command.name) for command in commands)
    for command in commands:
        if command.heading != heading:
            heading = command.heading
            yield from ("", _heading(heading))
        yield from _aligned([(command.name.ljust(column), summary(command))], width)
    yield ""
    yield from textwrap.wrap(_CODES, width)


def _heading(text: str) -> str:
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[1m{text}\x1b[0m" if coloured else text


def _aligned(pairs: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    column = max(len(left) for left, _ in pairs)
    for left, right in pairs:
        start = f"  {left.ljust(column)}  "
        yield from textwrap.wrap(right, width, initial_indent=start, subsequent_indent=" " * len(start)) or [start.rstrip()]
