"""The sources of the one server that leads: each on a thread of its own, from the start of its term to the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from flowtell.config import Config
from flowtell.source import SourceStatus
from flowtell.source.discovery import make_source_runners
from flowtell.source.thread import SourceThread
from flowtell.store.store import Store

logger = logging.getLogger("flowtell.server")


class Feeding:
    """Started once, stopped once; a server that leads again makes another, which goes on from the cursors in the log."""

    def __init__(self, config: Config, store: Store, clock: Callable[[], int]) -> None:
        runners, self._refused = make_source_runners(config, store, clock)
        self._threads = [SourceThread(runner) for runner in runners]
        for error in self._refused:
            logger.warning("%s", error)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float) -> None:
        """End within `timeout` seconds. What a source still does after that goes into its own journal, and counts once."""
        until = time.monotonic() + timeout
        for thread in self._threads:
            thread.ask_to_stop()
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.0))

    def statuses(self) -> Sequence[SourceStatus]:
        """Every source's, the refused ones too."""
        refused = [SourceStatus(name=error.name, state="refused", last_error=error.problem) for error in self._refused]
        return [*(thread.runner.status() for thread in self._threads), *refused]
