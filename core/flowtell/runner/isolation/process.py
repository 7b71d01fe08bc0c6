"""The process of one isolated plugin, as the server has it: started, listened to, measured, killed.

A fresh interpreter: it inherits its end of the pipe and nothing else, no socket, journal or lock. It leads a session of
its own, so a Ctrl-C in the server's terminal is not for it, and whatever it forks dies with it. It dies with the server
even while it holds its interpreter: the kernel kills it when the server's end of the lifeline closes.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from typing import IO, Final, NamedTuple

from flowtell.runner.isolation.frames import FrameReader, send

_CODE: Final = (
    "import sys; pipe, lifeline, reserve, nice = map(int, sys.argv[1:5]); sys.path[:] = sys.argv[5:]\n"
    "from flowtell.runner.isolation.child import main\n"
    "main(pipe, lifeline, reserve, nice)"
)
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_LAST_WORDS: Final = 4_000
_DRAIN: Final = 1 << 16
_LAST_CHUNKS: Final = 64
_REAP_SECONDS: Final = 5.0
_DYING_SECONDS: Final = 0.5
RESERVE: Final = 512 << 20
"""Bytes that a process may reserve beyond its bound: threads' stacks and allocators take address space they never fill."""


class Bounds(NamedTuple):
    """What one plugin's process may take."""

    memory: int = 0
    """Resident bytes; 0 for no bound."""
    nice: int = 0


class PluginProcess:
    """Belongs to one thread, but for `strike`, `memory` and `outgrown`, which are for any."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        mine, its = socket.socketpair()
        lifeline, held = os.pipe()
        try:
            self._process = _started(its, lifeline, bounds)
        except OSError:
            os.close(held)
            mine.close()
            raise
        finally:
            its.close()
            os.close(lifeline)
        self.pid = self._process.pid
        self._striking = threading.Lock()
        self.pipe = mine
        self.reader = FrameReader(mine)
        self._said = bytearray()
        assert self._process.stdout is not None
        self.output: IO[bytes] = self._process.stdout
        os.set_blocking(self.output.fileno(), False)
        self._end = weakref.finalize(self, _end, self._process, mine, held)
        _forget_in_forks(self)

    def send(self, frame: bytes, until: float) -> None:
        send(self.pipe, frame, until)

    # --- what it prints -------------------------------------------------------------------------------------------

    def listen(self) -> bool:
        """Take some of what it has printed, and keep the end of that. Never waits. False once nothing more can come."""
        try:
            said = self.output.read(_DRAIN)
        except (OSError, ValueError):  # ended
            return False
        if said:
            self._said += said
            del self._said[:-_LAST_WORDS]
        return said != b""

    def hear_out(self) -> None:
        """Take all of it, up to a bound: the last words of one that has died."""
        for _ in range(_LAST_CHUNKS):
            before = len(self._said)
            if not self.listen() or len(self._said) == before < _LAST_WORDS:
                return

    @property
    def last_words(self) -> str:
        """The last lines it printed, on one line."""
        lines = self._said.decode("utf-8", "replace").split("\n")
        return " / ".join(line.strip() for line in lines[-6:] if line.strip())[-500:]

    # --- how it is ------------------------------------------------------------------------------------------------

    def memory(self) -> int:
        """Its resident bytes; 0 where that cannot be told (no /proc), or it has ended."""
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * _PAGE
        except (OSError, IndexError, ValueError):
            return 0

    def outgrown(self) -> int:
        """Its resident bytes where they are beyond its bound, else 0."""
        memory = self.memory() if self._bounds.memory else 0
        return memory if memory > self._bounds.memory else 0

    @property
    def bound(self) -> int:
        return self._bounds.memory

    # --- its end --------------------------------------------------------------------------------------------------

    def strike(self) -> None:
        """Kill it and all it has forked. For any thread: whoever listens to its pipe sees that end, and reaps it."""
        with self._striking:
            if not self.ended:
                _strike(self._process)

    def end(self) -> None:
        """Kill it, reap it, close what is held of it. Later calls do nothing."""
        with self._striking:
            self._end()

    @property
    def ended(self) -> bool:
        return not self._end.alive

    def ends_by_itself(self) -> bool:
        """Whether it has died, or does in a moment. It is not reaped: its number stays its own until `end`."""
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            return True
        until = time.monotonic() + _DYING_SECONDS
        while os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True

    def how_it_ended(self) -> str:
        """Its exit code, or the signal it died of. After `end`, which changes neither in one that has died."""
        code = self._process.returncode
        if code is None:
            return "could not be reaped"
        return f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _started(pipe: socket.socket, lifeline: int, bounds: Bounds) -> subprocess.Popen[bytes]:
    reserve = bounds.memory + RESERVE if bounds.memory else 0
    numbers = (pipe.fileno(), lifeline, reserve, bounds.nice)
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _CODE, *map(str, numbers), *sys.path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        pass_fds=(pipe.fileno(), lifeline),
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes], pipe: socket.socket, lifeline: int) -> None:
    _strike(process)
    pipe.close()
    os.close(lifeline)
    if process.stdout is not None:
        process.stdout.close()
    _reap(process)


def _strike(process: subprocess.Popen[bytes]) -> None:
    """Before it is reaped: its number is then nobody else's."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS has no group of one that has died
        process.kill()


def _reap(process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _REAP_SECONDS
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.001)


# --- forks of the server ------------------------------------------------------------------------------------------

_alive: weakref.WeakSet[PluginProcess] = weakref.WeakSet()
_fork_hook_set = False


def _forget_in_forks(process: PluginProcess) -> None:
    """A fork of the server must neither hold a lifeline nor end the processes of its parent."""
    global _fork_hook_set
    _alive.add(process)
    if not _fork_hook_set:
        os.register_at_fork(after_in_child=_let_go)
        _fork_hook_set = True


def _let_go() -> None:
    for process in list(_alive):
        held = process._end.detach()  # noqa: SLF001  # in the fork nobody else is left to do it
        if held is not None:
            _, pipe, lifeline = held[2]
            pipe.close()
            os.close(lifeline)
