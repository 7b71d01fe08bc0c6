"""Log records as lines: for a person the time, level and message, for a pipe everything on one line."""

from __future__ import annotations

from collections.abc import Iterable

from flowtell.cli import cells
from flowtell.cli.session import Session
from flowtell.store.reading import LogLine

_STYLES = {"DEBUG": "dim", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}


def print_logs(session: Session, lines: Iterable[LogLine]) -> None:
    """Print records in the order given; as JSON one object a line."""
    for line in lines:
        if session.json:
            session.print_json_line(line)
        elif session.rich:
            _print_shown(session, line)
        else:
            fields = (cells.moment(line.time).plain, line.level, line.task, line.logger, line.message)
            session.print_row(fields)


def _print_shown(session: Session, line: LogLine) -> None:
    from rich.text import Text

    text = Text.assemble(
        (cells.moment(line.time).shown, "dim"),
        "  ",
        (line.level.ljust(8), _STYLES.get(line.level, "")),
        (f"{line.task}: " if line.task else "", "dim"),
        line.message,
    )
    session.console.print(text, soft_wrap=True)
