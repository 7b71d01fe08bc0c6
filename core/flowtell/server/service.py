"""The server without its HTTP: ingest, runners, watchdog and housekeeping, started and stopped together."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from flowtell.config import Config
from flowtell.errors import PluginRefused
from flowtell.plugin import PluginStatus
from flowtell.runner import Runner, RunnerThread, system_clock
from flowtell.server.discovery import make_runners
from flowtell.server.ingest import Ingester
from flowtell.server.mounts import Mounts
from flowtell.server.retention import prune
from flowtell.store import open_store
from flowtell.store.store import Store

IDLE_SECONDS: Final = 0.05
_DELETE_SECONDS: Final = 2.0
_PRUNE_SECONDS: Final = 3600.0
_WATCH_SECONDS: Final = 0.25
_SYNC_SECONDS: Final = 1.0
_FOLLOW_SECONDS: Final = 0.2
_COLLECT_AFTER: Final = 50_000
"""Containers made before the collector looks for cycles: a batch makes thousands, none in a cycle (3 to 10 % of time)."""
READY_LAG_SECONDS: Final = 30.0

logger = logging.getLogger("flowtell.server")


class Service:
    """Belongs to the process that holds the ingest role."""

    def __init__(self, config: Config, clock: Callable[[], int] = system_clock) -> None:
        self.config, self.clock = config, clock
        self.store: Store = open_store(config.store_url)
        self.ingester = Ingester(self.store, config.home, clock)
        self.runners: list[Runner] = []
        self._plugins: list[RunnerThread] = []
        self.refused: Sequence[PluginRefused] = ()
        self.mounts = Mounts()
        self.ingest_error = ""
        self._collector = gc.get_threshold()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Let events flow and open the plugins, which mount what they serve before this returns.

        One that hangs in `open` delays no other, and no crash is told late because of it.
        """
        gc.set_threshold(_COLLECT_AFTER, *self._collector[1:])
        self.runners, self.refused = make_runners(self.config, self.store)
        for error in self.refused:
            logger.warning("%s", error)
        for runner in self.runners:
            runner.on_mount = self.mounts.set
            runner.all_statuses = self.statuses
        self._plugins = [RunnerThread(runner) for runner in self.runners]
        for plugin in self._plugins:
            plugin.start()
        for name, body in (("ingest", self._ingest), ("watchdog", self._watch), ("housekeeping", self._keep_house)):
            thread = threading.Thread(target=body, name=f"flowtell-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._await_open()

    def _await_open(self, seconds: float = 10.0) -> None:
        """Until every plugin was opened or failed to be; one that hangs does not keep the server from starting."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(plugin.opening for plugin in self._plugins):
            time.sleep(0.005)

    def stop(self, timeout: float = 10.0) -> None:
        """End within about `timeout` seconds."""
        until = time.monotonic() + timeout
        self._stop.set()
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.1))
        for plugin in self._plugins:
            plugin.stop(max(min(until - time.monotonic(), 5.0), 0.1))
        self.ingester.close()
        self.store.close()
        gc.set_threshold(*self._collector)

    # --- threads --------------------------------------------------------------------------------------------------

    def _ingest(self) -> None:
        delete_at = time.monotonic() + _DELETE_SECONDS
        while not self._stop.is_set():
            try:
                moved = self.ingester.step()
                if time.monotonic() >= delete_at:
                    self.ingester.delete_ended()
                    delete_at = time.monotonic() + _DELETE_SECONDS
                self.ingest_error = ""
                self._let_runners_follow()
            except Exception as error:  # noqa: BLE001  # whatever it is, the server goes on and says so
                self._say_ingest_failed(error)
                moved = False
            if not moved:
                self._stop.wait(IDLE_SECONDS)

    def _let_runners_follow(self) -> None:
        """Wait a moment for plugins that would fall out of the window: reading the log back costs them far more.

        One that hangs falls out after a second of such moments and is not waited for again.
        """
        until = time.monotonic() + _FOLLOW_SECONDS
        while any(self.store.window.nearly_leaves(runner.cursor) for runner in self.runners) and time.monotonic() < until:
            time.sleep(0.002)

    def _say_ingest_failed(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"[:500]
        if text != self.ingest_error:
            logger.error("ingest failed, trying again each second", exc_info=error)
        self.ingest_error = text
        self._stop.wait(1.0)

    def _watch(self) -> None:
        while not self._stop.wait(_WATCH_SECONDS):
            for plugin in self._plugins:
                try:
                    plugin.watch()
                except Exception:  # the store's; the others are watched all the same
                    logger.exception("plugin %s could not be watched", plugin.runner.name)

    def _keep_house(self) -> None:
        """Sync journals once a second, so that a power cut costs no more; delete what is too old, once an hour."""
        prune_at = time.monotonic() + 60.0
        while not self._stop.wait(_SYNC_SECONDS):
            self.ingester.sync()
            if time.monotonic() >= prune_at:
                prune_at = time.monotonic() + _PRUNE_SECONDS
                self._prune()

    def _prune(self) -> None:
        try:
            prune(self.store, self.config, now=self.clock(), go_on=lambda: not self._stop.is_set())
        except Exception:
            logger.exception("deleting old events failed; it is tried again in an hour")

    # --- how it is doing ------------------------------------------------------------------------------------------

    def statuses(self) -> Sequence[PluginStatus]:
        """Every plugin's, the refused ones too."""
        refused = [
            PluginStatus(name=error.name, distribution=error.distribution, state="refused", last_error=str(error))
            for error in self.refused
        ]
        return [*(runner.status() for runner in self.runners), *refused]

    def problems(self) -> list[str]:
        """Why the server is not ready; empty when it is."""
        found = [f"ingest: {self.ingest_error}"] if self.ingest_error else []
        if self.clock() - self.ingester.last_pass > READY_LAG_SECONDS * 1e6:
            found.append("ingest: behind the journals")
        for status in self.statuses():
            if status.state in ("broken", "stuck", "refused"):
                found.append(f"plugin {status.name}: {status.state}")
            elif status.lag_seconds > READY_LAG_SECONDS:
                found.append(f"plugin {status.name}: {status.lag_seconds:.0f} s behind")
        return found
