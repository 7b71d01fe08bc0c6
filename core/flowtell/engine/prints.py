"""Prints as log lines, for runs with `log_prints`: what such a run prints is recorded, and still printed."""

from __future__ import annotations

import builtins
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

from flowtell.engine.context import current

_plain = builtins.print
_users = 0
_lock = RLock()
"""Taken twice by one thread where the garbage collection ends a run in the middle of it."""


def capture_prints() -> None:
    """`print` looks from now on whether it is called inside such a run. Each call is followed by a `release_prints`."""
    global _users, _plain
    with _lock:
        _users += 1
        if builtins.print is not _print:
            _plain, builtins.print = builtins.print, _print


def release_prints() -> None:
    """After the last such run `print` is what it was, unless somebody else has replaced it meanwhile."""
    global _users
    with _lock:
        _users -= 1
        if _users == 0 and builtins.print is _print:
            builtins.print = _plain


@contextmanager
def _captured() -> Iterator[None]:
    capture_prints()
    try:
        yield
    finally:
        release_prints()


def recording_prints(function: Callable[..., Any], colour: str) -> Callable[..., Any]:
    """`function`, with prints captured while it runs: for a task that asks for it in a flow that does not, or in none."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with _captured():
            return function(*args, **kwargs)

    async def call_async(*args: Any, **kwargs: Any) -> Any:
        with _captured():
            return await function(*args, **kwargs)

    def iterate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with _captured():
            return (yield from function(*args, **kwargs))

    async def iterate_async(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        with _captured():
            async for value in function(*args, **kwargs):
                yield value

    calls: dict[str, Callable[..., Any]] = {
        "sync": call,
        "async": call_async,
        "generator": iterate,
        "async_generator": iterate_async,
    }
    return calls[colour]


def _print(*values: Any, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False) -> None:
    _plain(*values, sep=sep, end=end, file=file, flush=flush)
    run = current.get()
    if run is not None and run.log_prints and (file is None or file is sys.stdout):
        from flowtell.engine.logs import record

        record(run, "INFO", "print", (" " if sep is None else sep).join(str(value) for value in values))
