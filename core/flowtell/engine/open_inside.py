"""Runs that began inside a body in another process: where that dies, somebody has to end them."""

from __future__ import annotations

from time import time_ns

from flowtell import bus
from flowtell.errors import MalformedEvent
from flowtell.events import Event, FlowRunFinished, FlowRunStarted, TaskRunFinished, TaskRunStarted, decode
from flowtell.ids import new_id


class OpenInside:
    """Those of one call."""

    def __init__(self) -> None:
        self._open: dict[str, FlowRunStarted | TaskRunStarted] = {}

    def hear(self, line: bytes, *, write: bool) -> None:
        """The body's process has emitted a line, which may be of such a run."""
        try:
            event = decode(line)
        except MalformedEvent:
            event = None
        if isinstance(event, FlowRunStarted | TaskRunStarted):
            self._open.setdefault(_run_of(event), event)
        elif isinstance(event, FlowRunFinished | TaskRunFinished):
            self._open.pop(_run_of(event), None)
        bus.relay(line, write=write)

    def crashed(self, signal: str) -> None:
        """That process has died: those still open have crashed with it, innermost first."""
        now = time_ns() // 1000
        while self._open:
            _, began = self._open.popitem()
            finished = FlowRunFinished if isinstance(began, FlowRunStarted) else TaskRunFinished
            bus.emit(
                finished(
                    id=new_id(now), time=now, run=began.run, root_run=began.root_run, flow=began.flow,
                    task_run=began.task_run, task=began.task, state="crashed", signal=signal,
                )
            )  # fmt: skip


def _run_of(event: Event) -> str:
    return event.task_run or event.run
