"""The thread that ships this process's journal: begun with the first event, stopped round a fork, ended within a bound.

It never raises into the flow. What it could not send stays: in the file for the next process of the home or an agent, in
memory up to a bound.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from flowtell.errors import FlowtellError, ShippingError, ShippingRefused
from flowtell.shipping.file import JournalFile, NoJournal
from flowtell.shipping.lifeline import Lifeline
from flowtell.shipping.memory import MemoryJournal
from flowtell.shipping.orphans import Orphans, agent_runs
from flowtell.shipping.sender import Backoff, Sender
from flowtell.shipping.shipment import Shipment

if TYPE_CHECKING:
    from flowtell.config import Config
    from flowtell.journal import Journal

GATHER_SECONDS: Final = 0.2
"""Events come together for so long before they are sent."""
_ASK_SECONDS: Final = 1.0
"""How often the server is asked how far its log is, while something waits for that to be forgotten."""
_AGENT_SECONDS: Final = 1.0
_FORK_SECONDS: Final = 0.1
_LOGGED_SECONDS: Final = 1.0
_PART_FOR_A_STRANGER: Final = 0.2
"""Of the time at the end, for a server that has not answered before."""
_POLL_SECONDS: Final = 0.02

Warn = Callable[[FlowtellError], None]


class Shipper:
    """One journal's. `stop`, `pause` and `resume` are called by the process's own threads."""

    def __init__(self, journal: JournalFile | MemoryJournal, settings: Config, warn: Warn) -> None:
        self._journal, self._home, self._warn = journal, settings.home, warn
        self._exit_seconds: float = settings["shipping.exit_seconds"]
        self._heartbeat: float = settings["shipping.heartbeat_seconds"]
        name = journal.header.writer
        self._sender = Sender(settings["url"], settings["token"])
        self._shipment = Shipment(journal, name)
        self._lifeline = Lifeline(name)
        self._orphans = Orphans(settings.home, name) if isinstance(journal, JournalFile) else None
        self._backoff = Backoff()
        self._said = 0.0
        self._guard = threading.RLock()  # a run that the garbage collection ends in here says so, and starts it as well
        self._asked = threading.Event()
        self._pausing = False
        self._until = 0.0
        self._thread: threading.Thread | None = None

    # --- from the process's threads -------------------------------------------------------------------------------

    def start(self) -> None:
        thread = threading.Thread(target=self._run, name="flowtell-shipper", daemon=True)
        with self._guard:
            if self._thread is None:
                self._asked.clear()
                self._thread = thread
                thread.start()

    def stop(self) -> None:
        """Send what is left and say farewell, within `shipping.exit_seconds`; then return, whatever the server does."""
        self._until = time.monotonic() + self._exit_seconds
        self._sender.until = self._until
        self._asked.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            try:
                thread.join(self._exit_seconds)
            except KeyboardInterrupt:  # a second Ctrl-C: whoever is there waits no longer
                pass

    def pause(self) -> None:
        """Before a fork: let the thread end where it is at rest, as a fork with threads alive is warned of."""
        self._pausing = True
        self._asked.set()
        thread = self._thread
        if thread is not None:
            thread.join(_FORK_SECONDS)

    def resume(self) -> None:
        """After a fork, in the parent."""
        with self._guard:
            self._pausing = False
        if not self._until:
            self.start()

    def abandon(self) -> None:
        """In the child: what is the parent's is let go."""
        self._lifeline.abandon()
        self._sender.abandon()
        if isinstance(self._journal, JournalFile):
            self._journal.close()
        if self._orphans is not None:
            self._orphans.close()

    # --- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        wait = 0.0 if self._until else GATHER_SECONDS
        while True:
            self._asked.wait(wait)
            if self._until:
                self._guarded(self._finish)
                return
            with self._guard:
                if self._pausing:
                    self._thread = None
                    return
                self._asked.clear()
            wait = self._guarded(self._round)

    def _guarded(self, work: Callable[[], float]) -> float:
        """Seconds until the next round. Whatever goes wrong is told once, and the flow goes on."""
        try:
            return work()
        except ShippingError as error:
            self._warn(error)
            return self._backoff.fail(self._beat, error.retry_after if isinstance(error, ShippingRefused) else 0.0)
        except Exception as error:  # noqa: BLE001  # a slip of ours must not end shipping, nor reach the flow
            self._warn(ShippingError(f"Shipping failed ({type(error).__name__}: {error}); it is tried again."))
            return self._beat / 2

    def _round(self) -> float:
        if self._orphans is not None and agent_runs(self._home):
            self._lifeline.close()  # it is the agent's to say that this process lives: it sees the lock
            return _AGENT_SECONDS
        self._lifeline.keep(self._sender)
        moved = False
        while self._shipment.has_more() and not self._asked.is_set():
            self._said = time.monotonic()
            if not self._shipment.send(self._sender):
                break
            moved = True
        if not moved and time.monotonic() - self._said >= self._silence():
            self._said = time.monotonic()
            self._shipment.send(self._sender)
        self._backoff.succeed()
        if not moved and self._orphans is not None and not self._asked.is_set():
            self._orphans.send(self._sender)
        return GATHER_SECONDS

    @property
    def _beat(self) -> float:
        """Seconds in which the server wants a sign of life."""
        return min(self._heartbeat, self._shipment.heartbeat)

    def _silence(self) -> float:
        """Seconds after which something is said although there is nothing to send."""
        beat = self._beat / 2
        waits = isinstance(self._journal, MemoryJournal) and self._shipment.logged < self._shipment.place
        return min(beat, _ASK_SECONDS) if waits else beat

    def _finish(self) -> float:
        """Send the rest with a farewell, then wait a moment for the log, so that the file need not be left behind."""
        if self._orphans is not None:
            self._orphans.close()
            if agent_runs(self._home):
                return 0.0
        self._backoff.succeed()  # short waits again
        self._send_the_rest(self._patience())
        self._lifeline.close()
        if self._shipment.said_farewell and isinstance(self._journal, JournalFile):
            self._delete_if_logged(self._journal)
        self._sender.close()
        return 0.0

    def _patience(self) -> float:
        """Until when to try: a file is kept, so that a server that never answered is not waited for as long."""
        if self._shipment.answered or isinstance(self._journal, MemoryJournal):
            return self._until
        return self._until - self._exit_seconds * (1 - _PART_FOR_A_STRANGER)

    def _send_the_rest(self, until: float) -> None:
        while not self._shipment.said_farewell and not self._shipment.local and time.monotonic() < until:
            try:
                self._shipment.send(self._sender, last=True)
            except ShippingError as error:
                self._warn(error)
                if isinstance(self._journal, JournalFile) and not _is_a_matter_of_time(error):
                    return  # the file keeps it
                time.sleep(min(self._backoff.fail(self._beat), max(until - time.monotonic(), 0.0)))

    def _delete_if_logged(self, journal: JournalFile) -> None:
        until = min(time.monotonic() + _LOGGED_SECONDS, self._until)
        while not self._shipment.all_logged() and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
            self._shipment.look(self._sender)
        if self._shipment.all_logged():
            journal.delete()


