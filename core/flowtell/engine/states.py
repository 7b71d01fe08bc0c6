"""How a run stands, and which end an exception means."""

from __future__ import annotations

import sys
from typing import Self

from flowtell.errors import RunTimedOut, UpstreamFailed, WorkerDied


class State(str):
    """A state by its name on the wire, such as `completed`; with the exception that led to it, where one did."""

    __slots__ = ("error",)

    def __new__(cls, name: str, error: BaseException | None = None) -> Self:
        state = super().__new__(cls, name)
        state.error = error
        return state

    error: BaseException | None

    @property
    def message(self) -> str:
        """What went wrong, in one line; empty where nothing did."""
        return f"{type(self.error).__name__}: {self.error}" if self.error is not None else ""

    def is_completed(self) -> bool:
        return self in ("completed", "cached")

    def is_failed(self) -> bool:
        return self in ("failed", "timed_out")

    def is_final(self) -> bool:
        return self not in ("pending", "running", "retrying", "paused")


class Expired(BaseException):
    """The time of one of the runs around is up. No `Exception`, so that the user's handlers let it pass."""

    def __init__(self, limit: object) -> None:
        self.limit = limit
        super().__init__("the time of a surrounding run is up")


def end_of(error: BaseException, colour: str = "sync") -> str:
    """The end state of a run of a function of this `colour` that `error` left.

    Whoever interrupts, cancels: Ctrl-C, asyncio, a coroutine closed before its end, a time-out of the flow around.
    `sys.exit()` ends a run as it would end a process: well with 0 or nothing, badly with anything else. A generator
    that its consumer closes has given all that was wanted. What else is no `Exception` tore the run down: crashed.
    """
    if isinstance(error, UpstreamFailed):
        return "skipped"
    if isinstance(error, RunTimedOut):
        return "timed_out"
    if isinstance(error, WorkerDied):
        return "crashed"
    if isinstance(error, SystemExit):
        return "failed" if error.code else "completed"
    if isinstance(error, GeneratorExit) and colour in ("generator", "async_generator"):
        return "completed"
    if _interrupts(error):
        return "cancelled"
    return "failed" if isinstance(error, Exception) else "crashed"


def _interrupts(error: BaseException) -> bool:
    if isinstance(error, KeyboardInterrupt | GeneratorExit | Expired):
        return True
    asyncio = sys.modules.get("asyncio.exceptions")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)
