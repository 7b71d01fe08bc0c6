"""What one run was told and has said about its pauses: its box in the home, and the server's where that is elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from flowtell import bus
from flowtell.answers.box import Box, Line, Problem
from flowtell.errors import BadAnswer, PauseError

if TYPE_CHECKING:
    from flowtell.answers.remote import RemoteBox
    from flowtell.config import Config
    from flowtell.engine.flow_runs import FlowRun
    from flowtell.engine.pausing import Pause


class Letters:
    """Of one attempt of a run. A retry reads all of it again."""

    def __init__(self, box: Box, far: RemoteBox | None, attempt: int) -> None:
        self._box, self._far, self.attempt = box, far, attempt
        self._place = 0
        self._asked: dict[str, Line] = {}
        self._given: list[Line] = []
        """In the order in which they came, less what the run has said something about."""
        self._known: set[str] = set()
        self._taken: list[Line] = []
        self._number = 0
        self.open: list[Pause] = []
        """Questions that wait now, the latest last."""
        self._read()

    @classmethod
    def of(cls, run: FlowRun) -> Self:
        settings = bus.settings()
        box = Box(settings.home, run.id)
        if run.letters is not None:
            run.letters.let_go()
        else:
            box.sweep()
        return cls(box, _far_box(settings, run.id), run.attempt)

    @property
    def is_far(self) -> bool:
        """Whether a look goes over a network."""
        return self._far is not None

    def next_number(self) -> int:
        """Which pause of the attempt this is, from 1."""
        self._number += 1
        return self._number

    # --- what was told

    def _read(self) -> None:
        lines, self._place = self._box.read(self._place)
        for line in lines:
            self._hear(line)

    def _hear(self, line: Line) -> None:
        if line.kind == "asked":
            self._asked.setdefault(line.key, line)
        elif line.kind == "given":
            if line.id not in self._known:
                self._known.add(line.id)
                self._given.append(line)
        elif line.kind in ("taken", "refused"):
            of = [one for one in self._given if one.id == line.id]
            self._given = [one for one in self._given if one.id != line.id]
            if line.kind == "taken":
                self._taken += of

    def until(self, key: str, wanted: int | None) -> int | None:
        """When a pause ends that began in an earlier process: its time goes on from there."""
        return self._asked[key].until if key in self._asked else wanted

    def taken(self, key: str) -> Iterator[Line]:
        """What the run has taken as an answer before, the latest first."""
        return (line for line in reversed(self._taken) if line.key == key)

    def given(self, key: str) -> list[Line]:
        """What waits for the run's word."""
        self._read()
        for line in self._far.look() if self._far is not None else ():
            if line.id not in self._known:
                self._add(line)
        return [line for line in self._given if line.key == key]

    # --- what the run says

    def ask(self, key: str, until: int | None) -> None:
        if key not in self._asked:
            self._add(Line(kind="asked", key=key, until=until, time=_now()))

    def take(self, line: Line) -> None:
        self._tell(Line(kind="taken", key=line.key, id=line.id, time=_now()))

    def refuse(self, line: Line, error: BadAnswer) -> None:
        problems = tuple(one for one in error.problems if isinstance(one, Problem))
        self._tell(Line(kind="refused", key=line.key, id=line.id, time=_now(), problems=problems))

    def _tell(self, line: Line) -> None:
        """Whoever gave the answer waits for it."""
        self._add(line)
        if self._far is not None:
            self._far.say(line)
            for brought in self._far.look():
                self._add(brought)

    def _add(self, line: Line) -> None:
        """Where the disk takes nothing the run goes on: it may be asked the same again, if its process dies."""
        self._hear(line)
        try:
            self._box.add(line)
        except (OSError, PauseError) as error:
            bus.warn_once(PauseError(f"A paused run could not write to {self._box.path}: {error}."))

    def close(self) -> None:
        """The run has ended."""
        self._box.remove()
        self.let_go()

    def let_go(self) -> None:
        """Of what another attempt opens anew."""
        if self._far is not None:
            self._far.close()


def _far_box(settings: Config, run: str) -> RemoteBox | None:
    if not settings["url"]:
        return None
    from flowtell.answers.remote import RemoteBox

    return RemoteBox(settings["url"], settings["token"], run)


def _now() -> int:
    return time.time_ns() // 1000
