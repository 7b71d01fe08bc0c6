"""Time-outs, each as strong as Python allows.

What is awaited is cancelled. A plain function in the main thread is interrupted by SIGALRM, unless it sits in C code
or somebody else uses that signal. Any other plain function runs in a thread of its own that is left behind when the
time is up: nothing stops a thread, but its run ends on time, and as a daemon it delays no exit.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context
from time import monotonic
from typing import Any

from flowtell.bus import warn_once
from flowtell.engine.states import Expired
from flowtell.errors import RunTimedOut, ThreadAbandoned

_abandoned: list[threading.Thread] = []


class _Limit:
    """A moment of the monotonic clock until which something may run."""

    __slots__ = ("until",)

    def __init__(self, seconds: float) -> None:
        self.until = monotonic() + seconds


_limits: list[_Limit] = []
"""Of the main thread, outermost first, while the alarm is ours."""


def limited(function: Callable[[], Any], seconds: float, too_long: RunTimedOut) -> Any:
    """Call `function` and return its result, or raise `too_long` once `seconds` have passed."""
    if _alarm_is_free():
        return _by_alarm(function, seconds, too_long)
    return _by_thread(function, seconds, too_long)


@asynccontextmanager
async def cancelled_after(seconds: float, too_long: RunTimedOut) -> AsyncIterator[None]:
    """Cancel what is awaited inside once `seconds` have passed, and raise `too_long`."""
    import asyncio

    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            yield
    except TimeoutError:
        if not scope.expired():  # the user's own
            raise
        raise too_long from None


def abandoned() -> int:
    """How many threads of this process were left behind and have not returned yet."""
    return sum(thread.is_alive() for thread in _abandoned)


def _alarm_is_free() -> bool:
    if threading.current_thread() is not threading.main_thread():
        return False
    handler = signal.getsignal(signal.SIGALRM)
    if handler is _ring:
        return True
    return handler is signal.SIG_DFL and signal.getitimer(signal.ITIMER_REAL)[0] == 0


def _by_alarm(function: Callable[[], Any], seconds: float, too_long: RunTimedOut) -> Any:
    limit = _Limit(seconds)
    try:
        try:
            _limits.append(limit)
            signal.signal(signal.SIGALRM, _ring)
            _set_alarm()
            return function()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            _limits.remove(limit)
            _set_alarm()
    except Expired as expired:
        if expired.limit is not limit:  # of a run further out, which is on its way there
            raise
        raise too_long from None


def _set_alarm() -> None:
    """For the earliest limit; with none left the signal is given back."""
    if _limits:
        signal.setitimer(signal.ITIMER_REAL, max(min(limit.until for limit in _limits) - monotonic(), 1e-6))
    else:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _ring(_signal: int, _frame: Any) -> None:
    now = monotonic()
    for limit in _limits:
        if limit.until <= now:
            raise Expired(limit)
    _set_alarm()


def _by_thread(function: Callable[[], Any], seconds: float, too_long: RunTimedOut) -> Any:
    outcome: list[tuple[Any, BaseException | None]] = []
    ended = threading.Event()

    def body() -> None:
        try:
            outcome.append((function(), None))
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that waits
            outcome.append((None, error))
        ended.set()

    thread = threading.Thread(target=copy_context().run, args=(body,), name=f"flowtell-{too_long.name}", daemon=True)
    thread.start()
    if not ended.wait(seconds):
        _abandoned[:] = [*(other for other in _abandoned if other.is_alive()), thread]
        warn_once(ThreadAbandoned(too_long.kind, too_long.name))
        raise too_long
    value, error = outcome[0]
    if error is not None:
        raise error
    return value
