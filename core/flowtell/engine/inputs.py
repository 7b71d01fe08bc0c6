"""What a run is given: futures to wait for, objects that other task runs returned, and under which argument."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flowtell.engine.containers import replace, walk
from flowtell.engine.futures import Future
from flowtell.engine.marks import Mark, allow_failure
from flowtell.engine.provenance import elements
from flowtell.errors import UpstreamFailed
from flowtell.events import UpstreamRun

if TYPE_CHECKING:
    from flowtell.engine.provenance import Origins
    from flowtell.engine.task_runs import TaskRun
    from flowtell.engine.work import Work

WAIT_FOR = "wait_for"
"""The argument under which a run is listed that was waited for and handed nothing over."""


class Inputs:
    """The arguments of one run, looked through once."""

    __slots__ = ("_args", "_kwargs", "_marked", "_may_fail", "_work", "futures", "sources")

    def __init__(
        self, work: Work[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, wait_for: Any = None, origins: Origins
    ) -> None:
        self._work, self._args, self._kwargs = work, args, kwargs
        self._may_fail: set[int] = set()
        self._marked = False
        self.futures: list[Future[Any]] = []
        self.sources: list[tuple[str, TaskRun, str]] = []
        """Each (argument, task run that it came from, evidence); evidence is `future` or `object`."""
        for argument, value in named(work, args, kwargs):
            self._look_at(argument, value, origins)
        self._look_for_futures(WAIT_FOR, list(wait_for) if isinstance(wait_for, list | tuple | set) else wait_for)

    @property
    def upstream(self) -> tuple[UpstreamRun, ...]:
        pairs = dict.fromkeys((run.id, argument) for argument, run, _ in self.sources)
        return tuple(UpstreamRun(task_run=run, argument=argument) for run, argument in pairs)

    @property
    def failed(self) -> Future[Any] | None:
        """The first that did not end well and is not wrapped in `allow_failure`. After all of them have ended."""
        return next((one for one in self.futures if one.exception is not None and id(one) not in self._may_fail), None)

    def resolved(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with every future replaced by its result. After all of them have ended.

        Raises:
            UpstreamFailed: one did not end well and is not wrapped in `allow_failure`.
        """
        if not self.futures and not self._marked:
            return self._args, self._kwargs
        failed = self.failed
        if failed is not None:
            raise UpstreamFailed(self._work.name, failed.task_run_id) from failed.exception
        return tuple(_value(arg) for arg in self._args), {name: _value(arg) for name, arg in self._kwargs.items()}

    @property
    def given(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """As they were passed."""
        return self._args, self._kwargs

    def _look_at(self, argument: str, value: Any, origins: Origins) -> None:
        self._look_for_futures(argument, value)
        if origins:
            for item in (value, *elements(value)):
                run = origins.of(item)
                if run is not None:
                    self.sources.append((argument, run, "object"))

    def _look_for_futures(self, argument: str, value: Any) -> None:
        if not Future.any_made and not isinstance(value, Mark):
            return
        for item in walk(value):
            if isinstance(item, Future):
                self.futures.append(item)
                self.sources.append((argument, item.run, "future"))
            elif isinstance(item, Mark):
                self._marked = True
                if isinstance(item, allow_failure):
                    self._may_fail.update(id(inner) for inner in walk(item.value))
                self._look_for_futures(argument, item.value)


def named(work: Work[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each argument with the name of its parameter."""
    if args:
        yield from zip(work.argument_names(len(args)), args, strict=False)
    yield from kwargs.items()


def _value(argument: Any) -> Any:
    return replace(argument, _outcome)


def _outcome(item: Any) -> Any:
    if isinstance(item, Future):
        return item.outcome
    return replace(item.value, _outcome) if isinstance(item, Mark) else item
