"""A task run whose body runs in another process: it calls this in place of its function."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from flowtell import bus
from flowtell.engine import drivers
from flowtell.engine.crossing import Package, Reply, pack, seek_secrets, unpacked
from flowtell.errors import CannotCross, UpstreamFailed, WorkerDied

if TYPE_CHECKING:
    from flowtell.engine.runs import Run
    from flowtell.engine.task_runs import TaskRun
    from flowtell.events import TaskRunFinished

Carry = Callable[["TaskRun", Package], Reply]
"""Has a package's call made elsewhere and waits for the reply.

Raises:
    WorkerDied: the process that ran it has ended.
"""


class FarBody:
    """One run's."""

    def __init__(self, run: TaskRun, carry: Carry) -> None:
        self._run, self._carry = run, carry
        self._cpu_seconds = 0.0
        self._peak_memory: int | None = None
        self._finished = run.finished_event

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.taken(self._carry(self._run, pack(self._run, args, kwargs)))

    def taken(self, reply: Reply) -> Any:
        """Take down what the body has said and used; return its result, or raise what it raised."""
        self._cpu_seconds += reply.cpu_seconds
        self._peak_memory = max(self._peak_memory or 0, reply.peak_memory or 0) or None
        seek_secrets(reply.secrets)
        for line in reply.lines:
            bus.relay(line, write=True)
        result = unpacked(reply)
        if reply.said is not None:
            self._hear(reply)
        return result

    def _hear(self, reply: Reply) -> None:
        run, said = self._run, reply.said
        assert said is not None
        if said.reads:
            run.reads = [*(run.reads or ()), *said.reads]
        if said.received:
            run.received = {**said.received, **(run.received or {})}
        run.received_unfollowed = tuple(dict.fromkeys((*run.received_unfollowed, *said.received_unfollowed)))
        if said.metadata or said.facts or said.made_too:
            run.open_lineage().hear(said)

    def finished(self, **fields: Any) -> TaskRunFinished:
        """The event of the end, with what the body's process has used in place of this one."""
        return self._finished(**{**fields, "cpu_seconds": self._cpu_seconds, "peak_memory": self._peak_memory})


def drive(run: TaskRun, carry: Carry) -> Any:
    """Run it to its end with its body elsewhere. Whatever its colour, here it is a call that is waited for."""
    body = FarBody(run, carry)
    run.function, run.is_elsewhere = body, True
    run.finished_event = body.finished
    return drivers.call(run)


class Flight(Protocol):
    """A call that waits elsewhere for its turn."""

    def wait_begun(self) -> None:
        """Until it has begun, or has ended without."""

    def reply(self) -> Reply | WorkerDied:
        """How it went; or who was lost, where it has begun anew: then this is asked again."""

    def done(self) -> None:
        """Its reply has been taken down."""


class QueuedBody(FarBody):
    """As `FarBody`, of a call whose attempt starts when somebody begins it, not when it is sent."""

    def __init__(self, run: TaskRun, send: Callable[[TaskRun, Package], Flight]) -> None:
        super().__init__(run, _not_so)
        self._send, self._begin_run = send, run.begin
        self._flight: Flight | None = None
        self._problem: Exception | None = None

    def begin(self) -> Run:
        """In place of the run's own: an attempt starts once the call has begun."""
        run = self._run
        if not run.is_known:
            self._flight = self._problem = None
            try:
                self._wait_for_turn()
            except (CannotCross, UpstreamFailed) as error:  # raised by the attempt, which begins in order to fail
                self._problem = error
            if run.has_ended():  # cancelled while it waited
                raise KeyboardInterrupt
        return self._begin_run()

    def _wait_for_turn(self) -> None:
        run = self._run
        run.open_early()
        self._flight = self._send(run, pack(run, run.args, run.kwargs, attempt=run.attempt + 1))
        self._flight.wait_begun()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._problem is not None or self._flight is None:
            raise self._problem or KeyboardInterrupt
        try:
            while isinstance(reply := self._flight.reply(), WorkerDied):
                self._run.was_lost(reply)
            return self.taken(reply)
        finally:
            self._flight.done()


def drive_queued(run: TaskRun, send: Callable[[TaskRun, Package], Flight]) -> Any:
    """As `drive`, by way of somebody else's queue."""
    body = QueuedBody(run, send)
    run.function, run.is_elsewhere = body, True
    run.finished_event = body.finished
    run.begin = body.begin  # type: ignore[method-assign]  # of this run alone
    return drivers.call(run)


def _not_so(_run: TaskRun, _package: Package) -> Reply:
    raise NotImplementedError
