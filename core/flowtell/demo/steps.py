"""The steps of the tour: which pipeline runs, what it shows, and how it should end."""

from __future__ import annotations

import sys
from typing import Final, NamedTuple

_FLOWTELL: Final = (sys.executable, "-c", "import sys; from flowtell.cli import main; sys.exit(main())")


def flowtell(*words: str) -> list[str]:
    """The command line of this very installation, whether it is on the PATH or not."""
    return [*_FLOWTELL, *words]


class Step(NamedTuple):
    """One pipeline, run once as a process of its own."""

    flow: str
    shows: str
    """What there is to see in it, for a person."""
    words: tuple[str, ...]
    """Of the command line, behind `flowtell`."""
    ends: str = "completed"
    """The state in which its run should end: to fail is part of the tour."""
    killed: bool = False
    """Whether its process is killed when half of its task runs have ended."""

    @property
    def command(self) -> list[str]:
        return flowtell(*self.words)


def _pipeline(flow: str, shows: str, *parameters: str, ends: str = "completed", killed: bool = False) -> Step:
    pairs = [word for parameter in parameters for word in ("-p", parameter)]
    return Step(flow, shows, ("run", f"flowtell.demo.pipelines.{flow}:{flow}", *pairs), ends, killed)


COLLECT: Final = _pipeline("collect", "tries again until a station has started")
LOAD: Final = _pipeline("load", "file to warehouse, one table made of another")
MONTHS: Final = _pipeline("months", "fans out, a task run for each month")
FAILING: Final = _pipeline("quality", "fails: its data breaks a rule", ends="failed")
KILLED: Final = _pipeline("normals", "killed half-way with kill -9", ends="crashed", killed=True)
MENDED: Final = _pipeline("quality", "again with a fair limit, ends well", "allowed=0.1")
SURE: Final = _pipeline("normals", "again, to its end", "samples=1000")
BACKUP: Final = Step(
    "backup", "any command, as cron would run it", ("exec", "--flow", "backup", "--", "cp", "weather.db", "backup.db")
)

TOUR: Final = (COLLECT, LOAD, MONTHS, FAILING, KILLED, MENDED)
AFTERWARDS: Final = (COLLECT, LOAD, FAILING, MONTHS, MENDED, SURE)
"""What goes on in this order, now and then, until Ctrl-C."""


def with_backup(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps, and one more where the command `exec` is installed."""
    from flowtell.cli.commands import all_commands

    return (*steps, BACKUP) if any(command.name == "exec" for command in all_commands()) else steps
