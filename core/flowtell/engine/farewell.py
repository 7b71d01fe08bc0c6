"""The one line at the end of a root flow run that no server has seen: what ran, how long, where to look."""

from __future__ import annotations

import fcntl
import os
import sys
from typing import TYPE_CHECKING

from flowtell.bus import journal_path, settings

if TYPE_CHECKING:
    from flowtell.engine.flow_runs import FlowRun

_SHORT = 12  # the digits of an id that are time: enough to find the run again


def say_where_to_look(run: FlowRun) -> None:
    """On stderr, unless a server reads along, here or elsewhere, nothing was written, or `quiet` is set."""
    if settings()["quiet"] or settings()["url"] or not journal_path() or _server_runs(settings().home):
        return
    try:
        sys.stderr.write(f"{_line(run)}\n")
    except (OSError, ValueError, AttributeError):  # stderr closed, or none at all
        pass


def _line(run: FlowRun) -> str:
    name = run.work.name if run.name == run.work.name else f"{run.work.name} ({run.name})"
    how = f"{run.state.replace('_', ' ')} in {_span(run.seconds)}{_left_behind()}"
    return f"flowtell: flow {name} {how} · flowtell runs {run.id[:_SHORT]}"


def _left_behind() -> str:
    timeouts = sys.modules.get("flowtell.engine.timeouts")
    count = timeouts.abandoned() if timeouts is not None else 0
    return f", {count} thread{'s' * (count > 1)} left behind" if count else ""


def _span(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _server_runs(home: str) -> bool:
    """Whether somebody holds the ingest role of this home."""
    try:
        fd = os.open(os.path.join(home, "ingest.lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
