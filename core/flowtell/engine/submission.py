"""A task run handed to other threads: it starts once all it waits for has ended, and holds no thread until then."""

from __future__ import annotations

import threading
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from flowtell.engine.futures import Future
from flowtell.engine.task_runners import THREADS

if TYPE_CHECKING:
    from flowtell.engine.task_runners import Workers
    from flowtell.engine.task_runs import TaskRun


def submit(run: TaskRun) -> Future[Any]:
    """Let `run` run on the threads of its scope."""
    future: Future[Any] = Future(run)
    runner = run.outer.runner
    run.runner, run.outer.open[run.id] = THREADS if runner is None else runner.kind, run
    run.future = future
    _Countdown(run.upstream_futures, _Start(run, future, copy_context())).begin()
    return future


class _Start:
    """Queues the run when the last future that it waits for has ended."""

    def __init__(self, run: TaskRun, future: Future[Any], context: Any) -> None:
        self._run, self._future, self._context = run, future, context
        self._told = False

    def tell_pending(self) -> None:
        """Say that the run has to wait, once, and before it starts."""
        if not self._told:
            self._told = True
            self._run.say_pending()

    def __call__(self) -> None:
        """All it waits for has ended: now its turn, where it is under a limit, and then a thread."""
        admission = self._run.admission
        if admission is None or admission.try_now():
            self._queue()
        else:
            self.tell_pending()
            admission.when_settled(self._queue)

    def _queue(self) -> None:
        workers = self._run.outer.workers()
        if not workers.has_room():
            self.tell_pending()
        workers.submit(partial(self._work, workers), self._run.cancel)

    def _work(self, workers: Workers) -> None:
        run, future = self._run, self._future
        if run.state != "pending":  # cancelled while it was queued
            return
        try:
            result = self._context.run(workers.drive, run)
        except BaseException as error:  # noqa: BLE001  # whoever asks the future for its result gets it
            future.settle(None, error)
        else:
            if run.work.colour.endswith("generator"):  # what it yielded has become a list, which nobody has seen yet
                run.scope.origins.record(result, run)
            future.settle(result)


class _Countdown:
    def __init__(self, futures: list[Future[Any]], start: _Start) -> None:
        self._futures, self._start = futures, start
        self._left = len(futures) + 1
        self._lock = threading.Lock()

    def begin(self) -> None:
        if any(not future.done() for future in self._futures):
            self._start.tell_pending()
        for future in self._futures:
            future.when_done(self._one_less)
        self._one_less()

    def _one_less(self) -> None:
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._start()
