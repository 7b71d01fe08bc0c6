"""How a run in another process is ended: a word to whoever listens there, else Ctrl-C's signal; at last the kill.

The end of a killed run is written, and in the log, before the kill: what reads the dead process's journal would else call
the run crashed.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Final, Literal, Protocol

from sqlalchemy import select

from flowtell.answers.box import Box, Line
from flowtell.cancelling import control
from flowtell.errors import RunNotCancellable
from flowtell.events import Event, Failure, FlowRunCancelling, FlowRunFinished
from flowtell.ids import crash_id, new_id
from flowtell.journal import FOLDER, Header, decode_header
from flowtell.machine import is_gone, this_process
from flowtell.store.reading import Run, get_run
from flowtell.store.tables import runs, writers

_EVERY: Final = 0.2
_LOG_SECONDS: Final = 30.0
"""Seconds in which the log takes in the end that goes before the kill; a log that is farther behind is not waited for."""
_AFTER_KILL: Final = 10.0
"""Seconds in which the kernel takes a killed process away."""

How = Literal["cancelled", "killed"]


class Surroundings(Protocol):
    """What whoever cancels has at hand."""

    home: str

    def read(self, statement: Any, /) -> Any:
        """All rows of a SELECT."""

    def say(self, event: Event, /) -> None:
        """Write an event, so that it comes into the log."""

    def catch_up(self) -> None:
        """Bring the log up to what the journals hold. What it raises ends the wait for the run."""


class Cancelling:
    """One run that is to end.

    Raises:
        RunNotCancellable: it has ended, belongs to an outer run, or lives where nothing from here reaches it.
    """

    def __init__(self, around: Surroundings, run: Run, *, actor: str, reason: str) -> None:
        self._around, self._run, self._actor, self._reason = around, run, actor, reason
        self._check_run()
        self._journal, self._header = self._writer()
        self._process = self._header.process
        here = this_process()
        self._is_here = (self._process.machine, self._process.namespace) == (here.machine, here.namespace)

    def _check_run(self) -> None:
        run = self._run
        if run.ended is not None:
            raise RunNotCancellable(run.id, f"it has ended already, as {run.state}")
        if run.root_run and run.root_run != run.id:
            raise RunNotCancellable(run.id, f"it is part of run {run.root_run}; cancel that one")
        if run.source:
            raise RunNotCancellable(run.id, f"it lives in {run.source}; cancel it there")

    def _writer(self) -> tuple[str, Header]:
        """The journal of the run's process, and who that is."""
        found = select(writers.c.file, writers.c.header).join(runs, runs.c.writer == writers.c.id)
        rows = self._around.read(found.where(runs.c.id == self._run.id))
        header = decode_header(rows[0].header.encode()) if rows else None
        if header is None or not rows[0].file:
            raise RunNotCancellable(self._run.id, "the log does not tell which process it runs in")
        return os.path.join(self._around.home, FOLDER, rows[0].file), header

    # --- the steps

    def carry_out(self, grace: float) -> How:
        """Ask, wait up to `grace` seconds, then kill; how it ended."""
        self._ask()
        if self._has_ended(grace):
            return self._as_wished()
        self._check_killable(grace)
        self._say_killed(grace)
        if self._has_ended(_LOG_SECONDS):
            self._as_wished()  # else it ended by itself while its end was written here
        if not self._kill():
            raise RunNotCancellable(self._run.id, f"process {self._process.pid} outlives even SIGKILL; the system holds it")
        control.forget(self._journal)
        self._around.catch_up()
        return self._as_wished("killed")

    def _ask(self) -> None:
        if self._process == this_process():
            raise RunNotCancellable(self._run.id, "it runs in the very process that was asked to cancel it")
        request = control.Request(action="cancel", run=self._run.id, actor=self._actor, reason=self._reason)
        if self._listens() and control.ask(self._journal, request):
            return
        if not self._is_here:
            where = f"process {self._process.pid} on {self._process.machine}"
            raise RunNotCancellable(self._run.id, f"it runs in {where}, which is not reached from here; cancel it there")
        if is_gone(self._process):
            if self._run.state == "paused" and self._run.due is not None:
                self._end_left_paused()
                return
            raise RunNotCancellable(self._run.id, "its process is gone; it is marked crashed once its journal was read")
        self._say_cancelling()
        self._signal(signal.SIGINT)

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.kill(self._process.pid, number)
        except PermissionError:
            who = f"process {self._process.pid}, which this user may not signal"
            raise RunNotCancellable(self._run.id, f"it runs in {who}") from None

    def _listens(self) -> bool:
        """A killed process leaves its control file behind."""
        return not is_gone(self._process)

    def _has_ended(self, within: float) -> bool:
        until = time.monotonic() + within
        while True:
            self._around.catch_up()
            self._run = get_run(self._around.read, self._run.id)
            if self._run.ended is not None:
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(_EVERY)

    def _as_wished(self, how: How = "cancelled") -> How:
        run = get_run(self._around.read, self._run.id)
        if run.state != "cancelled":
            raise RunNotCancellable(run.id, f"it ended as {run.state} meanwhile")
        return how

    def _check_killable(self, grace: float) -> None:
        if self._run.started is None:
            raise RunNotCancellable(
                self._run.id, f"it waits in process {self._process.pid}, which did not answer within {grace:g} s"
            )
        if not self._is_here:
            raise RunNotCancellable(
                self._run.id,
                f"it did not end within {grace:g} s, and process {self._process.pid} cannot be killed from here",
            )

    def _kill(self) -> bool:
        """False when the process is there after all."""
        if not is_gone(self._process):
            self._signal(signal.SIGKILL)
        until = time.monotonic() + _AFTER_KILL
        while not is_gone(self._process) and time.monotonic() < until:
            time.sleep(0.02)
        return is_gone(self._process)

    def _end_left_paused(self) -> None:
        """It has no process until somebody serves it again, who is told here not to."""
        now = time.time_ns() // 1000
        Box(self._around.home, self._run.id).add(Line(kind="cancelled", actor=self._actor, time=now))
        self._say_cancelling()
        self._say_end("It was cancelled while it was paused and had no process.")

    # --- what is said

    def _say_cancelling(self) -> None:
        """A process that listens says it itself."""
        now, run = time.time_ns() // 1000, self._run
        self._around.say(
            FlowRunCancelling(
                id=new_id(now), time=now, run=run.id, flow=run.flow, deployment=run.deployment, due=run.due,
                environment=run.environment, actor=self._actor, reason=self._reason,
            )
        )  # fmt: skip

    def _say_killed(self, grace: float) -> None:
        self._say_end(f"It did not end within {grace:g} s of being cancelled, and was killed.", signal="SIGKILL")

    def _say_end(self, message: str, signal: str = "") -> None:
        """Under the id of the crash that whoever sees the death would tell: one fact."""
        now, run = time.time_ns() // 1000, self._run
        error = Failure(type="Cancelled", message=message)
        self._around.say(
            FlowRunFinished(
                id=crash_id(run.id, self._header.writer, self._header.time), time=now, run=run.id, flow=run.flow,
                deployment=run.deployment, due=run.due, environment=run.environment, state="cancelled", error=error,
                duration=(now - run.started) / 1e6 if run.started else None, attempts=run.attempts, signal=signal,
            )
        )  # fmt: skip
