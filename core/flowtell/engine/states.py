"""How a run stands, and which end an exception means."""

from __future__ import annotations

import sys
from typing import Any, Self

from flowtell.errors import RunTimedOut, UpstreamFailed, WorkerDied


class State(str):
    """A state by its name on the wire, such as `completed`; with what led to it: a result, an exception, or a word."""

    __slots__ = ("_said", "error", "value")

    def __new__(cls, name: str, error: BaseException | None = None, value: Any = None, message: str = "") -> Self:
        state = super().__new__(cls, name)
        state.error, state.value, state._said = error, value, message
        return state

    error: BaseException | None
    value: Any
    """What the run returned, where it ended well."""
    _said: str

    @property
    def name(self) -> str:
        """As Prefect writes it, such as `Completed` or `TimedOut`."""
        return "".join(word.capitalize() for word in self.split("_"))

    @property
    def message(self) -> str:
        """What went wrong, in one line; empty where nothing did and nothing was said."""
        return self._said or (f"{type(self.error).__name__}: {self.error}" if self.error is not None else "")

    def result(self, raise_on_failure: bool = True) -> Any:
        """What the run returned.

        Raises:
            Exception: the very object that the run raised, unless `raise_on_failure` is off: then it is returned.
        """
        if self.error is not None and raise_on_failure:
            raise self.error
        return self.value if self.error is None else self.error

    async def aresult(self, raise_on_failure: bool = True) -> Any:
        """As `result`, to be awaited."""
        return self.result(raise_on_failure)

    def is_completed(self) -> bool:
        return self in ("completed", "cached")

    def is_failed(self) -> bool:
        return self in ("failed", "timed_out")

    def is_cancelled(self) -> bool:
        return self == "cancelled"

    def is_cancelling(self) -> bool:
        return self == "cancelling"

    def is_crashed(self) -> bool:
        return self == "crashed"

    def is_paused(self) -> bool:
        return self == "paused"

    def is_pending(self) -> bool:
        return self in ("pending", "waiting")

    def is_running(self) -> bool:
        return self in ("running", "retrying")

    def is_scheduled(self) -> bool:
        return self in ("scheduled", "late")

    def is_final(self) -> bool:
        return self not in ("scheduled", "late", "pending", "waiting", "running", "retrying", "paused", "cancelling")


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
