"""Writes docs/reference/commands.md from the help of every command. Run by `make docs`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cyclopts import App
from rich.console import Console

from flowtell.cli.app import build
from flowtell.cli.commands import all_commands, summary

PAGE = Path(__file__).parent / "reference" / "commands.md"
COLUMNS = 100

INTRODUCTION = """\
# Commands

<!-- Written by docs/command_reference.py: `make docs`. Change a command's docstring instead. -->

What `flowtell COMMAND --help` says of each. Tables on a terminal, tab-separated lines in a pipe, JSON with `--json`; data on
stdout, messages on stderr; every error has a [code](../errors.md).
"""


def page() -> str:
    """The whole page."""
    commands = sorted(all_commands())
    app = build(commands)
    parts = [INTRODUCTION, "| command | |", "|---|---|"]
    parts += [f"| [`flowtell {one.name}`](#flowtell-{one.name}) | {summary(one)} |" for one in commands]
    for one in commands:
        parts += ["", f"## flowtell {one.name}", *_helps(app, [one.name])]
    return "\n".join(parts) + "\n"


def _helps(app: App, words: list[str]) -> Iterator[str]:
    found: Any = app
    for word in words:
        found = found[word]
    yield f"\n```text\n{_help(app, words)}\n```"
    for name in sorted(found):
        if not name.startswith("-"):
            yield f"\n### flowtell {' '.join(words)} {name}"
            yield from _helps(app, [*words, name])


def _help(app: App, words: list[str]) -> str:
    said = io.StringIO()
    app.help_print(words, console=Console(file=said, width=COLUMNS, no_color=True, force_terminal=False))
    return "\n".join(line.rstrip() for line in said.getvalue().strip().splitlines())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
