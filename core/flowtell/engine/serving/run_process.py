"""The process in which one due run runs: started, watched and ended by whoever serves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from flowtell.engine.assignments import Assignment
from flowtell.engine.serving import mark
from flowtell.engine.serving.entrance import Entrance

PROGRAM = "flowtell.cli.due_run"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is told on stdin: command lines are everybody's to read, and parameters may hold secrets."""

    assignment: Assignment
    entrance: Entrance
    parameters: dict[str, Any]
    mark: str
    ledger: str


class RunProcess:
    """One run's process: a child of this one, or of a serving process before it that is gone."""

    def __init__(self, path: str, child: subprocess.Popen[bytes] | None = None) -> None:
        self.path, self._child = path, child

    @property
    def is_adopted(self) -> bool:
        """Whether its end has to be looked for: this is not its parent, or it is alive in another process's hands."""
        return self._child is None or self._child.poll() is not None

    def has_ended(self) -> bool:
        """Whether the run will not go on. A child that came too late, as the run was begun already, counts for nothing."""
        if self._child is not None and self._child.poll() is None:
            return False
        return mark.standing(self.path) != "running"

    @property
    def signal(self) -> str:
        """The name of the signal that ended it, where this is its parent."""
        code = self._child.returncode if self._child is not None else None
        return signal.Signals(-code).name if code is not None and code < 0 else ""

    def send(self, number: int) -> None:
        """Send the run's process a signal, if it lives."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)
        elif mark.standing(self.path) == "running":
            try:
                os.kill(mark.read(self.path).pid, number)
            except OSError:  # ended meanwhile
                pass


def start(order: Order, *, stdout: int | None = None, environment: Mapping[str, str] | None = None) -> RunProcess:
    """Start it, in a process group of its own: Ctrl-C at the terminal reaches whoever serves, who ends it in order.

    `stdout`: the descriptor that it prints to, instead of this process's own; `environment`: what it has beyond ours.

    Raises:
        OSError: no process can be had now.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=stdout,
        env={**os.environ, **(environment or {})},
        process_group=0,
    )
    assert child.stdin is not None
    try:
        with child.stdin as stdin:
            stdin.write(msgspec.json.encode(order))
    except OSError:  # it died before it could listen, which is seen as every other death
        pass
    return RunProcess(order.mark, child)
