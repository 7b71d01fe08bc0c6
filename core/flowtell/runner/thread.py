"""A runner on a thread of its own: retries, sets poison events aside, and is replaced when a call never returns."""

from __future__ import annotations

import threading
import time
from typing import Final

from flowtell.errors import PluginRefused, PluginTimedOut
from flowtell.plugin import RetryLater
from flowtell.runner.runner import BATCH, LIVE_LAG, GivenUp, Runner
from flowtell.runner.trouble import Verdict

GATHERED: Final = 3 * BATCH
GATHER_SECONDS: Final = 0.1
"""In a flood, how long events are left to come together: rows that change again and again are then written once."""

STUCK_THREADS: Final = 4
"""Abandoned threads that still hang, after which no new one is started."""

_STRUCK_SECONDS: Final = 1.0
"""How long a thread may take to notice that its plugin's process is gone."""

_RETRY_SECONDS: Final = (0.05, 3600.0)
"""The least and the most that a plugin may ask for by `RetryLater`."""


class RunnerThread:
    """`watch` is called by another thread about four times a second; all else belongs to the runner's own."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._abandoned: list[threading.Thread] = []
        self._ticked = 0.0

    def start(self) -> None:
        self._spawn(None)

    def stand_by(self) -> None:
        """Beside a server that leads: show what the plugin serves, and feed it where it keeps nothing in the store."""
        self.runner.follows = True
        keeps = self.runner.plugin.tables is not None
        name = f"flowtell-standby-{self.runner.name}"
        self._thread = threading.Thread(target=self._open_only if keeps else self._run, args=(None,), name=name, daemon=True)
        self._thread.start()

    def _open_only(self, _: None) -> None:
        if self._open():
            self.runner.state = "standby"

    def _spawn(self, trouble: Exception | None) -> None:
        name = f"flowtell-plugin-{self.runner.name}"
        self._thread = threading.Thread(target=self._run, args=(trouble,), name=name, daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End within `timeout` seconds, the plugin closed if it lets itself be."""
        self._stop.set()
        self.runner.store.window.wake()
        if self._thread is None:
            return
        self._thread.join(timeout)
        if self._thread.is_alive() and self.runner.strike():
            self._thread.join(_STRUCK_SECONDS)
        if not self._thread.is_alive():
            self.runner.let_go()

    @property
    def opening(self) -> bool:
        """Whether the plugin has neither been opened nor failed to be."""
        return self.runner.state == "starting"

    # --- the thread's body ----------------------------------------------------------------------------------------

    def _run(self, trouble: BaseException | None) -> None:
        """Until stopped or replaced. `trouble` is what ended the thread before this one."""
        try:
            ready = self._recover(trouble) if trouble else self._open()
            while not self._stop.is_set():
                ready = self._attempt() if ready else self._open()
            if ready:
                self._close()
        except GivenUp:
            return

    def _open(self) -> bool:
        try:
            self.runner.reopen()
        except GivenUp:
            raise
        except RetryLater as later:
            self._retry_later(later)
            return False
        except BaseException as error:  # noqa: BLE001  # a plugin's code, which may also exit
            return self._failed_to_open(error)
        self.runner.state = "running"
        return True

    def _failed_to_open(self, error: BaseException) -> bool:
        self.runner.note(error)
        if isinstance(error, PluginRefused):
            self._pause("refused", threading.TIMEOUT_MAX)
            return False
        self.runner.trouble.failed_otherwise()
        self._pause("broken" if self.runner.trouble.broken else "retrying", self.runner.trouble.backoff)
        return False

    def _attempt(self) -> bool:
        """One turn. Whether the plugin is ready for another."""
        try:
            self._turn()
        except GivenUp:
            raise
        except RetryLater as later:
            self._retry_later(later)
        except BaseException as error:  # noqa: BLE001  # a plugin's code, which may also exit
            return self._recover(error)
        return True

    def _retry_later(self, later: RetryLater) -> None:
        least, most = _RETRY_SECONDS
        self.runner.last_error = str(later)
        self._pause("retrying", min(most, max(least, later.seconds)))

    def _turn(self) -> None:
        """Hand over what there is, tick when it is time, else wait."""
        runner = self.runner
        runner.called = ""
        before = runner.cursor
        progressed = runner.step(GATHERED)
        if progressed:
            self._went_well()
        runner.live = runner.store.window.head - runner.cursor <= LIVE_LAG
        if runner.live and self._tick_if_due():
            self._went_well()
        runner.save_cursor_if_due()
        if runner.cursor - before >= BATCH > runner.store.window.head - runner.cursor:
            self._stop.wait(GATHER_SECONDS)
        elif not progressed:
            runner.store.window.wait(runner.cursor, min(runner.plugin.tick_seconds, 1.0))

    def _went_well(self) -> None:
        self.runner.trouble.settled(self.runner.cursor, handled=self.runner.called == "handle")
        self.runner.state = "running"

    def _tick_if_due(self) -> bool:
        now = time.monotonic()
        if now - self._ticked < self.runner.plugin.tick_seconds:
            return False
        self._ticked = now
        self.runner.tick()
        return True

    def _recover(self, error: BaseException) -> bool:
        """Do what the failure calls for, wait, make a new plugin. Whether that one is ready."""
        runner = self.runner
        runner.note(error)
        try:
            self._judge(error)
        except Exception as again:  # noqa: BLE001  # the store's, without which nothing is set aside
            runner.note(again)
        self._pause("broken" if runner.trouble.broken else "retrying", runner.trouble.backoff)
        return not self._stop.is_set() and self._open()

    def _judge(self, error: BaseException) -> None:
        """Look for the event at fault, if one can be."""
        runner = self.runner
        if runner.called != "handle" or runner.store.is_unwell(error) or getattr(error, "unwell", False):
            runner.trouble.failed_otherwise()
            return
        verdict = runner.trouble.failed(runner.cursor, hung=isinstance(error, PluginTimedOut))
        if verdict is Verdict.LOOK_CLOSER:
            batch = runner.store.log.read(runner.cursor, BATCH)
            runner.trouble.look_closer(batch[-1].seq if batch else 0)
        elif verdict is Verdict.SET_ASIDE:
            runner.set_aside(error)

    def _pause(self, state: str, seconds: float) -> None:
        self.runner.state = state
        self._stop.wait(seconds)

    def _close(self) -> None:
        try:
            self.runner.close()
        except BaseException as error:  # noqa: BLE001  # a plugin's code
            self.runner.note(error)

    # --- the deadline, watched from another thread ----------------------------------------------------------------

    def watch(self) -> None:
        """Give up a call that runs past its deadline, and go on with a new thread and plugin."""
        runner = self.runner
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        if self._stop.is_set():
            return
        runner.watch()
        if runner.state == "stuck":
            self._revive()
            return
        busy = runner.busy
        if busy is None or time.monotonic() - busy[1] < runner.deadline:
            return
        if runner.give_up(busy):
            self._replace(PluginTimedOut(runner.name, busy[0], runner.deadline))

    def _replace(self, error: PluginTimedOut) -> None:
        runner = self.runner
        if self._thread is not None:
            self._abandoned.append(self._thread)
        if len(self._abandoned) >= STUCK_THREADS:
            runner.note(error)
            runner.state = "stuck"
        else:
            self._spawn(error)

    def _revive(self) -> None:
        """Go on when a stuck plugin has let go of a thread."""
        if len(self._abandoned) < STUCK_THREADS:
            self._spawn(None)
