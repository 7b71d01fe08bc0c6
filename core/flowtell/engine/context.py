"""Which run the code of this thread or coroutine is part of."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from flowtell.engine.runs import Run

P = ParamSpec("P")
T = TypeVar("T")

current: ContextVar[Run | None] = ContextVar("flowtell_run", default=None)
"""The innermost run. Set to the outer run afterwards, never reset by token: a token refuses other contexts than its own."""

process: object = object()
"""Stands for this process: a run that began in another is not ended here. `os.getpid()` costs a system call each time."""


def _renew_process() -> None:
    global process
    process = object()


os.register_at_fork(after_in_child=_renew_process)


_modules = sys.modules
_TRACING = "opentelemetry.trace"


def enter(run: Run) -> None:
    """What runs from here on in this thread or coroutine is part of `run`."""
    current.set(run)
    if _TRACING in _modules:
        from flowtell.engine.spans import make_current

        run.traced_before = make_current(run, _modules[_TRACING])


def leave(run: Run, outer: Run | None) -> None:
    """Back to the run around it."""
    current.set(outer)
    if run.traced_before is not None:
        from flowtell.engine.spans import make_current_again

        make_current_again(run.traced_before)
        run.traced_before = None


def bind(function: Callable[P, T]) -> Callable[P, T]:
    """`function` with the caller's run around it, for a thread or pool of one's own, which would see none."""
    context = copy_context()

    def bound(*args: P.args, **kwargs: P.kwargs) -> T:
        return context.copy().run(function, *args, **kwargs)

    return bound
