"""What wakes a serving process before its time: a child that ended, a signal that asks it to stop."""

from __future__ import annotations

import os
import select
import signal
import threading
from types import FrameType
from typing import Any, Final

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LONGEST: Final = 30.0
"""Seconds of one sleep: a wall clock that was set is noticed by then."""
_UNAWARE: Final = 0.2
"""The same where signals cannot be had, which is everywhere but in the main thread."""


class Bell:
    """Signals as long as it is open; then whatever was there before. `asked` counts those that ask to stop."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._before: dict[int, Any] = {}
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._hears = threading.current_thread() is threading.main_thread()
        if self._hears:
            self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
            # nohup ignores SIGHUP, a shell without jobs the SIGINT of what it puts into the background: that stays so
            wanted = [number for number in _STOPPING if signal.getsignal(number) != signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._ask) for number in wanted}
            self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _nothing)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self.asked.append(signal.Signals(number).name)

    def ring(self) -> None:
        """Wake the one that waits. From any thread."""
        try:
            os.write(self._write, b"\0")
        except OSError:  # full, so it is awake
            pass

    def wait(self, seconds: float) -> None:
        """Until it rings, at most so long."""
        longest = _LONGEST if self._hears else _UNAWARE
        if select.select([self._read], [], [], max(min(seconds, longest), 0.0))[0]:
            try:
                os.read(self._read, 4096)
            except BlockingIOError:
                pass

    def close(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._hears:
            signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._read)
        os.close(self._write)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Python wakes only for a signal that has a handler."""
