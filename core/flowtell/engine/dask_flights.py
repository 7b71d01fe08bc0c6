"""Calls that are at a Dask cluster: sent and fetched many at a time, since one by one costs a scheduler twice as much.

A worker says when it begins a call, by a message through the scheduler. Dask gives what a lost worker was at to another,
which says so again: thereby an attempt that was lost is known.
"""

from __future__ import annotations

import logging
import pickle
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from flowtell.engine.crossing import Package, Reply
from flowtell.engine.dask_worker import interrupt, perform_on_dask
from flowtell.errors import FlowtellError, RunTimedOut, TaskRunnerError, WorkerCannotLoad, WorkerDied
from flowtell.ids import new_id
from flowtell.machine import this_process

if TYPE_CHECKING:
    from flowtell.engine.task_runs import TaskRun

_BATCH: Final = 256
_LATE_SECONDS: Final = 5.0
"""After its time-out: a worker that has not said by then that its time was up is not waited for."""
_CLEAN_UP_SECONDS: Final = 2.0
_CLOSE_SECONDS: Final = 10.0
_LOOK_EVERY: Final = 2.0
_LOGGER: Final = logging.getLogger("distributed")


class Flight:
    """One call at the cluster. What is told of it comes in by `began` and `settle`, from any thread."""

    def __init__(self, run: TaskRun, package: Package) -> None:
        self.key = f"{run.id}-{package.run['attempt']}"
        self.data: bytes = pickle.dumps(package, pickle.HIGHEST_PROTOCOL)
        self.task = package.name
        self.future: Any = None
        self.worker = ""
        """Who has begun it last."""
        self.has_begun = False
        self.has_ended = False
        self.is_done = threading.Event()
        """Once what it brought back has been taken down."""
        self._run = run
        self._told: SimpleQueue[str | Reply | BaseException] = SimpleQueue()

    def began(self, worker: str) -> None:
        self.has_begun = True
        self._told.put(worker)

    def settle(self, outcome: Reply | BaseException) -> None:
        self.has_ended = True
        self._told.put(outcome)

    def wait_begun(self) -> None:
        """Until a worker has begun it, or it has ended."""
        told = self._told.get()
        if isinstance(told, str):
            self.worker = told
        else:
            self._told.put(told)

    def reply(self) -> Reply | WorkerDied:
        """How it went; or, where another worker has begun it anew, who was lost: then ask again.

        Raises:
            RunTimedOut: its worker did not notice that its time was up.
            BaseException: what happened to it at the cluster.
        """
        limit = self._run.work.timeout_seconds
        try:
            told = self._told.get(timeout=None if limit is None else limit + _LATE_SECONDS)
        except Empty:
            raise RunTimedOut(self._run.kind, self.task, limit or 0.0) from None
        if isinstance(told, str):
            lost, self.worker = self.worker, told
            return WorkerDied(self.task, lost, "was lost", begun_anew=True)
        if isinstance(told, BaseException):
            raise told
        return told

    def done(self) -> None:
        self.is_done.set()


