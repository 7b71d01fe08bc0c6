"""Which run the code of this thread or coroutine is part of."""

from __future__ import annotations

import os
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


def bind(function: Callable[P, T]) -> Callable[P, T]:
    """`function` with the caller's run around it, for a thread or pool of one's own, which would see none."""
    context = copy_context()

    def bound(*args: P.args, **kwargs: P.kwargs) -> T:
        return context.copy().run(function, *args, **kwargs)

    return bound
