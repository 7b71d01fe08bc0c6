"""The runs of a back-fill, some at a time, from the first to the last. Called inside the run that groups them."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from flowtell.bus import settings
from flowtell.engine.assignments import Assignment, Outer
from flowtell.engine.backfill.book import Book
from flowtell.engine.backfill.cases import Case
from flowtell.engine.context import current
from flowtell.engine.scope import BACKFILL
from flowtell.engine.serving import mark, run_process
from flowtell.engine.serving.entrance import Entrance
from flowtell.engine.serving.run_process import Order, RunProcess
from flowtell.errors import NoActiveRun
from flowtell.ids import new_id

_EVERY: Final = 0.02
"""Seconds between two looks at who has ended."""
_STDERR: Final = 2
_REFRESHING: Final = {"FLOWTELL_RESULTS__REFRESH_CACHE": "true"}


class Ended(NamedTuple):
    """A run of the back-fill and how it ended."""

    case: Case
    run: str
    state: str


class Filling:
    """Of one thread. `tell` is called after each run with how it ended."""

    def __init__(
        self,
        flow: str,
        entrance: Entrance,
        book: Book,
        cases: Sequence[Case],
        *,
        parallel: int = 1,
        refresh_cache: bool = False,
        tell: Callable[[Ended], None] = lambda _: None,
    ) -> None:
        self._flow, self._entrance, self._book = flow, entrance, book
        self._parallel, self._tell = parallel, tell
        self._environment = _REFRESHING if refresh_cache else {}
        self._cases = {case.key: case for case in cases}
        self._going: dict[str, RunProcess] = {}
        self._take_up()
        self.skipped = sum(key in book.done for key in self._cases)
        """How many are done already."""

    @property
    def total(self) -> int:
        return len(self._cases)

    @property
    def is_wanted(self) -> bool:
        """Whether anything is left to run, or goes on."""
        return self.skipped < self.total or bool(self._going)

    def run(self) -> list[Ended]:
        """Run what is not done. At an interruption the runs that go on are asked to clean up and end, then killed.

        Raises:
            NoActiveRun: no run is around it.
            OSError: what is done cannot be written, or no process can be had.
        """
        outer = _outer()
        ended: list[Ended] = []
        try:
            waiting = self._not_begun()
            while waiting or self._going:
                while waiting and len(self._going) < self._parallel:
                    self._start(self._cases[waiting.popleft()], outer)
                ended += self._see_ends()
                time.sleep(_EVERY)
        except BaseException:
            self._end()
            raise
        return ended

    def _take_up(self) -> None:
        """Of one who was killed: wait for runs that go on, note those that ended, and forget those that never began."""
        for run in self._book.claims:
            path = self._book.mark_path(run)
            if mark.standing(path) == "running":
                self._going[run] = RunProcess(path)
            else:
                self._settle(run)

    def _not_begun(self) -> deque[str]:
        taken = {*self._book.done, *(self._book.claims[run] for run in self._going)}
        return deque(key for key in self._cases if key not in taken)

    def _start(self, case: Case, outer: Outer) -> None:
        run = new_id()
        self._book.claim(run, case.key)
        order = Order(
            assignment=Assignment(run=run, flow=self._flow, cause=BACKFILL, outer=outer),
            entrance=self._entrance,
            parameters=case.parameters,
            mark=self._book.mark_path(run),
            ledger=self._book.path,
        )
        self._going[run] = run_process.start(order, stdout=_STDERR, environment=self._environment)

    def _see_ends(self) -> list[Ended]:
        ended = [run for run, process in self._going.items() if process.has_ended()]
        return [one for run in ended if (one := self._close(run)) is not None]

    def _close(self, run: str) -> Ended | None:
        del self._going[run]
        case = self._cases.get(self._book.claims[run])
        state = self._settle(run)
        if case is None:  # of an earlier call, whose cases were others
            return None
        ended = Ended(case, run, state)
        self._tell(ended)
        return ended

    def _settle(self, run: str) -> str:
        """First the book: a process that comes too late asks it whether the run is still wanted."""
        path = self._book.mark_path(run)
        state = mark.read(path).state or "crashed"
        self._book.settle(run, done=state == "completed")
        mark.remove(path)
        return state

    def _end(self) -> None:
        for process in self._going.values():
            process.send(signal.SIGTERM)
        until = time.monotonic() + float(settings()["serve.grace_seconds"])
        try:
            while self._going and time.monotonic() < until:
                self._see_ends()
                time.sleep(_EVERY)
        finally:  # also at a second Ctrl-C
            for process in self._going.values():
                process.send(signal.SIGKILL)


def _outer() -> Outer:
    run = current.get()
    if run is None:
        raise NoActiveRun("A back-fill")
    scope = run.scope
    return Outer(run=scope.run, root_run=scope.root_run or scope.run, trace=scope.trace, sampled=scope.sampled)
