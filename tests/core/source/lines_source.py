"""A small source as an outsider would write it: it reads a file of JSON lines, a few at a time."""

from __future__ import annotations

import json
from pathlib import Path

from flowtell.errors import SourceUnavailable
from flowtell.events import FlowRunFinished, FlowRunStarted
from flowtell.ids import derived_id
from flowtell.source import BaseSource


class LinesSource(BaseSource):
    """Each line `{"run": …, "time": …, "state": …}` is a run's start or end."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def step(self) -> float:
        place = int(self.context.cursor or 0)
        try:
            lines = self.path.read_text().splitlines()
        except OSError as error:
            raise SourceUnavailable(f"{self.path.name} cannot be read: {error.strerror}", retry_after=0.05) from error
        self.context.up()
        page = [json.loads(line) for line in lines[place : place + 2]]
        self.context.emit(
            [_event(each) for each in page], cursor=str(place + len(page)), complete_until=self.context.clock()
        )
        return 0.0 if page else 1.0


def _event(line):
    run, time = line["run"], line["time"]
    facts = {"id": derived_id(time, "lines", run, line["state"]), "time": time, "run": run, "flow": "from_lines"}
    return FlowRunStarted(**facts) if line["state"] == "running" else FlowRunFinished(state=line["state"], **facts)


def create(settings):
    return LinesSource(settings["path"])