class Flights:
    """All calls of one flow run."""

    def __init__(self, client: Any, cluster: Any) -> None:
        self._client, self._cluster = client, cluster
        self._topic = f"flowtell-{new_id()}"
        self._origin = tuple(this_process())
        self._open: dict[str, Flight] = {}
        self._out: SimpleQueue[Flight | None] = SimpleQueue()
        self._back: SimpleQueue[Flight | None] = SimpleQueue()
        self._threads, self._look_at = 0, 0.0
        client.subscribe_topic(self._topic, self._heard)
        for name, work in (("flowtell-dask-out", self._send_all), ("flowtell-dask-back", self._fetch_all)):
            threading.Thread(target=work, name=name, daemon=True).start()

    def threads(self) -> int:
        """Of all workers, as known a moment ago."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            try:
                self._threads = sum(self._client.nthreads().values())
            except Exception:  # a scheduler that does not answer; what is sent to it will tell
                _LOGGER.debug("no answer of how many threads there are", exc_info=True)
        return self._threads

    def send(self, run: TaskRun, package: Package) -> Flight:
        flight = Flight(run, package)
        self._open[flight.key] = flight
        self._out.put(flight)
        return flight

    def close(self) -> None:
        """Take back what has not begun, interrupt what has, and leave."""
        waiting = list(self._open.values())
        try:
            self._take_back([flight for flight in waiting if not flight.has_begun])
            if waiting:
                self._interrupt(waiting)  # also those that have begun a moment ago, and are not heard of yet
        finally:
            for flight in waiting:
                flight.settle(KeyboardInterrupt())
            self._out.put(None)
            self._back.put(None)
            self._client.close(timeout=_CLOSE_SECONDS)
            if self._cluster is not None:
                self._cluster.close(timeout=_CLOSE_SECONDS)

    def _take_back(self, flights: list[Flight]) -> None:
        futures = [flight.future for flight in flights if flight.future is not None]
        for flight in flights:
            flight.settle(KeyboardInterrupt())
        if futures:
            self._client.cancel(futures, force=True)

    def _interrupt(self, flights: list[Flight]) -> None:
        keys = [flight.key for flight in flights]
        try:
            self._client.sync(self._client._run, interrupt, keys, on_error="ignore", callback_timeout=_CLEAN_UP_SECONDS)  # noqa: SLF001  # `run` takes no time-out
        except Exception:  # a cluster that does not answer is left all the same
            _LOGGER.debug("could not interrupt %s", keys, exc_info=True)
        until = time.monotonic() + _CLEAN_UP_SECONDS
        for flight in flights:
            if flight.has_begun:
                flight.is_done.wait(max(until - time.monotonic(), 0.0))

    def _heard(self, event: tuple[float, Any]) -> None:
        """A worker begins a call. On the client's loop."""
        flight = self._open.get(event[1]["key"])
        if flight is not None:
            flight.began(event[1]["worker"])

    def _send_all(self) -> None:
        while (flights := _drained(self._out)) is not None:
            open_ones = [flight for flight in flights if not flight.has_ended]
            try:
                futures = self._client.map(
                    perform_on_dask, [flight.data for flight in open_ones], [flight.key for flight in open_ones],
                    key=[(flight.task, flight.key) for flight in open_ones],  # by task, or each were a group of its own
                    topic=self._topic, origin=self._origin, pure=False,
                )  # fmt: skip
            except Exception as error:  # noqa: BLE001  # whatever a client does whose scheduler is gone
                for flight in open_ones:
                    self._end(flight, TaskRunnerError(f"Dask did not take task '{flight.task}': {error}"))
                continue
            for flight, future in zip(open_ones, futures, strict=True):
                flight.future, flight.data = future, b""
                future.add_done_callback(lambda _, flight=flight: self._back.put(flight))

    def _fetch_all(self) -> None:
        while (flights := _drained(self._back)) is not None:
            well = [flight for flight in flights if flight.future is not None and flight.future.status == "finished"]
            replies = self._fetched(well)
            for flight in flights:
                self._end(flight, replies.get(flight.key) or self._trouble(flight))

    def _fetched(self, flights: list[Flight]) -> dict[str, Reply]:
        try:
            values = self._client.gather([flight.future for flight in flights]) if flights else []
        except Exception:  # noqa: BLE001  # a worker was lost with what it had done: each is asked for by itself
            return {}
        return {flight.key: pickle.loads(value) for flight, value in zip(flights, values, strict=True)}  # noqa: S301  # from this flow's own workers

    def _trouble(self, flight: Flight) -> Reply | BaseException:
        try:
            return pickle.loads(flight.future.result(timeout=_CLOSE_SECONDS))  # type: ignore[no-any-return]  # noqa: S301  # as above
        except ImportError as error:
            return WorkerCannotLoad(flight.task, flight.worker or "of Dask", f"{type(error).__name__}: {error}")
        except FlowtellError as error:
            return error
        except BaseException as error:  # noqa: BLE001  # handed to whoever waits
            return _lost(flight, error)

    def _end(self, flight: Flight, outcome: Reply | BaseException) -> None:
        self._open.pop(flight.key, None)
        flight.future = None  # lets the cluster forget it
        flight.settle(outcome)


def _lost(flight: Flight, error: BaseException) -> WorkerDied:
    last = getattr(error, "last_worker", None)
    if last is not None:  # KilledWorker
        return WorkerDied(flight.task, str(getattr(last, "address", last)), "was lost, as were those before it,")
    return WorkerDied(flight.task, flight.worker or "of Dask", f"was lost ({type(error).__name__}: {error})")


def _drained(queue: SimpleQueue[Flight | None]) -> list[Flight] | None:
    """What is there, at least one; None at the end."""
    found = [queue.get()]
    try:
        while len(found) < _BATCH and found[-1] is not None:
            found.append(queue.get_nowait())
    except Empty:
        pass
    if found[-1] is None and len(found) > 1:
        queue.put(None)
        found.pop()
    return None if found[0] is None else [flight for flight in found if flight is not None]
