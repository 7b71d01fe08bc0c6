"""A command as a run: the events around it, and the logs it leaves."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, Final

from flowtell import bus
from flowtell.events import (
    DeploymentDeclared,
    Event,
    Failure,
    FlowDeclared,
    FlowRunFinished,
    FlowRunStarted,
    LogRecorded,
    Schedule,
)
from flowtell.ids import new_id, span_id
from flowtell.machine import machine_name
from flowtell.schedules import answered_due
from flowtell.trace_context import VARIABLE, TraceContext, is_kept, parsed
from flowtell_sources.child import Child, Ended
from flowtell_sources.command_line import kept
from flowtell_sources.last_lines import LastLines, merged

SOURCE: Final = "exec"
TIMED_OUT: Final = 124
NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127

_PIPES_GRACE: Final = 1.0
"""Seconds for what the command left behind and what still holds its pipes."""


class ObservedCommand:
    """One run of one command. Takes over the process's signals and its bus.

    With schedules it is a run of a deployment that has them, and answers the last of their due times.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        flow: str,
        name: str = "",
        tags: tuple[str, ...] = (),
        deployment: str = "",
        schedules: tuple[Schedule, ...] = (),
    ) -> None:
        self.command, self.flow, self.name, self.tags = list(command), flow, name, tags
        self.deployment, self.schedules = (deployment or flow) if schedules else "", schedules
        self.due: int | None = None
        self.id = new_id()
        caller = parsed(os.environ.get(VARIABLE, ""))
        self._parent_span = caller.span if caller else ""
        trace, sampled = (caller.trace, caller.sampled) if caller else (self.id, is_kept(self.id))
        self._context = TraceContext(trace, span_id(self.id), sampled)
        self._began = 0

    def run(self, *, timeout: float | None = None, capture: int = 0) -> int:
        """Run it to its end and return the exit code to leave with. A kill -9 of this process is a crashed run."""
        bus.set_source(SOURCE)
        self._say_started()
        child = Child(self.command, {**os.environ, VARIABLE: self._context.header})
        streams = [LastLines(1, capture), LastLines(2, capture)] if capture else []
        try:
            child.start(*(stream.descriptor for stream in streams))
        except OSError as error:
            return self._not_started(error)
        for stream in streams:
            os.close(stream.descriptor)
        ended = child.wait(timeout)
        last_words = self._say_logs(streams)
        return self._say_ended(ended, last_words)

    def _say_started(self) -> None:
        now = time.time_ns() // 1000
        self._began = time.monotonic_ns()
        self._emit(FlowDeclared, now, run="", deployment="")
        if self.schedules:
            self._emit(DeploymentDeclared, now, run="", schedules=self.schedules, tags=self.tags)
            self.due = answered_due(self.schedules, now)
        self._emit(
            FlowRunStarted,
            now,
            name=self.name,
            tags=self.tags,
            trace=self._context.trace,
            parent_span=self._parent_span,
            sampled=self._context.sampled,
            parameters={"command": kept(self.command, bus.settings()["capture.redact"])},
            machine=machine_name(),
            pid=os.getpid(),
        )

    def _not_started(self, error: OSError) -> int:
        found = not isinstance(error, FileNotFoundError)
        message = f"{self.command[0]}: {error.strerror if found else 'command not found'}"
        os.write(2, f"flowtell exec: {message}\n".encode())
        self._say_finished("failed", error=Failure(type=type(error).__name__, message=message))
        return NOT_EXECUTABLE if found else NOT_FOUND

    def _say_logs(self, streams: Sequence[LastLines]) -> str:
        """Emit the last lines; returns the last one that says something."""
        lines = [stream.finish(_PIPES_GRACE) for stream in streams]
        for name, line in merged(*zip(("stdout", "stderr"), lines, strict=False)):
            self._emit(LogRecorded, line.time, logger=name, message=line.text)
        spoken = [line.text.strip() for part in lines for line in part if line.text.strip()]
        return spoken[-1] if spoken else ""

    def _say_ended(self, ended: Ended, last_words: str) -> int:
        state, error = judge(ended, last_words)
        self._say_finished(
            state,
            error=error,
            cpu_seconds=round(ended.cpu_seconds, 6),
            peak_memory=ended.peak_memory,
            signal=ended.killed_by or (ended.stopped_by if state == "cancelled" else ""),
        )
        return TIMED_OUT if ended.timed_out else ended.exit_code

    def _say_finished(self, state: str, **facts: Any) -> None:
        duration = (time.monotonic_ns() - self._began) // 1000 / 1e6
        self._emit(FlowRunFinished, time.time_ns() // 1000, state=state, duration=duration, **facts)

    def _emit(self, kind: type[Event], moment: int, **fields: Any) -> None:
        which = {"run": self.id, "flow": self.flow, "deployment": self.deployment, "due": self.due}
        bus.emit(kind(**{"id": new_id(moment), "time": moment, **which, **fields}))


def judge(ended: Ended, last_words: str = "") -> tuple[str, Failure | None]:
    """The state in which the run of such a command ends, and its error.

    A command that ends well is completed, whatever it was told meanwhile. One that somebody asked us to stop is
    cancelled; one that a signal killed which nobody sent through us has crashed.
    """
    said = f": {last_words}" if last_words else ""
    if ended.timed_out:
        return "timed_out", Failure(type="Timeout", message=f"stopped when its time was up{said}")
    if ended.exit_code == 0:
        return "completed", None
    if ended.stopped_by:
        return "cancelled", Failure(type="Stopped", message=f"{ended.stopped_by} was sent to it")
    if ended.killed_by:
        return "crashed", Failure(type="Killed", message=f"killed by {ended.killed_by}{said}")
    return "failed", Failure(type="ExitCode", message=f"exit code {ended.code}{said}")
