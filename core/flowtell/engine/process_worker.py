"""A worker process of a `ProcessPoolTaskRunner`: makes the calls that it is told to, one after the other.

Bodies run in its main thread, so that a time-out interrupts them. Events go straight into the journal of the flow's
process: what has been emitted is kept though either be killed, and stands in the order of writing. Ctrl-C is for the
flow's process alone; it ends its workers by SIGTERM, which a body sees as a Ctrl-C. A worker does not outlive it.
"""

from __future__ import annotations

import logging
import os
import pickle
import select
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any, Final

from flowtell import bus
from flowtell.engine.far_runs import perform
from flowtell.engine.process_messages import EVENT, REPLY, Order
from flowtell.errors import JournalUnwritable
from flowtell.events import Event, FlowRunFinished, FlowRunStarted, TaskRunFinished, TaskRunStarted, encode

_GRACE_SECONDS: Final = 5.0
"""What a body that is to end may take for its cleaning up."""
_OF_RUNS: Final = (FlowRunStarted, FlowRunFinished, TaskRunStarted, TaskRunFinished)


def main(socket: int, level: int) -> None:
    """Serve until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = _Worker(Connection(socket))
    signal.signal(signal.SIGTERM, worker.end)
    logging.getLogger("flowtell").setLevel(level)
    threading.Thread(target=_end_with, args=(socket,), name="flowtell-lifeline", daemon=True).start()
    worker.serve()


class Ended(KeyboardInterrupt):
    """The flow's process has this one end."""


class _Worker:
    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sending = threading.RLock()  # a signal may come in the middle of it, and its handler's body emits
        self._works = self._ends = False
        self._order: Order | None = None

    def serve(self) -> None:
        while not self._ends:
            try:
                order: Order = pickle.loads(self._pipe.recv_bytes())  # noqa: S301  # from the process it works for
            except (EOFError, OSError):
                break
            self._listen(order)
            reply = self._performed(order)
            if not self._may_go_on() or not self._send(REPLY, pickle.dumps(reply, pickle.HIGHEST_PROTOCOL)):
                break
        self._leave()

    def _may_go_on(self) -> bool:
        """Not after a signal, whose handler has run meanwhile."""
        return not self._ends

    def end(self, _signal: int, _frame: Any) -> None:
        """A handler: interrupt the body, and wait for its end no longer than agreed."""
        first, self._ends = not self._ends, True
        if not self._works:
            self._leave()
        if first:
            timer = threading.Timer(_GRACE_SECONDS, os._exit, (128 + signal.SIGTERM,))
            timer.daemon = True
            timer.start()
            raise Ended

    def _performed(self, order: Order) -> Any:
        self._works = True
        try:
            return perform(order.package)
        finally:
            self._works = False

    def _listen(self, order: Order) -> None:
        """Have events go where this call's are to go."""
        before, self._order = self._order, order
        if before is None:
            bus.attach(self._hear)
        if before is None or before.journal != order.journal:
            try:
                if order.journal:
                    bus.join(order.journal)
                    return
            except JournalUnwritable as error:
                bus.warn_once(error)
            bus.write_through(_Pipe(self))
            self._order = order._replace(journal="", send_all=False)

    def _hear(self, event: Event) -> None:
        order = self._order
        if order is not None and order.journal and (order.send_all or isinstance(event, _OF_RUNS)):
            self._send(EVENT, encode(event))

    def _send(self, kind: bytes, message: bytes) -> bool:
        try:
            with self._sending:
                self._pipe.send_bytes(kind + message)
        except OSError:  # nobody is there any more
            return False
        return True

    def _leave(self) -> None:
        """Without waiting for threads that the body has left behind."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                pass
        if self._ends:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)  # so that whoever waits for it sees what ended it
        os._exit(0)


class _Pipe:
    """In place of a journal where the flow's process has none on disk: it writes into its own what comes here."""

    path = ""
    unreported = 0

    def __init__(self, worker: _Worker) -> None:
        from flowtell.journal import new_header
        from flowtell.version import VERSION

        self.header = new_header("", "", VERSION)
        self._worker = worker

    def write(self, line: bytes) -> bool:
        return self._worker._send(EVENT, line.rstrip(b"\n"))  # noqa: SLF001  # a part of it

    def close(self) -> None:
        """Nothing is held."""


def _end_with(socket: int) -> None:
    """Ask this process to end once the other has."""
    gone = select.poll()
    gone.register(socket, 0)  # a closed other end is told unasked
    gone.poll()
    os.kill(os.getpid(), signal.SIGTERM)
