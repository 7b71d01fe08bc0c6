"""The process of one run that a schedule or a back-fill starts: `python -m flowtell.cli.due_run`, its order on stdin.

No command of `flowtell`: what it runs, and under which id, only the ledger of whoever starts it can say.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from flowtell import bus
from flowtell.answers.box import Box
from flowtell.cli.flow_target import find_flow
from flowtell.cli.outcome import settle
from flowtell.cli.signals import interrupted_by_signals
from flowtell.decoders import decoder
from flowtell.engine import due
from flowtell.engine.assignments import Assignment
from flowtell.engine.cancellation import cancelled_from_outside, say_asked_to_end
from flowtell.engine.declarations import declare_flow
from flowtell.engine.drivers import run_to_end
from flowtell.engine.failure import failure_of
from flowtell.engine.flow_runs import FlowRun
from flowtell.engine.flows import Flow
from flowtell.engine.scope import BACKFILL
from flowtell.engine.serving.ledger import has_claim
from flowtell.engine.serving.mark import Mark
from flowtell.engine.serving.run_process import Order
from flowtell.engine.states import end_of
from flowtell.events import FlowRunFinished
from flowtell.ids import new_id


def main() -> int:
    """Run it, if nobody did before. 0 when it completed or was not wanted any more, else as `flowtell run`."""
    order = decoder(Order)(sys.stdin.buffer.read())
    with interrupted_by_signals(_asked_to_end):
        mark = Mark.take(order.mark)
        if mark is None:
            return 0
        if not has_claim(order.ledger, order.assignment.run):
            mark.give_back()
            return 0
        due_run = _DueRun(order, mark)
        try:
            if not _was_cancelled(order.assignment.run):
                if order.assignment.cause != BACKFILL:  # which does not begin it again
                    due.on_paused = mark.say_paused
                due_run.run()
        except BaseException as error:
            mark.words.state = due_run.state or end_of(error)
            raise
        else:
            mark.words.state = due_run.state
        finally:
            mark.words.ended = not due.is_left_paused
            mark.write()
    return 0


def _asked_to_end(signal: str) -> None:
    """A run that is paused, and does nothing else, is left as it is."""
    if due.is_paused:
        due.is_left_paused = True
    else:
        say_asked_to_end(signal)


def _was_cancelled(run: str) -> bool:
    """Whether it was cancelled while it was paused and had no process."""
    box = Box(bus.settings().home, run)
    if not any(line.kind == "cancelled" for line in box.read().lines):
        return False
    box.remove()
    return True


class _DueRun:
    """From the order to the run's end, which is said whatever happens on the way."""

    def __init__(self, order: Order, mark: Mark) -> None:
        self._order, self._mark = order, mark
        self._run: FlowRun | None = None

    def run(self) -> None:
        try:
            run = self._run = FlowRun(self._flow(), (), self._order.parameters, self._order.assignment)
            with cancelled_from_outside():
                run_to_end(run, run.work.colour)
        except BaseException as error:
            if self._run is None or self._run.state == "pending":
                _say_never_began(self._order.assignment, error)
            raise

    @property
    def state(self) -> str:
        """How the run stands; empty where there is none yet."""
        return "" if self._run is None else self._run.state

    def _flow(self) -> Flow[..., Any]:
        due.is_due_run = True
        sys.path[:] = self._order.entrance.path
        self._mark.words.writer = _writer_of(bus.open_journal_path())
        self._mark.write()
        flow: Flow[..., Any] = find_flow(self._order.entrance.target)
        declare_flow(flow)
        return flow


def _writer_of(journal: str) -> str:
    """The journal's name begins with its writer's id."""
    return journal.rpartition("/")[2].partition("-")[0]


def _say_never_began(assignment: Assignment, error: BaseException) -> None:
    """Its module cannot be imported, or a signal came before: the run ends, rather than staying scheduled for ever."""
    now = time.time_ns() // 1000
    bus.emit(
        FlowRunFinished(
            id=new_id(now), time=now, run=assignment.run, flow=assignment.flow, deployment=assignment.deployment,
            due=assignment.due, root_run="" if assignment.outer is None else assignment.outer.root_run,
            state=end_of(error), error=failure_of(error), caused_by=assignment.caused_by, hops=assignment.hops,
        )
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(settle(main))
