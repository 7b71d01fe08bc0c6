"""A run of this process is cancelled from outside: what it says, and the interruption that its code sees as Ctrl-C."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flowtell.bus import emit
from flowtell.cancelling.control import Request
from flowtell.engine import due
from flowtell.engine.control import listen
from flowtell.engine.scope import OUTSIDE
from flowtell.events import FlowRunCancelling
from flowtell.ids import new_id

if TYPE_CHECKING:
    from flowtell.engine.runs import Run


@contextmanager
def cancelled_from_outside() -> Iterator[None]:
    """Inside, `flowtell cancel` reaches this process's runs. For the main thread, with a handler of SIGTERM that raises."""
    listener = listen(heed)
    try:
        yield
    finally:
        listener.close()


def heed(request: Request) -> None:
    """Interrupt the main thread, if the run is this process's outermost one: its clean-up runs, and it ends cancelled."""
    run = OUTSIDE.open.get(request.run)
    if request.action != "cancel" or run is None or run.kind != "flow":
        return
    _say_cancelling(run, request.actor, request.reason)
    os.kill(os.getpid(), signal.SIGTERM)  # which reaches also what a shell put into the background, deaf to SIGINT


def say_asked_to_end(signal: str) -> None:
    """A signal asks this process to end: say so of its outermost flow runs, once.

    Said by the process itself, it is in the journal by which its death is judged: one that is killed after it was asked
    counts as cancelled, whoever reads what first.
    """
    for run in list(OUTSIDE.open.values()):
        if run.kind == "flow":
            _say_cancelling(run, "", f"its process got {signal}")


_said: set[str] = set()
"""Runs that have been told of."""


def _say_cancelling(run: Run, actor: str, reason: str) -> None:
    if run.id in _said:
        return
    _said.add(run.id)
    due.say_paused(False)  # it is not begun again
    now = time.time_ns() // 1000
    emit(
        FlowRunCancelling(
            id=new_id(now), time=now, run=run.id, root_run=run.scope.root_run, flow=run.scope.flow,
            deployment=run.scope.deployment, due=run.scope.due, actor=actor, reason=reason,
        )
    )  # fmt: skip
