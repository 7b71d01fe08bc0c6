"""A bar on stderr for what takes long; nothing where nobody looks at it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flowtell.cli.output import Output

Advance = Callable[[float, float], None]
"""Told how much is done and of how much; 0 where that is not known."""


@contextmanager
def progress_bar(output: Output, what: str, *, bytes: bool = False) -> Iterator[Advance]:
    """A bar that stands until the block ends. `bytes`: what is counted is bytes, else pieces."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=output.messages, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def counting(advance: Advance, total: int) -> Callable[[str, int], None]:
    """For those who say how many more are done."""
    done = 0

    def more(_: str, count: int) -> None:
        nonlocal done
        done += count
        advance(done, total)

    return more
