"""Runs plugins over the log, each with its own cursor, deadline and circuit breaker.

A call that does not return in time is abandoned with its thread; a late return finds that its time is over and changes
nothing. A failure brings the batch again, to a new plugin; a batch that fails twice is handed over one by one, until the
event at fault is found and set aside.
"""

from flowtell.runner.clock import system_clock
from flowtell.runner.runner import BATCH, Runner
from flowtell.runner.thread import RunnerThread
from flowtell.runner.write_set import MAX_ROWS

__all__ = ["BATCH", "MAX_ROWS", "Runner", "RunnerThread", "system_clock"]
