"""A run of a task whose results are kept: it takes the one that is known, or computes it and keeps it.

One that takes a known result ends as `cached` without having begun, and hands on what the value is made of as if it had
computed it. A run of any other task does not pay for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flowtell.engine.reuse import Reuse
from flowtell.engine.runs import Run
from flowtell.engine.task_runs import TaggedTaskRun, TaskRun
from flowtell.events import Result, TaskRunFinished

if TYPE_CHECKING:
    from flowtell.engine.caching import Caching
    from flowtell.engine.lineage import Lineage
    from flowtell.engine.tasks import Task


class KeptTaskRun(TaskRun):
    """One execution, or none."""

    keeps = True

    caching: Caching
    reuse: Reuse

    def __init__(self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any = None) -> None:
        super().__init__(task, args, kwargs, wait_for)
        assert task.caching is not None
        self.caching, self.reuse = task.caching, Reuse(self)
        self.awaited = (*self.awaited, self.reuse)

    def take_arguments(self) -> bool:
        """Have every future replaced by its result, once all have ended; False where one failed."""
        if self.inputs is None:
            return True
        if self.inputs.failed is not None:
            return False
        self.args, self.kwargs = self.inputs.resolved()
        return True

    @property
    def is_known(self) -> bool:  # type: ignore[override]  # of any other run it is the class's
        return self.reuse.known is not None

    def begin(self) -> Run:
        return super().begin() if self.reuse.known is None else self

    def call(self) -> Any:
        return super().call() if self.reuse.known is None else self.call_unlimited()

    def call_unlimited(self) -> Any:
        if self.reuse.known is None:
            return super().call_unlimited()
        return _given(self.reuse.value) if self.work.colour == "async" and not self.is_elsewhere else self.reuse.value

    def complete(self, result: Any) -> Any:
        self.end("completed" if self.reuse.known is None else "cached", None, result)
        return result

    def _close(self, state: str, error: BaseException | None, result: Any) -> None:
        try:
            self._take_lineage(state)
            super()._close(state, error, result)
            if state == "completed" and error is None:
                self.reuse.keep(result)
        finally:
            self.reuse.release()
        self.awaited, self.reuse.value = (), None

    def _take_lineage(self, state: str) -> None:
        known = self.reuse.known
        if state == "cached" and known is not None and (known.made or known.provides or known.unfollowed):
            from flowtell.engine.kept_lineage import KeptLineage

            kept: Any = KeptLineage(self, known)
            lineage: Lineage = kept
            self.lineage = lineage

    def finished_event(self, *, result: Result | None, **fields: Any) -> TaskRunFinished:
        reuse = self.reuse
        if reuse.location:
            plain = result or Result(type="NoneType")
            result = msgspec.structs.replace(plain, location=reuse.location, checksum=reuse.checksum)
        source = "" if reuse.known is None else reuse.known.task_run
        return TaskRunFinished(result=result, cache_key=reuse.key, cached_from=source, **fields)


async def _given(value: Any) -> Any:
    return value


class TaggedKeptTaskRun(KeptTaskRun, TaggedTaskRun):
    """Of a task with tags: whatever limits these lets it in before it looks."""
