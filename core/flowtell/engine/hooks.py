"""Calling what the user hung on a run: it may raise, hang nobody's result, and be a coroutine function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flowtell.engine.current import snapshot
from flowtell.engine.states import State

if TYPE_CHECKING:
    from flowtell.engine.runs import Run

_MOMENTS = {"timed_out": "failed", "cached": "completed"}
"""States whose hooks are those of another."""


def call_hooks(run: Run, state: State) -> None:
    """Call the hooks of this state, each with the flow or task, the run and the state."""
    for hook in run.work.hooks.get(_MOMENTS.get(state, str(state)), ()):
        answer(hook, run, state, default=None)
    if "commit" in run.work.hooks or "rollback" in run.work.hooks:
        from flowtell.engine.transaction import take_part

        take_part(run, state)


def called(hook: Callable[..., Any], *args: Any) -> Any:
    """What `hook` returns, awaited where it is a coroutine function."""
    returned = hook(*args)
    return _awaited(returned) if inspect.iscoroutine(returned) else returned


def answer(hook: Callable[..., Any], run: Run, state: State, *, default: Any) -> Any:
    """What `hook` returns; `default`, and a line in the run's log, where it raises."""
    try:
        return called(hook, run.work, snapshot(run), state)
    except Exception as error:  # noqa: BLE001  # a hook is the user's code, and no part of the run
        from flowtell.engine.logs import record

        name = getattr(hook, "__name__", repr(hook))
        record(run, "ERROR", "flowtell.hooks", f"Hook {name} of {run.work.name} raised {type(error).__name__}: {error}")
        return default


def _awaited(coroutine: Any) -> Any:
    """On a thread of its own: the loop of this one, if it has one, is in the middle of the run."""
    import asyncio
    from threading import Thread

    result: list[Any] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            result.append(asyncio.run(coroutine))
        except BaseException as error:  # noqa: BLE001  # raised again where it was called
            raised.append(error)

    thread = Thread(target=run, name="flowtell-hook", daemon=True)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return result[0]
