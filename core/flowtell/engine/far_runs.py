"""The body of a task run in another process: its twin there, and what it gives back.

The twin is what the body sees: its run, logger, measures, assets, time-out. It tells of no start and no end, which the run
itself does where it was submitted. Tasks called in the body run here and are told of from here; what the body submits runs
on threads of this process and has ended before the reply goes back.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
from typing import TYPE_CHECKING, Any

from flowtell.engine import context, drivers
from flowtell.engine.crossing import Reply, Said, cannot_cross, known_secrets, seek_secrets
from flowtell.engine.failure import failure_of
from flowtell.engine.limiting import holding
from flowtell.engine.lineage import Lineage
from flowtell.engine.pickling import dumps
from flowtell.engine.provenance import ATOMS, Origins
from flowtell.engine.scope import Scope
from flowtell.engine.task_runs import TaskRun, receive
from flowtell.engine.usage import peak_memory
from flowtell.errors import FlowtellError, WorkerCannotLoad
from flowtell.machine import this_process

if TYPE_CHECKING:
    from flowtell.engine.crossing import Package
    from flowtell.engine.runs import Run
    from flowtell.engine.tasks import Task


def perform(package: Package) -> Reply:
    """Call the function of a package and say how that went. Raises only what ends this process."""
    cpu_time = time.process_time if threading.current_thread() is threading.main_thread() else time.thread_time
    cpu = cpu_time()
    run: _FarRun | None = None
    seek_secrets(package.secrets)
    try:
        run = _unpacked(package)
        result = _run(run)
        value = _pickled_result(run, result)
    except BaseException as error:  # noqa: BLE001  # raised again where it was submitted
        reply = Reply(value=_pickled_error(error), failure=failure_of(error))
    else:
        reply = Reply(value=value, said=run.said(result))
    return reply._replace(
        secrets=known_secrets(), cpu_seconds=cpu_time() - cpu, peak_memory=peak_memory(time.perf_counter_ns())
    )


def name_of_worker() -> str:
    """Machine and process, as messages name them."""
    return f"{this_process().machine or 'here'}/{os.getpid()}"


class _FarScope(Scope):
    """What the runs inside the body join: their numbers are told from those of other workers by the body's own."""

    __slots__ = ("_prefix",)

    def __init__(self, prefix: str, surroundings: Any) -> None:
        super().__init__(**surroundings, origins=Origins())
        self._prefix = prefix

    def next_number(self, task: str) -> str:
        return f"{self._prefix}.{super().next_number(task)}"


class _FarRun(TaskRun):
    """The twin of a task run."""

    def __init__(self, package: Package, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.__dict__.update({name: value for name, value in package.run.items() if name != "keeps"})
        self.keeps = package.run["keeps"]  # type: ignore[misc]  # of its class, where it was submitted
        self.task_run, self.work, self.task, self._process = self.id, task, task.name, context.process
        self.started = self.started or time.time_ns() // 1000
        self.scope = self.outer = _FarScope(f"{task.name}-{self.dynamic_key}", package.surroundings)
        self.function, self.args, self.kwargs = task.fn, args, kwargs
        if self.log_prints:
            from flowtell.engine.prints import recording_prints

            self.function = recording_prints(task.fn, task.colour)
        self._inputs = package.inputs

    def begin(self) -> Run:
        self.state = "running"
        return self

    def again(self, error: BaseException) -> bool:
        return False

    def complete(self, result: Any) -> Any:
        return result

    def hand_out(self, value: Any) -> None:
        """Its elements are handed out where it was submitted, all at once."""

    def open_lineage(self) -> Lineage:
        if self.lineage is None:
            self.lineage = Lineage(self)
            if self._inputs is not None:
                self.lineage.take_inputs(*self._inputs)
        return self.lineage

    def said(self, result: Any) -> Said | None:
        """What the body has said, with what a result that it got from a task inside is made of."""
        if self.scope.origins.bring and type(result) not in ATOMS:
            for source in self.scope.origins.sources(result):
                receive(self, source, "object")
        lineage = self.lineage
        if lineage is None and not (self.reads or self.received or self.received_unfollowed):
            return None
        return Said(
            metadata={} if lineage is None else lineage.metadata,
            facts={} if lineage is None else lineage.said,
            made_too={} if lineage is None else lineage.made_too,
            told=[] if lineage is None else lineage.told,
            reads=self.reads,
            received=self.received,
            received_unfollowed=self.received_unfollowed,
        )


def _run(run: _FarRun) -> Any:
    """Run the body, and all that it submitted: nothing outlives what is around it."""
    try:
        result = drivers.run_to_end(run, run.work.colour)
        while futures := [one.future for one in list(run.scope.open.values()) if one.future is not None]:
            for future in futures:
                future.wait()
    except BaseException:
        for open_one in list(run.scope.open.values()):
            open_one.cancel()
        raise
    finally:
        run.scope.close()
    return _settled(result)


def _settled(result: Any) -> Any:
    """The result with futures in it replaced by their values, which alone can cross."""
    if type(result) in ATOMS:
        return result
    from flowtell.engine.futures import Future

    if not Future.any_made:
        return result
    from flowtell.engine.containers import replace

    return replace(result, lambda item: item.result() if isinstance(item, Future) else item)


_tasks: dict[bytes, Task[..., Any]] = {}
"""By what came; a task that came with its code is made once, as long as neither has changed."""
_MOST_TASKS = 64


def _unpacked(package: Package) -> _FarRun:
    try:
        task = _tasks.get(package.task)
        if task is None:
            if len(_tasks) >= _MOST_TASKS:
                _tasks.clear()
            task = _tasks[package.task] = pickle.loads(package.task)  # noqa: S301  # from the process that this one works for
        args, kwargs = pickle.loads(package.arguments)  # noqa: S301  # as above
        holding.set(package.holding)
        return _FarRun(package, task, args, kwargs)
    except FlowtellError:
        raise
    except Exception as error:
        raise WorkerCannotLoad(package.name, name_of_worker(), f"{type(error).__name__}: {error}") from error


def _pickled_result(run: _FarRun, result: Any) -> bytes:
    try:
        return dumps(result)
    except Exception as error:  # noqa: BLE001  # whatever a class's own pickling raises
        raise cannot_cross(run.work.name, "The result", result, error) from None


def _pickled_error(error: BaseException) -> bytes:
    """Empty where it cannot be made again from what is pickled: then its type and text go."""
    try:
        pickled = dumps(error)
        pickle.loads(pickled)  # noqa: S301  # our own, a moment ago
    except Exception:  # noqa: BLE001  # whatever its parts or its class raise
        return b""
    return pickled