def _is_a_matter_of_time(error: ShippingError) -> bool:
    return not isinstance(error, ShippingRefused) or error.status == 429 or error.status >= 500


# --- this process's shipper -------------------------------------------------------------------------------------------

_current: Shipper | None = None
_hooks_set = False


def begin(journal: Journal | MemoryJournal, settings: Config, warn: Warn) -> None:
    """Ship this journal from now on. What keeps it from being shipped is told, and the flow goes on."""
    global _current
    try:
        shipped = journal if isinstance(journal, MemoryJournal) else JournalFile(journal.path)
        _current = Shipper(shipped, settings, warn)
        _set_hooks()
        _current.start()
    except ShippingError as error:
        warn(error)
    except (OSError, NoJournal, RuntimeError) as error:  # the last: no thread can be started
        warn(ShippingError(f"This process's events are not shipped ({type(error).__name__}: {error})."))


def end() -> None:
    """Ship the rest within the bound, and stop."""
    global _current
    shipper, _current = _current, None
    if shipper is not None:
        shipper.stop()


def _set_hooks() -> None:
    global _hooks_set
    if not _hooks_set:
        os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
        atexit.register(end)
        _hooks_set = True
    if multiprocessing := sys.modules.get("multiprocessing.util"):  # its children run no exit functions but these
        multiprocessing.Finalize(None, end, exitpriority=-100)


def _before_fork() -> None:
    if _current is not None:
        _current.pause()


def _after_fork() -> None:
    if _current is not None:
        _current.resume()


def _in_child() -> None:
    global _current
    shipper, _current = _current, None
    if shipper is not None:
        shipper.abandon()
