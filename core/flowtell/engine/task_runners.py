"""What submitted tasks run on, and the threads that drive them: our own daemons, as the standard library joins its at exit.

A thread drives each run, whatever the runner: it waits, tells of attempts and calls the function. On threads it calls it
itself; other runners have it called in another process, see `crossing`.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from flowtell.engine import drivers

if TYPE_CHECKING:
    from flowtell.engine.task_runs import TaskRun

Job = Callable[[], None]

THREADS = "threads"
_DEFAULT_WORKERS = 32
_IDLE_SECONDS = 10.0


class TaskRunner(Protocol):
    """Says where the submitted tasks of a flow run; a value, shared by all runs of the flow."""

    @property
    def kind(self) -> str:
        """As the events of its task runs name it."""

    def start(self) -> Workers:
        """For one flow run, at its first submitted task; its end calls `close`. From any thread."""


class ThreadPoolTaskRunner(NamedTuple):
    """Runs the submitted tasks of one flow run on up to `max_workers` threads, which start when they are needed."""

    max_workers: int = _DEFAULT_WORKERS

    @property
    def kind(self) -> str:
        return THREADS

    def start(self) -> Workers:
        return Workers(self.max_workers)


class Workers:
    """The threads of one flow run and the queue before them. All methods from any thread."""

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError("max_workers is at least 1")
        self.pid = os.getpid()
        self._most = most
        self._jobs: deque[tuple[Job, Job]] = deque()
        self._changed = threading.Condition()
        self._threads = self._idle = self._blocked = 0
        self._closed = False

    def has_room(self) -> bool:
        """Whether a job would start at once."""
        return len(self._jobs) < self._idle or self._threads - self._blocked < self._most

    def submit(self, job: Job, cancel: Job) -> None:
        """Queue `job`; `cancel` is called in its place if the queue is closed first."""
        with self._changed:
            if not self._closed:
                self._jobs.append((job, cancel))
                self._grow()
                self._changed.notify()
                return
        cancel()

    def drive(self, run: TaskRun) -> Any:
        """Run it to its end, on one of these threads, and return its result."""
        return drivers.run_to_end(run, run.work.colour)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            left, self._jobs = self._jobs, deque()
            self._changed.notify_all()
        for _, cancel in left:
            cancel()

    def _grow(self) -> None:
        """Start a thread if a job would wait that need not."""
        if len(self._jobs) > self._idle and self._threads - self._blocked < self._most:
            self._threads += 1
            threading.Thread(target=self._work, name=f"flowtell-worker-{self._threads}", daemon=True).start()

    def _work(self) -> None:
        _here.workers = self
        while (job := self._next()) is not None:
            job()
            del job  # an idle thread holds on to nobody's data

    def _next(self) -> Job | None:
        with self._changed:
            self._idle += 1
            while not self._jobs:
                if self._closed or (not self._changed.wait(_IDLE_SECONDS) and not self._jobs):
                    self._idle -= 1
                    self._threads -= 1
                    return None
            self._idle -= 1
            return self._jobs.popleft()[0]

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """Around a wait on one of these threads: another may run meanwhile, or tasks that wait for tasks would lock up."""
        with self._changed:
            self._blocked += 1
            self._grow()
        try:
            yield
        finally:
            with self._changed:
                self._blocked -= 1


class _Here(threading.local):
    workers: Workers | None = None


_here = _Here()


@contextmanager
def waiting() -> Iterator[None]:
    """Around a wait for a future, on any thread."""
    if _here.workers is None:
        yield
    else:
        with _here.workers.blocked():
            yield
