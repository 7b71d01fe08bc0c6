"""Signals that ask a process to end become the one exception that Ctrl-C raises. Only in processes that flowtell starts."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flowtell.cli.outcome import Interrupted

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def interrupted_by_signals(tell: Callable[[str], None] | None = None) -> Iterator[None]:
    """Each raises what Ctrl-C raises, also in a container's first process, where by default it would do nothing.

    `tell` is called with the signal's name before that, on the main thread, wherever this is.
    """

    def interrupt(number: int, _frame: object) -> None:
        name = signal.Signals(number).name
        if tell is not None:
            tell(name)
        raise Interrupted(number, name)

    # nohup ignores SIGHUP, a shell without jobs the SIGINT of what it puts into the background: that stays so
    taken = [number for number in _STOPPING if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
