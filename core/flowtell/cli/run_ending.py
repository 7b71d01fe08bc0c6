"""How a flow ended that `flowtell run` ran: in words where its process has not said so already, or as JSON."""

from __future__ import annotations

import os
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flowtell import bus
from flowtell.cli import cells
from flowtell.cli.output import Output
from flowtell.errors import FlowtellError
from flowtell.events import Event


class FlowFailed(FlowtellError):
    """A flow that `flowtell run` ran raised what is no error of flowtell's."""

    code = "FT1601"

    def __init__(self, flow: str, error: Exception) -> None:
        self.flow, self.error = flow, error
        super().__init__(f"Flow '{flow}' failed: {type(error).__name__}: {error}{_place(error)}")


def _place(error: Exception) -> str:
    """The last line of the user's own code that the exception came through: not flowtell's, nor a library's."""
    paths = sysconfig.get_paths()
    libraries = tuple(os.path.realpath(paths[kind]) + os.sep for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "/flowtell/" not in frame.filename and not os.path.realpath(frame.filename).startswith(libraries)
    ]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


@contextmanager
def told_how_it_ended(*, json: bool) -> Iterator[None]:
    """Around the run. A flow's process tells its end on stderr unless a server runs; then this does."""
    endings: list[Any] = []

    def watch(event: Event) -> None:
        if event.type == "flow_run.finished" and not event.root_run:
            endings.append(event)

    bus.attach(watch)
    try:
        yield
    finally:
        bus.detach(watch)
        for ending in endings:
            _tell(ending, json=json)


def _tell(ending: Any, *, json: bool) -> None:
    from flowtell.server.role import is_taken

    output = Output(json=json)
    if json:
        output.print_json(ending)
    elif is_taken(bus.settings().home) and not bus.settings()["quiet"]:
        took = cells.span(ending.duration).shown
        state = ending.state.replace("_", " ")
        output.say(f"flowtell: flow {ending.flow} {state} in {took} · flowtell runs {cells.short_id(ending.run).shown}")
