"""What a server does beside the one that leads: it follows the log, and serves what plugins serve from the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Final

from flowtell.runner import Runner, RunnerThread
from flowtell.server.forwarding import Forwarding
from flowtell.store.store import Store

_LOOK_SECONDS: Final = 0.25

logger = logging.getLogger("flowtell.server")


class Standby:
    """Projections are opened, so that their pages and metrics are there; nothing is written and nothing sent.

    What lies in this home is brought to the server that leads.
    """

    def __init__(self, store: Store, runners: Sequence[Runner], forwarding: Forwarding) -> None:
        self._store, self._forwarding = store, forwarding
        self._plugins = [RunnerThread(runner) for runner in runners if not runner.is_effect]
        for runner in runners:
            if runner.is_effect:
                runner.state = "standby"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="flowtell-follow", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._forwarding.start()
        for plugin in self._plugins:
            plugin.stand_by()

    def stop(self, timeout: float) -> None:
        self._stop.set()
        self._forwarding.stop(timeout)
        self._thread.join(timeout)
        for plugin in self._plugins:
            plugin.stop(timeout)

    def _follow(self) -> None:
        """Keep the window's head at the log's end: who wants events reads the log."""
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                head = self._store.log.head()
            except Exception as error:  # noqa: BLE001  # the store's: it is asked again
                logger.debug("the log's end is not known: %s", error)
                continue
            if head != self._store.window.head:
                self._store.window.restart(head)
