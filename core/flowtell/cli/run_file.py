"""One run as a file, made by whichever distribution says that it can: the entry points `flowtell.run_files`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowtell.cli import cells
from flowtell.cli.outcome import Misuse

if TYPE_CHECKING:
    from flowtell.cli.session import Session
    from flowtell.store.reading import Run

GROUP: Final = "flowtell.run_files"
"""Each is called with what reads the store, the run's id and now in µs, and returns the file's text."""


def write_file(session: Session, run: Run, path: str) -> None:
    """Whole or not at all: what was there is replaced once the new one is on disk."""
    made = _maker("html")(session.read, run.id, time.time_ns() // 1000)
    target = Path(path)
    new = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        new.write_text(made, encoding="utf-8")
        new.replace(target)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise Misuse(f"--html: {path} cannot be written: {error.strerror}.") from error
    session.say(f"Run {cells.short_id(run.id).shown} of {run.flow} is in {path}.")


def _maker(name: str) -> Any:
    from importlib.metadata import entry_points

    found = [each for each in entry_points(group=GROUP) if each.name == name]
    if not found:
        raise Misuse(f"--{name} needs flowtell-dashboard: install it where this command runs.")
    return found[0].load()
