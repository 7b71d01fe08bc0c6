"""`ProcessPoolTaskRunner`: bodies of submitted tasks in worker processes of this machine."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection
from socket import socketpair
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowtell import bus
from flowtell.engine.crossing import Package, Reply
from flowtell.engine.elsewhere import drive
from flowtell.engine.open_inside import OpenInside
from flowtell.engine.process_messages import EVENT, Order
from flowtell.engine.task_runners import Workers
from flowtell.errors import RunTimedOut, WorkerDied

if TYPE_CHECKING:
    from flowtell.engine.task_runs import TaskRun

KIND: Final = "processes"
_CODE: Final = (
    "import sys; socket, level = map(int, sys.argv[1:3]); sys.path[:] = sys.argv[3:]\n"
    "from flowtell.engine.process_worker import main\n"
    "main(socket, level)"
)
_LATE_SECONDS: Final = 5.0
"""After its time-out: a body that sits in C code hears of it only afterwards, and is killed with its process."""
_CLEAN_UP_SECONDS: Final = 2.0
_REAP_SECONDS: Final = 10.0


class ProcessPoolTaskRunner(NamedTuple):
    """Runs the bodies of submitted tasks in up to `max_workers` processes (None: as many as there are cores).

    They start when they are needed and end with the flow run. Arguments, results and exceptions are pickled; code that a
    fresh Python cannot import goes along.
    """

    max_workers: int | None = None

    @property
    def kind(self) -> str:
        return KIND

    def start(self) -> ProcessWorkers:
        return ProcessWorkers(self.max_workers or os.cpu_count() or 1)


class ProcessWorkers(Workers):
    """The processes of one flow run, and the threads that drive its task runs: one for each process at work."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._turns = threading.BoundedSemaphore(most)  # a run that waited may go on beside as many others
        self._lock = threading.Lock()
        self._idle_processes: list[_Process] = []
        self._busy: set[_Process] = set()
        self._over = False

    def drive(self, run: TaskRun) -> Any:
        return drive(run, self._carry)

    def close(self) -> None:
        """Idle processes end; bodies are interrupted, and given a moment to clean up while the flow run still goes on."""
        with self._lock:
            self._over = True
            idle, self._idle_processes = self._idle_processes, []
            busy = list(self._busy)
        super().close()
        for process in busy:
            process.interrupt()
        for process in idle:
            process.dismiss()
        until = time.monotonic() + _CLEAN_UP_SECONDS
        for process in busy:
            process.wait(until - time.monotonic())

    def _carry(self, run: TaskRun, package: Package) -> Reply:
        with self._turns:
            process = self._taken()
            try:
                return process.call(run, package)
            except Exception:
                if self._over:  # it was told to end, with the flow run
                    raise KeyboardInterrupt from None
                raise
            finally:
                self._give_back(process)

    def _taken(self) -> _Process:
        with self._lock:
            if self._over:
                raise KeyboardInterrupt
            process = self._idle_processes.pop() if self._idle_processes else _Process()
            self._busy.add(process)
            return process

    def _give_back(self, process: _Process) -> None:
        with self._lock:
            self._busy.discard(process)
            if process.serves and not self._over:
                self._idle_processes.append(process)
                return
        process.dismiss()


class _Process:
    """One worker process. `call` by one thread at a time, `interrupt` by any."""

    def __init__(self) -> None:
        mine, its = socketpair()
        with its:
            places = [place or os.getcwd() for place in sys.path]
            level = logging.getLogger("flowtell").level
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CODE, str(its.fileno()), str(level), *places],
                pass_fds=(its.fileno(),),
                stdin=subprocess.DEVNULL,
            )
        self._pipe = Connection(mine.detach())
        self.serves = True
        """Whether it takes another call."""

    def call(self, run: TaskRun, package: Package) -> Reply:
        """Have it make the call; what it emits meanwhile is heard.

        Raises:
            WorkerDied: it ended before it had replied.
            RunTimedOut: it did not notice that its time was up, and was killed.
        """
        inside = OpenInside()
        journal = bus.open_journal_path()
        order = Order(package, journal, send_all=bus.has_sinks())
        limit = run.work.timeout_seconds
        until = None if limit is None else time.monotonic() + limit + _LATE_SECONDS
        try:
            self._pipe.send_bytes(pickle.dumps(order, pickle.HIGHEST_PROTOCOL))
            while True:
                if until is not None and not self._pipe.poll(max(until - time.monotonic(), 0.0)):
                    raise RunTimedOut(run.kind, run.work.name, limit or 0.0)
                message = self._pipe.recv_bytes()
                if message[:1] != EVENT:
                    return pickle.loads(memoryview(message)[1:])  # type: ignore[no-any-return]  # noqa: S301  # its own
                inside.hear(message[1:], write=not journal)
        except RunTimedOut:
            self.serves = False
            self._process.kill()
            inside.crashed("")
            raise
        except (EOFError, OSError):
            raise self._died(run, inside) from None

    def _died(self, run: TaskRun, inside: OpenInside) -> WorkerDied:
        self.serves = False
        try:
            code = self._process.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:  # it closed its end, which only its body can have done
            self._process.kill()
            code = self._process.wait()
        name = _signal_name(-code) if code < 0 else ""
        inside.crashed(name)
        how = f"was killed by {name}" if name else f"ended with exit status {code}"
        return WorkerDied(run.work.name, str(self._process.pid), how, name)

    def interrupt(self) -> None:
        """Have its body see a Ctrl-C; it ends soon, whatever that does."""
        self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Until it has ended, or so long."""
        try:
            self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            pass

    def dismiss(self) -> None:
        """It ends by itself; somebody has to see it off."""
        self.serves = False
        self._pipe.close()
        if self._process.poll() is None:
            threading.Thread(target=self._see_off, name="flowtell-reaper", daemon=True).start()

    def _see_off(self) -> None:
        try:
            self._process.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
