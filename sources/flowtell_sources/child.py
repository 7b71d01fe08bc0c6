"""One child process: started with our stdin, stdout and stderr, waited for, every signal passed on to it."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

KILL_AFTER: Final = 10.0
"""Seconds between SIGTERM and SIGKILL for a child whose time is up."""

_STOPPING: Final = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM}
_PASSED_ON: Final = _STOPPING | {signal.SIGUSR1, signal.SIGUSR2}
_WATCHED: Final = _PASSED_ON | {signal.SIGCHLD, signal.SIGALRM}
_IGNORED_BY_PYTHON: Final = [signal.SIGPIPE, signal.SIGXFSZ]

_KILOBYTES: Final = 1 if sys.platform == "darwin" else 1024  # getrusage(2): what ru_maxrss counts in


class Ended(NamedTuple):
    """How the child ended."""

    code: int
    """Its exit code; 0 where a signal killed it."""
    killed_by: str
    """Name of the signal that killed it, or empty."""
    stopped_by: str
    """Name of the first signal that asked this process to stop, or empty."""
    timed_out: bool
    cpu_seconds: float
    """Of the child and of those children that it waited for."""
    peak_memory: int | None
    """Of the largest of them, in bytes; None for one so small that it cannot be told."""

    @property
    def exit_code(self) -> int:
        """As a shell gives it: 128 and the signal's number where one killed it."""
        return 128 + signal.Signals[self.killed_by] if self.killed_by else self.code


class Child:
    """Takes over this process: signals are blocked from `start` on and answered in `wait`, so that none comes between.

    They stay blocked afterwards: what is left to do is to write how it ended, and to exit.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self._command, self._environ = list(command), dict(environ)
        self._pid = 0
        self._own_peak = 0
        self._timed_out = False
        self._stopped_by = ""

    def start(self, stdout: int = 1, stderr: int = 2) -> None:
        """Start it. Every descriptor that we inherited goes on to it, but none that we opened.

        Raises:
            OSError: it is not found, or cannot be executed.
        """
        signal.signal(signal.SIGCHLD, lambda *_: None)  # ignored, as it is by default, it need not become pending
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        moved = [(os.POSIX_SPAWN_DUP2, ours, theirs) for ours, theirs in ((stdout, 1), (stderr, 2)) if ours != theirs]
        self._own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._pid = os.posix_spawnp(
            self._command[0],
            self._command,
            self._environ,
            file_actions=moved,
            setsigmask=before,
            setsigdef=_IGNORED_BY_PYTHON,
        )

    def wait(self, timeout: float | None = None) -> Ended:
        """Until it has ended. After `timeout` seconds it gets SIGTERM, `KILL_AFTER` later SIGKILL."""
        if timeout is not None:
            signal.setitimer(signal.ITIMER_REAL, max(timeout, 1e-6))
        while (ended := self._reap()) is None:
            number, from_kernel = _next_signal()
            if number == signal.SIGALRM:
                self._hurry()
            elif number in _PASSED_ON:
                self._pass_on(number, from_kernel=from_kernel)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return ended

    def _reap(self) -> Ended | None:
        """Also those orphans that a container's first process gets, lest they stay as zombies."""
        while True:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == self._pid:
                return self._ended(status, usage)
            if pid == 0:
                return None

    def _ended(self, status: int, usage: resource.struct_rusage) -> Ended:
        code = os.waitstatus_to_exitcode(status)
        return Ended(
            code=max(code, 0),
            killed_by=signal.Signals(-code).name if code < 0 else "",
            stopped_by=self._stopped_by,
            timed_out=self._timed_out,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            # A child begins as a copy of us, and its peak counts that: less than our own size says nothing of it.
            peak_memory=usage.ru_maxrss * _KILOBYTES if usage.ru_maxrss > self._own_peak else None,
        )

    def _hurry(self) -> None:
        os.kill(self._pid, signal.SIGKILL if self._timed_out else signal.SIGTERM)
        if not self._timed_out:
            self._timed_out = True
            signal.setitimer(signal.ITIMER_REAL, KILL_AFTER)

    def _pass_on(self, number: int, *, from_kernel: bool) -> None:
        """What a terminal's key raised, the child got from the terminal too: twice, it would mean 'at once'."""
        if number in _STOPPING:
            self._stopped_by = self._stopped_by or signal.Signals(number).name
        if not from_kernel:
            os.kill(self._pid, number)


def _next_signal() -> tuple[int, bool]:
    """The next watched signal, and whether the kernel itself sent it."""
    if sys.platform == "darwin":  # no sigwaitinfo(2): a key of the terminal is the likely one
        number = signal.sigwait(_WATCHED)
        return number, number in (signal.SIGINT, signal.SIGQUIT) and os.isatty(0)
    told = signal.sigwaitinfo(_WATCHED)
    return told.si_signo, told.si_code > 0  # sigaction(2): SI_USER, SI_QUEUE and their kin are 0 or less
