"""What the one server that leads does: ingest, plugins over the log, a watchdog, housekeeping."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from flowtell.config import Config
from flowtell.runner import Runner, RunnerThread
from flowtell.server.ingest import Ingester, Shipped
from flowtell.server.retention import prune
from flowtell.store.store import Store

IDLE_SECONDS: Final = 0.05
_DELETE_SECONDS: Final = 2.0
_PRUNE_SECONDS: Final = 3600.0
_WATCH_SECONDS: Final = 0.25
_SYNC_SECONDS: Final = 1.0
_FOLLOW_SECONDS: Final = 0.2

logger = logging.getLogger("flowtell.server")


class Leading:
    """Started once, stopped once; a server that leads again makes another."""

    def __init__(
        self, config: Config, store: Store, runners: Sequence[Runner], clock: Callable[[], int], shipped: Shipped
    ) -> None:
        self._config, self._store, self._clock = config, store, clock
        self._presence = shipped.presence
        self.ingester = Ingester(store, config.home, clock, shipped)
        self.runners = runners
        self.plugins = [RunnerThread(runner) for runner in runners]
        self.ingest_error = ""
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._store.keep_house(self._clock())
        self._store.rejoin()
        for plugin in self.plugins:
            plugin.start()
        for name, body in (("ingest", self._ingest), ("watchdog", self._watch), ("housekeeping", self._keep_house)):
            thread = threading.Thread(target=body, name=f"flowtell-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, timeout: float) -> None:
        """End within about `timeout` seconds."""
        until = time.monotonic() + timeout
        self._stop.set()
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.1))
        for plugin in self.plugins:
            plugin.stop(max(min(until - time.monotonic(), 5.0), 0.1))
        self.ingester.close()

    # --- threads --------------------------------------------------------------------------------------------------

    def _ingest(self) -> None:
        delete_at = time.monotonic() + _DELETE_SECONDS
        while not self._stop.is_set():
            try:
                if self.ingest_error:
                    self._store.rejoin()  # a commit may have been left in doubt
                moved = self.ingester.step()
                self.ingester.keep_signs()
                if time.monotonic() >= delete_at:
                    self.ingester.end_unseen()
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
        while any(self._store.window.nearly_leaves(runner.cursor) for runner in self.runners) and time.monotonic() < until:
            time.sleep(0.002)

    def _say_ingest_failed(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"[:500]
        if text != self.ingest_error and not self._stop.is_set():
            logger.error("ingest failed, trying again each second", exc_info=error)
        self.ingest_error = text
        self._stop.wait(1.0)

    def _watch(self) -> None:
        while not self._stop.wait(_WATCH_SECONDS):
            self._presence.tick()
            for plugin in self.plugins:
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
            self._store.keep_house(self._clock())
            prune(self._store, self._config, now=self._clock(), go_on=lambda: not self._stop.is_set())
        except Exception:
            logger.exception("deleting old events failed; it is tried again in an hour")
